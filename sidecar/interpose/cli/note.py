"""What a capture directory of `interpose run` says of itself, for whoever stores what is in it later."""

import contextlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from interpose.sidecar.shared import remove_tree
from interpose.sidecar.unseen import Unseen, decoded

__all__ = ["Note", "remove_capture"]

_NAME: Final = "run"


@dataclass(frozen=True, slots=True)
class Note:
    """Whose capture it is. For its user alone: databases' URLs may have passwords."""

    url: str
    run: str
    command: list[str]
    started: int
    ended: int | None = None
    status: int | None = None
    """When and how the command ended; None as long as it goes on, or where its `interpose run` was killed."""
    unseen: dict[str, Any] | None = None
    """See RunInfo; encoded."""
    problem: str | None = None
    """Why what is here could not be stored, when it was last tried."""

    def leave(self, directory: Path) -> None:
        """Write it, in the place of a former one. Raises OSError."""
        draft = directory / f".{_NAME}.{os.getpid()}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as note:
            json.dump(asdict(self), note)
        draft.rename(directory / _NAME)

    def first(self) -> Unseen | None:
        """The command, if it will tell nothing of itself."""
        try:
            return decoded(self.unseen)
        except (TypeError, KeyError):
            return None  # another version's

    @classmethod
    def of(cls, directory: Path) -> Self | None:
        """What is written there; None for what we have not written: others may make directories beside ours."""
        try:
            status = directory.lstat()
            if status.st_uid != os.geteuid() or not stat.S_ISDIR(status.st_mode):
                return None
            return cls(**json.loads((directory / _NAME).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def remove_capture(directory: Path) -> None:
    """Remove a capture directory; the note first, so that nobody takes what is left meanwhile for a capture."""
    with contextlib.suppress(OSError):
        (directory / _NAME).unlink()
    remove_tree(directory)
