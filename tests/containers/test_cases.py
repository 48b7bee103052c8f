"""Containers of every kind look the same as without us, and are captured, or it is said why they are not.

A row is a container, run once by the Engine's own runtime without a label and once through ours with it.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest

from support.cli import need
from support.roots import ZIG

SORT = (
    "sh",
    "-c",
    "sort -r /etc/passwd | head -n 2; echo $LD_PRELOAD; grep -E '^(Uid|Cap|NoNewPrivs|Seccomp)' /proc/self/status",
)
OTHER = "/lib/x86_64-linux-gnu/libm.so.6"
ASKED = "interpose.dev/capture=true"


@dataclass(frozen=True)
class Case:
    """A row."""

    name: str
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = SORT
    image: str = "bookworm"
    sees: str | None = "/etc/passwd"
    """A file that is known to have been read; None if nothing can be seen."""
    decision: tuple[str, str] = ("captured", ASKED)
    status: int | None = 0
    """None where machines differ: a kernel without 32-bit programs, a sandbox that grants no privileges."""


CASES = [
    Case("plain"),
    Case("preload of the user", ("--env", f"LD_PRELOAD={OTHER}")),
    Case("preload of the image", image="preloading"),
    Case("preload for the whole image", ("--volume", "PRELOAD:/etc/ld.so.preload:ro")),
    Case("entrypoint sets the preload", command=("sh", "-c", f"export LD_PRELOAD={OTHER}; exec sort /etc/passwd")),
    Case("entrypoint empties the environment", command=("env", "-i", "/usr/bin/sort", "/etc/passwd")),
    Case("read-only root", ("--read-only",)),
    Case("another user", ("--user", "1234:1234")),
    Case("no capabilities", ("--cap-drop", "ALL")),
    Case("no new privileges", ("--security-opt", "no-new-privileges")),
    Case("privileged", ("--privileged",), status=None),
    Case("no network", ("--network", "none")),
    Case("the host's network", ("--network", "host")),
    Case("memory over /run", ("--tmpfs", "/run")),
    Case("an init", ("--init",)),
    Case("the host's processes", ("--pid", "host")),
    Case("the host's ipc", ("--ipc", "host")),
    Case("a working directory", ("--workdir", "/srv")),
    Case("a variable instead of a label", ("--label", "interpose.dev/capture=", "--env", "INTERPOSE_CAPTURE=true"),
         decision=("skipped", "interpose.dev/capture=: neither true nor false"), sees=None),
    Case("a long environment", ("--env-file", "FULL"), command=("true",), sees=None,
         decision=("skipped", "its environment and arguments leave no room for LD_PRELOAD")),
    Case("a program that is not there", command=("/none",), status=127, sees=None),
    Case("a program that fails", command=("sh", "-c", "cat /etc/passwd | wc -l; echo no >&2; exit 7"), status=7),
    Case("no shell, no tools", image="distroless", command=("/cat", "/etc/passwd")),
    Case("a static program", image="static", command=("/busybox", "sort", "/etc/passwd"), sees=None,
         decision=("unseen", f"{ASKED}; its first program is linked statically and runs unseen")),
    Case("another architecture", image="i386", command=("/ordinary",), sees=None, status=None,
         decision=("skipped", "its first program is for i386: there is no library for that")),
]  # fmt: skip


@pytest.fixture(scope="module")
def images(site, tmp_path_factory):
    """By name: each made of this machine's own files."""
    folder = tmp_path_factory.mktemp("images")
    return {
        "bookworm": "interpose-test/bookworm",
        "preloading": _preloading(site.engine),
        "distroless": _distroless(site.engine, folder / "distroless"),
        "static": _static(site.engine, folder / "static"),
        "i386": _i386(site.engine, folder / "i386"),
    }


def _preloading(engine):
    made = engine.text("create", "interpose-test/bookworm", "true")
    engine.docker("commit", "--change", f"ENV LD_PRELOAD={OTHER}", made, "interpose-test/preloading")
    engine.docker("rm", made)
    return "interpose-test/preloading"


def _distroless(engine, folder):
    """One program and what it is linked with."""
    program = shutil.which("cat")
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", told):
        (folder / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, folder / library[1:])
    shutil.copy(program, folder / "cat")
    (folder / "etc").mkdir()
    shutil.copy("/etc/passwd", folder / "etc/passwd")
    return engine.import_root("interpose-test/distroless", folder)


def _static(engine, folder):
    need("busybox")
    (folder / "etc").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), folder / "busybox")
    shutil.copy("/etc/passwd", folder / "etc/passwd")
    return engine.import_root("interpose-test/static", folder)


def _i386(engine, folder):
    folder.mkdir()
    source = folder.with_suffix(".c")
    source.write_text('#include <stdio.h>\nint main(void) { puts("ordinary"); return 3; }\n')
    command = [*ZIG, "-target", "x86-linux-musl", "-static", "-o", folder / "ordinary", source]
    subprocess.run(command, check=True, capture_output=True)
    return engine.import_root("interpose-test/i386", folder)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What options name in capitals."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "PRELOAD").write_text(f"{OTHER}\n")
    full = "".join(f"V{number:02}={'a' * 60_000}\n" for number in range(34))  # a quarter of the stack but for 2 KiB
    (folder / "FULL").write_text(full + f"V34={'a' * 54_500}\n")
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-").replace(",", ""))
def test_a_container_is_what_it_would_be_without_us(site, images, files, case):
    options = [re.sub(r"^(PRELOAD|FULL)\b", lambda name: str(files / name[0]), option) for option in case.options]
    name = re.sub(r"\W+", "-", case.name)

    bare = site.run("--rm", "--name", f"bare-{name}", *options, images[case.image], *case.command, captured=False)
    ours = site.run("--rm", "--name", name, *options, images[case.image], *case.command)

    assert case.status in (None, bare.status), bare.stderr
    assert (bare.status, bare.stdout, bare.stderr.replace(b"bare-", b"")) == (ours.status, ours.stdout, ours.stderr)
    assert case.decision == site.decision(name)
    site.service.settled()
    if bare.status == 125:
        return  # the Engine could not even start it
    if case.sees is not None:
        assert case.sees in site.paths(name, "--read")
    elif case.decision[0] == "captured":
        assert [] == site.ask("ps", "--container", name)
    elif case.decision[0] == "unseen":
        (process,) = site.ask("ps", "--container", name)
        (program,) = process["programs"]
        assert ("static", case.command[0], list(case.command)) == (
            program["blind_spot"], program["executable"], program["arguments"],
        )  # fmt: skip
        (told,) = [run for run in site.ask("runs") if (run["container"] or {}).get("name") == name]
        assert 1 == told["blind_spots"]
    else:
        assert name not in {(run["container"] or {}).get("name") for run in site.ask("runs")}
