"""CRIU, which checkpoints processes: Debian 12's does not start on new kernels, so that of a newer release is used."""

import os
import shlex
import subprocess
from pathlib import Path

from support.roots import ROOTS, missing

__all__ = ["criu"]

_RELEASE = "sid"


def criu(folder: Path) -> Path:
    """A program of that name, made in `folder`; the test is skipped where CRIU cannot work."""
    root = ROOTS / _RELEASE
    installed = root / "usr/sbin/criu"
    if not installed.exists():
        missing(f"criu in the root of Debian {_RELEASE}")
    if os.geteuid() != 0:
        missing("root's permission to checkpoint", "run as root")
    loader, libraries = root / "lib64/ld-linux-x86-64.so.2", root / f"usr/lib/{os.uname().machine}-linux-gnu"
    made = folder / "criu"
    made.write_text(
        f'#!/bin/sh\nexec {shlex.join([str(loader), "--library-path", str(libraries), str(installed)])} "$@"\n'
    )
    made.chmod(0o755)
    checked = subprocess.run([made, "check"], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        missing(f"a kernel on which criu works ({checked.stderr.strip().splitlines()[-1:]})", "use another kernel")
    return made
