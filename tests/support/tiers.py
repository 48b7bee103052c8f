"""What `make test` and `make test-all` run, and what is said before they begin.

Run as a program by any Python, before anything is installed: `python3 tests/support/tiers.py test`.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["LEFT_OUT", "announcement", "asked_for", "is_matrix"]

LEFT_OUT = "not matrix and not slow"
"""Which tests are `make test`'s, as pytest's option -m says it."""
_FOLDER = Path(__file__).parents[1]
_ENGINE = _FOLDER / "containers"
_STORE = "test_store.py"
_TIMES = {
    "test": "about 10 minutes on two cores, the first time 3 more to install and build",
    "test-all": "about 40 minutes on two cores",
}
_NEED = re.compile(r"\bneed\(([^()]*)\)")


def is_matrix(path: Path, parameters: Mapping[str, object]) -> bool:
    """Whether a test says the same as another one, elsewhere: with an Engine, on PostgreSQL, on another libc.

    The store's own tests are for both databases: what differs between them is theirs.
    """
    target = parameters.get("target")
    elsewhere = target is not None and getattr(target, "name", "host") != "host"
    database = parameters.get("databases") == "postgresql" and path.name != _STORE
    return elsewhere or database or _ENGINE in path.parents


def asked_for(files: Iterable[Path]) -> set[str]:
    """The programs without which tests in these files are skipped: what they give to `need`."""
    calls = (call for file in files for call in _NEED.findall(file.read_text(encoding="utf-8")))
    return {name for call in calls for name in re.findall(r'"([\w./+-]+)"', call)}


def _files(tier: str) -> list[Path]:
    """Whose skips a tier may come to."""
    engine = {_ENGINE, _FOLDER / "support/engine.py"}
    return [path for path in _FOLDER.rglob("*.py") if tier == "test-all" or not engine & {path, *path.parents}]


def announcement(tier: str) -> list[str]:
    """How long a tier takes, and what this machine lacks for it."""
    elsewhere = "; other libcs, PostgreSQL and an Engine: make test-all" if tier == "test" else ""
    said = [f"make {tier}: {_TIMES[tier]}{elsewhere}"]
    if missing := sorted(name for name in asked_for(_files(tier)) if not shutil.which(name)):
        said.append(f"skipped here for what is missing ({', '.join(missing)}): run tests/install-packages")
    if os.geteuid() != 0:
        said.append("skipped here for want of permission (to mount, chroot, become another user): run as root")
    return said


if __name__ == "__main__":
    print("\n".join(announcement(sys.argv[1])), flush=True)
