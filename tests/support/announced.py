"""What the test program `announce` has told of its calls, against the events."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

from support.cli import Interpose

__all__ = ["Announcer", "counted"]


def counted(events: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many of the program's calls the events tell of; each draft's name once at the most."""
    drafts = [
        (event["effect"], os.path.basename(_path(event)))
        for event in events
        if event["effect"] in ("open", "rename") and "draft" in _path(event)
    ]
    assert [] == [what for what, number in Counter(drafts).items() if number > 1]
    calls = Counter(effect for effect, _ in drafts)
    writes = sum(
        event["fields"]["writes"]
        for event in events
        if event["effect"] == "io" and event["fields"].get("bytes_written") == 7 * event["fields"].get("writes", 0)
    )
    return {"o": calls["open"], "w": writes, "r": calls["rename"]}


def _path(event: dict[str, Any]) -> str:
    fields = event["fields"]
    return (fields.get("name") or fields.get("from") or fields.get("old") or {}).get("path", "")


class Announcer:
    """The program, captured, for the length of a block or until it is ended."""

    def __init__(self, interpose: Interpose, program: str, pause: int = 500) -> None:
        """`pause`: microseconds between two rounds of calls."""
        (interpose.folder / "announced").mkdir()
        self._calls = interpose.folder / "calls"
        with self._calls.open("wb") as calls:
            self._process = subprocess.Popen(
                [program, "announced", "0", str(pause)], cwd=interpose.folder, env=interpose.captured, stdout=calls
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def calls(self) -> int:
        """How many it has told of."""
        return self._calls.stat().st_size

    def end(self) -> None:
        """SIGKILL, and wait for it."""
        self._process.kill()
        self._process.wait()

    def check(self, events: Iterable[dict[str, Any]]) -> None:
        """Each call that has returned has its event, once; the last of each kind may have returned untold."""
        stored, told = counted(events), Counter(self._calls.read_text())
        assert min(told.values()) > 100
        assert all(told[call] <= count <= told[call] + 1 for call, count in stored.items()), (told, stored)
