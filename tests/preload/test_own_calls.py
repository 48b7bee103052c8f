"""The library makes no system call that its page does not list, nor with other arguments: by strace's account."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from interpose.generator.build import own_calls as listed_calls
from support.capture import CALLS, SUMMARY, Capture
from support.cli import need
from support.events import read_snippet
from support.own_calls import own_calls, traced
from support.programs import SNIPPETS
from support.roots import ENVIRONMENT, REPOSITORY, TARGETS

HOST = TARGETS["host"]
TOPICS = [read_snippet(path) for path in sorted(SNIPPETS.glob("*.c")) if path.stem not in ("harness", "main")]
LISTED = {call.name: call for call in listed_calls(REPOSITORY)}
IN_ITS_STEAD = {"vfork"}
"""The program's own call, by an instruction of the library's."""
SHOWN = {"mmap": {2: {"3": "PROT_READ|PROT_WRITE"}}, "openat": {3: {"0": "", "0600": "0600"}}}
"""How strace shows the arguments of calls that are not raw."""
RAW = sorted({name for name, call in LISTED.items() if call.ways} - set(SHOWN))


def _is_listed(name: str, arguments: str) -> bool:
    if name in IN_ITS_STEAD:
        return True
    given = arguments.partition(")")[0].removesuffix(" <unfinished ...>").split(", ")

    def is_one(place: int, value: str) -> bool:
        found = given[place] if place < len(given) else ""
        shown = SHOWN.get(name, {}).get(place)
        return found == shown[value] if shown else int(found or "0", 0) == int(value, 8 if value == "0666" else 0)

    call = LISTED.get(name)
    ways = call.ways if call else ()
    return call is not None and (not ways or any(all(is_one(*known) for known in way.items()) for way in ways))


def _run(harness, topic, level, folder):
    """What it asked for in one topic, and of that what is not listed."""
    log, work = folder / f"{topic.name}.log", folder / topic.name
    work.mkdir()
    with Capture(folder / f"capture-{topic.name}", HOST, level=level) as capture:
        command = traced(log, capture.library, str(harness), "main", topic.name, raw=RAW)
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, cwd=work, env=ENVIRONMENT, timeout=60, check=False, **quiet)
    found = list(own_calls(log.read_text(errors="replace").splitlines()))
    log.unlink()
    shutil.rmtree(work)
    unlisted = {f"{topic.name}: {name}({rest}" for name, rest in found if not _is_listed(name, rest)}
    return {name for name, _ in found}, unlisted


@pytest.mark.parametrize("level", [SUMMARY, CALLS])
def test_what_the_snippets_make_the_library_ask_for_is_listed(level, programs, tmp_path):
    need("strace")
    HOST.require()
    harness = programs.harness(HOST)
    topics = [topic for topic in TOPICS if topic.runs_on(HOST)]
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda topic: _run(harness, topic, level, tmp_path), topics))
    seen = set().union(*(names for names, _ in runs))
    assert set() == set().union(*(unlisted for _, unlisted in runs))
    assert {"statx", "mmap", "openat", "getcwd", "getpeername", "rt_sigaction"} <= seen, seen


def test_a_call_that_is_not_listed_is_found(tmp_path):
    library = "/x/libinterpose.so"
    log = [
        f"7 [00007f00] mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 3<{library}>, 0) = 0x10000",
        '7 [0000000000010008] chroot("/") = 0',
        '7 [0000000000020008] chdir("/") = 0',
        "8 [0000000000010010] madvise(0x7000, 0x1000, 0x4) = 0",
        '7 [0000000000000001] execve("/bin/true", ...) = 0',
        '7 [0000000000010008] unlink("x") = 0',
    ]  # fmt: skip
    found = list(own_calls(log))
    assert ["chroot", "madvise"] == [name for name, _ in found]
    assert [False, False] == [_is_listed(name, arguments) for name, arguments in found]
    assert _is_listed("madvise", "0x7000, 0x1000, 0x12) = 0")
