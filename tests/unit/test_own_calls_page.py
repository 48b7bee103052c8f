"""The page that lists the library's own system calls is that of its sources, and says of each what it is for."""

import yaml

from interpose.generator.build import own_calls
from interpose.generator.own_calls import OwnCall, calls_in, header, page
from support.roots import REPOSITORY

CALLS = own_calls(REPOSITORY)
SPECS = REPOSITORY / "generator/specs/own_calls.yaml"


def test_the_page_is_current():
    written = (REPOSITORY / "docs/system-calls.md").read_text()
    assert page(CALLS) == written, "run .venv/bin/python -m interpose.generator docs"


def test_each_call_says_what_it_is_for_and_none_that_is_not_made_does():
    assert [] == [call.name for call in CALLS if len(call.purpose.split()) < 2]
    assert {call.name for call in CALLS} == set(yaml.safe_load(SPECS.read_text()))


def test_calls_are_found_and_those_that_are_passed_on_are_not():
    source = """
    /* __NR_reboot */
    static inline int ip_sys_close(int fd) { return (int)ip_syscall(__NR_close, fd, 0, 0, 0, 0, 0); }
    long result = real(__NR_execve, a0, a1), other = (int)((ip_gate *)real)(__NR_execveat, a0);
    if (number == __NR_seccomp || number != __NR_prctl) switch (number) { case __NR_mount: return; }
    peer = ask(__NR_getpeername, call->fd); // __NR_mount
    """
    assert {"close", "getpeername"} == calls_in([source])


def test_the_page_tells_needed_from_optional_and_names_arguments():
    shown = page([OwnCall("statx", "files"), OwnCall("madvise", "a page", optional=True, ways=({2: "18"},))])
    needed, optional = shown.split("## Not needed")
    assert "| `statx` |  | files |" in needed
    assert "| `madvise` | 3: 18 | a page |" in optional


def test_a_call_of_which_nothing_is_said_is_judged_as_needed():
    assert "{IP_OWN_chroot, __NR_chroot, 0, 0, {0}}," in header([OwnCall("chroot")])
