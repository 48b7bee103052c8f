"""Putting onto a host what its containers are captured with, and taking it away again.

Everything lies in the host directory: the engine goes on calling the launcher there after the installation that made
it is gone, so nothing points back to that, Python's interpreter aside; without one the launcher still runs the real
runtime.
"""

import compileall
import importlib.resources
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from interpose.injector.runtime import HEADING, launcher
from interpose.sidecar.hostdir import HostDirectory
from interpose.sidecar.shared import remove_tree

__all__ = ["LAUNCHER", "built_libraries", "install_host", "launcher_of", "remove_host", "wrapped_by"]

LAUNCHER: Final = "interpose-oci"
_MODULES: Final = {
    "interpose.injector": (
        "__init__", "checkpoint", "container", "engine_files", "engine_path", "executable", "inject", "oci", "plan",
        "runtime", "tree",
    ),
    "interpose.sidecar": (
        "__init__", "birth", "container_id", "errors", "holding", "hostdir", "shared", "spool", "unseen",
    ),
}  # fmt: skip
"""What `interpose-oci` consists of."""
_LONGEST_LAUNCHER: Final = 65536
_STAND_INS: Final = {"dataclasses": "light_dataclasses", "typing": "light_typing"}
"""Modules of the standard library that it has others for, which are imported faster."""


def launcher_of(host: Path) -> Path:
    """The program that the engine calls instead of its runtime."""
    return host / "bin" / LAUNCHER


def wrapped_by(program: str) -> str | None:
    """The runtime that a launcher of ours calls, whatever host directory it belongs to; None for any other program."""
    try:
        with Path(program).open("rb") as file:
            text = file.read(_LONGEST_LAUNCHER).decode("utf-8", "replace")
    except OSError:
        return None
    return shlex.split(text.splitlines()[-1])[1] if text.startswith(HEADING) else None


def install_host(
    host: Path, *, runtime: str, level: str, images: tuple[str, ...], owner: tuple[int, int], builds: bool = False
) -> None:
    """Make or renew the host directory: libraries, settings, launcher. Raises OSError.

    `runtime` is the absolute path of the real OCI runtime, `owner` the user and group that the sidecar runs as. With
    `builds`, every step of a build is captured unasked.
    """
    directory = HostDirectory(host)
    directory.prepare()
    for made in (directory.path, directory.containers, directory.active, directory.library):
        os.chown(made, *owner)
    if not directory.decisions.exists():
        directory.decisions.touch(0o644)
        os.chown(directory.decisions, *owner)
    for machine, content in built_libraries().items():
        directory.place_library(machine, content)
    _write(host / "settings.json", json.dumps({"level": level, "runtime": runtime}) + "\n")
    if images:
        _write(host / "images", "".join(f"{pattern}\n" for pattern in images))
    else:
        (host / "images").unlink(missing_ok=True)
    if builds:
        (host / "builds").touch(0o644)
    else:
        (host / "builds").unlink(missing_ok=True)
    _place_launcher(host, runtime)


def remove_host(host: Path) -> bool:
    """Remove the host directory, with whatever was not stored. False if some of it stays."""
    return remove_tree(host)


def built_libraries() -> dict[str, bytes]:
    """What the installation brings, by machine."""
    found = {}
    folder = importlib.resources.files("interpose.lib")
    for machine in folder.iterdir():
        library = machine / "libinterpose.so"
        if library.is_file():
            found[machine.name] = library.read_bytes()
    return found


def _place_launcher(host: Path, runtime: str) -> None:
    """The modules go into a folder of their own, and the launcher changes over to it at once: calls are under way."""
    base = host / "runtime"
    before = list(base.iterdir()) if base.exists() else []
    folder = base / str(len(before) and max(int(old.name) for old in before) + 1)
    for package, modules in _MODULES.items():
        target = folder / package.replace(".", "/")
        target.mkdir(parents=True)
        for module in modules:
            source = importlib.resources.files(package) / f"{module}.py"
            (target / f"{module}.py").write_bytes(source.read_bytes())
    for name, module in _STAND_INS.items():
        source = importlib.resources.files("interpose.injector") / f"{module}.py"
        (folder / f"{name}.py").write_bytes(source.read_bytes())
    python = os.path.realpath(sys.executable)
    compileall.compile_dir(folder, quiet=2)
    text = launcher(
        python=python, module=str(folder / "interpose/injector/runtime.py"), host=str(host), runtime=runtime
    )
    place = launcher_of(host)
    place.parent.mkdir(exist_ok=True)
    _write(place, text, 0o755)
    named = host / "path/runc"  # see builds.py
    named.parent.mkdir(exist_ok=True)
    if not named.is_symlink():
        named.symlink_to(f"../bin/{LAUNCHER}")
    for old in before:
        shutil.rmtree(old, ignore_errors=True)


def _write(file: Path, content: str, mode: int = 0o644) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(content, encoding="utf-8")
    draft.chmod(mode)
    draft.rename(file)
