"""Each snippet, on each libc, run in four ways: it behaves as without the library, and leaves the events it says."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interpose.v1.event_pb2 import BlindSpot
from support.capture import CALLS, Capture, Process
from support.events import MODES, Expected, Snippet, difference, effect_of, read_snippet, reason, show
from support.programs import SNIPPETS
from support.roots import TARGETS, Outcome, Target, run

TOPICS = [read_snippet(path) for path in sorted(SNIPPETS.glob("*.c")) if path.stem not in ("harness", "main")]
CASES = [
    pytest.param(target, topic, id=f"{target.name}-{topic.name}")
    for target in TARGETS.values()
    for topic in TOPICS
    if topic.runs_on(target)
]
EARLY = ("open", "bytes", "environment", "environment_cleared", "fork")
"""Topics that also run before all constructors, that of libc included; there is no such time in musl."""

QUIET = frozenset({"origin", "load", "consult", "env"})
"""Effects that count only where a topic names them."""


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _run_both(capture: Capture, arguments: list[str], folder: Path) -> tuple[Outcome, Outcome]:
    bare = run(capture.target, arguments, _fresh(folder))
    captured = capture.run(arguments, _fresh(folder))
    return bare, captured


def _modes(target: Target, topic: Snippet) -> tuple[str, ...]:
    early = target.libc == "glibc" and topic.name in EARLY
    return MODES if early else tuple(mode for mode in MODES if mode != "preinit")


def _run_mode(target: Target, harness: Path, topic: Snippet, mode: str, folder: Path):
    with Capture(folder / f"capture-{mode}", target) as capture:
        bare, captured = _run_both(capture, [str(harness), mode, topic.name], folder / mode)
        return mode, bare, captured, capture.processes()


@pytest.mark.parametrize(("target", "topic"), CASES)
def test_a_program_behaves_as_without_the_library_and_its_events_are_the_expected(target, topic, programs, tmp_path):
    target.require()
    harness = programs.harness(target)
    with ThreadPoolExecutor() as pool:
        runs = pool.map(lambda mode: _run_mode(target, harness, topic, mode, tmp_path), _modes(target, topic))
    for mode, bare, captured, processes in runs:
        assert bare == captured, mode
        assert bare.status == 0 or mode == "fork", bare
        _check(processes, topic, target, mode, tmp_path / mode)


@pytest.mark.parametrize(("target", "topic"), CASES)
def test_a_program_behaves_as_without_the_library_at_level_calls(target, topic, programs, tmp_path):
    target.require()
    with Capture(tmp_path / "capture", target, level=CALLS) as capture:
        arguments = [str(programs.harness(target)), "main", topic.name]
        bare, captured = _run_both(capture, arguments, tmp_path / "work")
        assert bare == captured
        _check_whole(capture.processes())


def _check_whole(processes: list[Process]) -> None:
    for process in processes:
        assert effect_of(process.events[0]) == "origin"
        assert (process.unfinished, process.lost, process.gaps) == (0, 0, 0)


def _check(processes: list[Process], topic: Snippet, target: Target, mode: str, work: Path) -> None:
    _check_whole(processes)
    main = next(process for process in processes if _marks(process))
    others = [process for process in processes if process is not main]
    if mode == "fork":
        assert reason(main.events[0]) == "fork"
        others = others[1:]  # the harness itself
    known: dict[str, object] = {}
    sections = topic.expected(target, mode)
    found = [[reason(process.events[0]) for process in others], [kind for kind, _ in sections[1:]]]
    shown = "\n".join(f"{process.pid}:\n" + "\n".join(map(show, process.events)) for process in processes)
    assert found[0] == found[1], f"{mode}: other processes\n{shown}"
    for process, (_, expected) in zip([main, *others], sections, strict=True):
        if expected is not None:
            problem = difference(expected, _topic_events(process, expected), known, work)
            assert problem is None, f"{mode}: {problem}"


def _marks(process: Process) -> list[int]:
    return [
        position
        for position, event in enumerate(process.events)
        if effect_of(event) == "kill" and event.kill.signal == 0 and event.kill.process == process.pid
    ]


def _topic_events(process: Process, expected: list[Expected]):
    marks = _marks(process)
    events = process.events[marks[0] + 1 : marks[1] if len(marks) > 1 else None] if marks else process.events
    quiet = QUIET - {each.effect for each in expected}
    if not any(("internal", True) in each.fields for each in expected):
        quiet |= {"internal io"}
    return [event for event in events if not _is_noise(event, quiet)]


def _is_noise(event, quiet: frozenset[str]) -> bool:
    """What goes to the test itself, and what libc and the loader leave in passing."""
    effect = effect_of(event)
    if effect == "io" and event.io.internal:
        effect = "internal io"
    if effect == "blind_spot" and event.blind_spot.cause == BlindSpot.CAUSE_DIRECT_SYSCALLS:
        return True  # the topics' library makes some
    return effect in quiet or (effect == "io" and event.io.fd in (1, 2))
