"""Reading the Test Anything Protocol: what Perl's tests print."""

import re
from collections import Counter
from collections.abc import Mapping

__all__ = ["read_tap"]

_LINE = re.compile(r"^(?P<not>not )?ok(?: (?P<number>\d+))?(?P<rest>.*)", re.MULTILINE)
_DIRECTIVE = re.compile(r"(?<!\\)#\s*(?P<word>skip|todo)", re.IGNORECASE)
_PLAN = re.compile(r"^1\.\.(?P<last>\d+)(?:\s*#\s*(?P<why>.*))?", re.MULTILINE)


def read_tap(name: str, output: str) -> Mapping[str, str]:
    """The verdict of each test of a file by its number, and the plan, which a file that ends early does not fulfil."""
    verdicts: dict[str, str] = {}
    seen: Counter[str] = Counter()
    last = 0
    for line in _LINE.finditer(output):
        last = int(line["number"] or last + 1)
        test = f"{name}: {last}"
        seen[test] += 1
        verdicts[test if seen[test] == 1 else f"{test} #{seen[test]}"] = _verdict(bool(line["not"]), line["rest"])
    for plan in _PLAN.finditer(output):
        verdicts[f"{name}: plan"] = "skipped" if plan["last"] == "0" else f"1..{plan['last']}"
    return verdicts


def _verdict(failed: bool, rest: str) -> str:
    verdict = "failed" if failed else "passed"
    directive = _DIRECTIVE.search(rest)
    return f"{verdict}, {directive['word'].lower()}" if directive else verdict
