"""Where test programs run: this machine, other libcs, another processor. What is missing is skipped by name.

With INTERPOSE_TEST_ALL=1 in the environment a missing thing is a failure.
"""

import ctypes
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

__all__ = ["REPOSITORY", "TARGETS", "Outcome", "Target", "library", "missing", "run"]

REPOSITORY = Path(__file__).parents[2]
ROOTS = Path(
    os.environ.get("INTERPOSE_ROOTS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interpose/roots"
)
CROSS = Path("/usr/aarch64-linux-gnu")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent", "LC_ALL": "C"}
ZIG = (sys.executable, "-m", "ziglang", "cc")

# In a mount namespace of its own: the work folder under the same path, and the kernel's file systems.
_ENTER = """
set -e
root=$1 folder=$2
shift 2
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" /usr/bin/env -i "$@"
"""


def missing(what: str, advice: str = "run tests/install-packages") -> None:
    """Skip the test, or fail it where everything must be there; end what is no test, as make's other targets."""
    message = f"{what} is missing: {advice}"
    if "PYTEST_VERSION" not in os.environ:
        raise SystemExit(message)
    if os.environ.get("INTERPOSE_TEST_ALL") == "1":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@dataclass(frozen=True)
class Outcome:
    """What a program's user sees of it."""

    status: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Target:
    """A libc and a processor. `tags` are what snippets ask for: `glibc`, `musl`, `exec`..."""

    name: str
    libc: str
    version: tuple[int, ...]
    machine: str
    compiler: tuple[str, ...]
    release: str = ""
    """Whose root it runs in, if not in this machine's."""

    @property
    def root(self) -> Path | None:
        """The folder to change the root to."""
        return ROOTS / self.release if self.release else None

    def require(self) -> None:
        """Skip the test, or fail it, if this target is not to be had here."""
        if self.compiler != ZIG and not shutil.which(self.compiler[0]):
            missing(self.compiler[0])
        if self.root and not self.root.with_name(self.root.name + ".ok").exists():
            missing(f"the root of Debian {self.release}")
        if self.root and os.geteuid() != 0:
            missing("root's permission to mount and chroot", "run as root")
        if self.machine != os.uname().machine:
            if not shutil.which(f"qemu-{self.machine}"):
                missing(f"qemu-{self.machine}")
            if not CROSS.exists():
                missing(str(CROSS))

    def satisfies(self, condition: str) -> bool:
        """Whether a condition holds.

        `musl`, `!musl`, `aarch64`, `exec` (can programs be executed?), `descriptors` (many), `root`, `rings`, or
        `glibc>=2.34`.
        """
        if condition.startswith("!"):
            return not self.satisfies(condition[1:])
        if versioned := re.fullmatch(r"(\w+)(>=|<)(\d+)\.(\d+)", condition):
            wanted = (int(versioned[3]), int(versioned[4]))
            return self.libc == versioned[1] and ((self.version >= wanted) == (versioned[2] == ">="))
        if condition == "descriptors":
            return resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 80000
        if condition == "root":
            return os.geteuid() == 0
        if condition == "rings":
            return self.machine == os.uname().machine and _has_rings()
        if condition == "exec":
            return self.machine == os.uname().machine
        return condition in (self.libc, self.machine, self.name)

    def command(self, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> list[str]:
        """How to run a program here. `folder` is visible to it, and all else that is its root's."""
        if self.root:
            settings = [f"--chdir={folder}", *(f"{name}={value}" for name, value in variables.items())]
            enter = ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(self.root), str(_shared(folder))]
            return [*enter, *settings, *arguments]
        if self.machine != os.uname().machine:
            options = [option for name, value in variables.items() for option in ("-E", f"{name}={value}")]
            return [f"qemu-{self.machine}", "-L", str(CROSS), *options, *arguments]
        return list(arguments)


@cache
def _has_rings() -> bool:
    """Whether the kernel lets this user have an io_uring."""
    ring = ctypes.CDLL(None).syscall(425, 2, ctypes.create_string_buffer(120))
    if ring >= 0:
        os.close(ring)
    return ring >= 0


HOST = os.uname().machine
_OWN_VERSION = tuple(int(part) for part in re.findall(r"\d+", os.confstr("CS_GNU_LIBC_VERSION") or "0.0")[:2])
_OLDEST = (*ZIG, "-target", f"{HOST}-linux-gnu.2.31")
_HOST_COMPILER = ("gcc", "-D_FORTIFY_SOURCE=2") if shutil.which("gcc") else _OLDEST
TARGETS = {
    target.name: target
    for target in (
        Target("host", "glibc", _OWN_VERSION, HOST, _HOST_COMPILER),
        Target("bullseye", "glibc", (2, 31), HOST, _OLDEST, "bullseye"),
        Target("bookworm", "glibc", (2, 36), HOST, _OLDEST, "bookworm"),
        Target("trixie", "glibc", (2, 41), HOST, _OLDEST, "trixie"),
        Target("sid", "glibc", (2, 43), HOST, _OLDEST, "sid"),
        Target("musl", "musl", (1, 2), HOST, ("musl-gcc",)),
        Target("aarch64", "glibc", (2, 36), "aarch64", ("aarch64-linux-gnu-gcc",)),
    )
}


def _shared(folder: Path) -> Path:
    """The part of a test's folder that is mounted: with it come its neighbours, the programs of this session."""
    for parent in folder.parents:
        if parent.name.startswith("pytest-"):
            return parent
    return folder


def library(machine: str = HOST) -> Path:
    """The built library for a machine."""
    path = REPOSITORY / f"build/python/interpose/lib/{machine}/libinterpose.so"
    if not path.exists():
        missing(str(path.relative_to(REPOSITORY)), "run make install")
    return path


def run(
    target: Target,
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str] | None = None,
    *,
    timeout: float = 60,
) -> Outcome:
    """Run a program in `folder` with a small fixed environment and `variables`, without a terminal."""
    given = {**ENVIRONMENT, **(variables or {})}
    inherited = given if target.root is None and target.machine == HOST else dict(ENVIRONMENT)
    result = subprocess.run(
        target.command(arguments, folder, given),
        cwd=folder,
        env=inherited,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(result.returncode, result.stdout, result.stderr)
