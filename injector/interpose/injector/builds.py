"""Having what `docker build` runs go through `interpose-oci`, too.

The Engine's builder (BuildKit) does not ask which runtime is the default one: it calls `runc`, which it looks up in
dockerd's PATH for each step. So a folder of ours with that name in it has to come first there. The environment of a
process is given to it at its start: a drop-in of dockerd's unit says so, and counts from its next start on. Newer
Engines (25) can be told a program by DOCKER_BUILDKIT_RUNC_COMMAND instead, an experiment of theirs; a program that is
named so must not be gone, a folder in PATH may.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from interpose.injector.host import launcher_of

__all__ = ["DROP_IN", "drop_in_of", "folder_of", "goes_through", "is_named", "put_drop_in", "take_drop_in"]

DROP_IN: Final = "interpose.conf"
_UNITS: Final = Path("/etc/systemd/system")
_OVERRIDE: Final = "DOCKER_BUILDKIT_RUNC_COMMAND"
_UNIT: Final = re.compile(r"^(?:0::|\d+:name=systemd:)/system\.slice/([^/]+\.service)$", re.MULTILINE)
_RELOAD_SECONDS: Final = 60


def folder_of(host: Path) -> Path:
    """The folder that has to be the first in dockerd's PATH."""
    return host / "path"


def goes_through(environment: Mapping[str, str], host: Path) -> bool:
    """Whether a dockerd with this environment runs what is built by the launcher of a host directory."""
    program = environment.get(_OVERRIDE) or "runc"
    found = shutil.which(program, path=environment.get("PATH", ""))
    return found is not None and os.path.realpath(found) == os.path.realpath(launcher_of(host))


def is_named(environment: Mapping[str, str], host: Path) -> bool:
    """Whether such a dockerd could build nothing without the launcher."""
    named = environment.get(_OVERRIDE)
    return named is not None and os.path.realpath(named) == os.path.realpath(launcher_of(host))


def drop_in_of(cgroups: str, units: Path = _UNITS) -> Path | None:
    """Where a drop-in of the system's unit is put that has these /proc/PID/cgroup; None if it has none."""
    found = _UNIT.search(cgroups)
    return units / f"{found[1]}.d" / DROP_IN if found else None


def put_drop_in(file: Path, host: Path, environment: Mapping[str, str]) -> None:
    """Have a unit's PATH begin with our folder from its next start on. Raises OSError."""
    ours = os.fspath(folder_of(host))
    others = [place for place in environment.get("PATH", os.defpath).split(":") if place and place != ours]
    path = ":".join([ours, *others]).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        "# Made by `interpose docker install`, removed by `interpose docker uninstall`: what is built is run by the\n"
        f'# `runc` that is found there first.\n[Service]\nEnvironment="PATH={path}"\n',
        encoding="utf-8",
    )
    _reload()


def take_drop_in(file: Path) -> None:
    """Remove it again. Raises OSError."""
    file.unlink(missing_ok=True)
    if file.parent.is_dir() and not any(file.parent.iterdir()):
        file.parent.rmdir()
    _reload()


def _reload() -> None:
    program = shutil.which("systemctl")
    if program is not None:
        subprocess.run([program, "daemon-reload"], check=False, capture_output=True, timeout=_RELOAD_SECONDS)
