"""Wheels of what is installed here, for an installation of ours elsewhere without an index."""

import importlib.metadata
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from support.roots import REPOSITORY

__all__ = ["pack_wheels"]

_OF_THE_INSTALLATION = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def pack_wheels(folder: Path) -> None:
    """Make a wheel of everything that building and running ours needs."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], "interpose[postgresql]"]
    for distribution in _closure(wanted):
        _pack(distribution, folder)


def _closure(wanted: list[str]) -> Iterator[importlib.metadata.Distribution]:
    waiting, met = [Requirement(text) for text in wanted], set()
    while waiting:
        requirement = waiting.pop()
        known = (requirement.name.lower(), frozenset(requirement.extras))
        if known in met:
            continue
        met.add(known)
        distribution = importlib.metadata.distribution(requirement.name)
        extras = requirement.extras or {""}
        further = [Requirement(text) for text in distribution.requires or ()]
        waiting += [each for each in further if _applies(each, extras)]
        if requirement.name != "interpose":
            yield distribution


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def _pack(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    """What an installer has unpacked, together again. Programs it makes anew, from entry_points.txt."""
    files = [file for file in distribution.files or () if ".." not in file.parts and "__pycache__" not in file.parts]
    about = next(file.parent for file in files if len(file.parts) == 2 and file.match("*.dist-info/WHEEL"))
    kept = [file for file in files if not (file.parent == about and file.name in _OF_THE_INSTALLATION)]
    tag = next(line.split()[1] for line in (distribution.read_text("WHEEL") or "").splitlines() if line[:4] == "Tag:")
    name = f"{about.name.removesuffix('.dist-info')}-{tag}.whl"
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        for file in kept:
            wheel.write(str(file.locate()), str(file))
        wheel.writestr(f"{about}/RECORD", "".join(f"{file},,\n" for file in [*kept, f"{about}/RECORD"]))
