"""What the test program `announce` has told of its calls, against the events."""

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

__all__ = ["counted"]


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
