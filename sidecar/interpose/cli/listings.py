"""`interpose runs`, `ps`, `files` and `events`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.filesize import decimal
from rich.text import Text

from interpose.cli.database import database_option, reading
from interpose.cli.options import container_option
from interpose.cli.output import (
    command_line,
    console,
    duration,
    exact,
    moment,
    print_json,
    printable,
    show,
    table,
    unseen,
)
from interpose.cli.tree import Guides, branches
from interpose.injector.container import BUILD
from interpose.sidecar.query import (
    READ,
    WRITE,
    EventInfo,
    FileInfo,
    ProcessInfo,
    RunInfo,
    all_runs,
    events_of,
    files_of,
    find_run,
    processes_of,
)

__all__ = ["events", "files", "ps", "runs"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
run_argument = click.argument("wanted", metavar="RUN", default="last")


@click.command()
@database_option
@json_option
def runs(url: str, as_json: bool) -> None:
    """List the runs, the newest last."""
    with reading(url) as connection:
        found = all_runs(connection)
    if as_json:
        print_json(found)
        return
    shown = table(
        "RUN", "STARTED", "DURATION", "STATUS", "PROCESSES", "LOST", "UNSEEN", "COMMAND",
        right=("DURATION", "STATUS", "PROCESSES", "LOST", "UNSEEN"),
    )  # fmt: skip
    for run in found:
        shown.add_row(
            run.id,
            moment(run.started),
            duration(run.started, run.ended),
            _status(run.status, run.ended),
            str(run.processes),
            str(run.lost),
            str(run.blind_spots),
            Text(_what(run)),
        )
    show(shown, console())


def _what(run: RunInfo) -> str:
    """The command, or the container: its name, and whose image's life it is."""
    if run.command is not None:
        return command_line(run.command)
    if run.container is None:
        return "(container)"
    if run.container.labels.get(BUILD) == "true":
        return printable(f"(build step {run.container.id[:12]})")
    return printable(f"(container {run.container.name or run.container.id[:12]} of {run.container.image or '?'})")


def _status(status: int | None, ended: int | None) -> str:
    if status is not None:
        return str(status)
    return "running" if ended is None else "?"


@click.command(short_help="Show the processes of a run.")
@run_argument
@container_option
@database_option
@json_option
def ps(wanted: str, container: str | None, url: str, as_json: bool) -> None:
    """Show the processes of RUN (an id, its beginning, or `last`) as a tree."""
    with reading(url) as connection:
        run = find_run(connection, wanted, container)
        found = processes_of(connection, run)
        over = any(one.id == run and one.ended is not None for one in all_runs(connection))
    if as_json:
        print_json(found)
        return
    terminal = console()
    shown = table("PID", "STATUS", "DURATION", "COMMAND", right=("PID", "STATUS", "DURATION"))
    by_id = {process.id: process for process in found if process.id is not None}
    for process, guide in _family(found, Guides.fitting(terminal)):
        status = "?" if process.status is None and (over or process.ended) else _status(process.status, process.ended)
        shown.add_row(
            str(process.pid), status, duration(process.started, process.ended), Text(guide) + _command(process, by_id)
        )
    show(shown, terminal)


def _family(processes: Sequence[ProcessInfo], guides: Guides) -> Iterator[tuple[ProcessInfo, str]]:
    """Every process behind the lines that join it to its parent, parents first."""
    known = {process.id for process in processes}
    children: dict[int | None, list[ProcessInfo]] = defaultdict(list)
    for process in processes:
        children[process.parent if process.parent in known else None].append(process)

    def below(process: ProcessInfo) -> list[ProcessInfo]:
        return children[process.id] if process.id is not None else []

    for root in children[None]:
        yield from branches(root, below, guides)


def _command(process: ProcessInfo, by_id: dict[int, ProcessInfo]) -> Text:
    """What a process ran last, and what of it is unseen."""
    if not process.programs:
        parent = by_id.get(process.parent) if process.parent is not None else None
        of = command_line(parent.programs[-1].arguments) if parent and parent.programs else ""
        return Text.assemble("(forked by ", of or "its parent", ", nothing recorded)")
    program = process.programs[-1]
    line = command_line(program.arguments) or printable(program.executable or "?")
    if program.reason == "fork":
        line = f"({line})"
    if program.blind_spot is None:
        return Text(line)
    return Text.assemble(line, (f" [{unseen(program.reason, program.blind_spot, program.blind_object)}]", "bold red"))


@click.command(short_help="List the files that a run read and wrote.")
@run_argument
@container_option
@click.option("--read", is_flag=True, help="Only files that programs read, executed or loaded.")
@click.option("--written", is_flag=True, help="Only files that programs changed, made or removed.")
@click.option("--all", "everything", is_flag=True, help="Also pipes, sockets, directories and what was only opened.")
@database_option
@json_option
def files(
    wanted: str, *, container: str | None, read: bool, written: bool, everything: bool, url: str, as_json: bool
) -> None:
    """List the files that RUN (an id, its beginning, or `last`) read and wrote."""
    both = read == written
    with reading(url) as connection:
        run = find_run(connection, wanted, container)
        found = files_of(connection, run, read=read or both, written=written or both, everything=everything)
    if as_json:
        print_json(found)
        return
    shown = table("PATH", "READ", "WRITTEN", "READ BY", "WRITTEN BY", right=("READ", "WRITTEN"))
    for file in found:
        shown.add_row(
            exact(file.path or f"{file.kind}:[{file.inode}]"),
            _amount(file, READ, file.bytes_read),
            _amount(file, WRITE, file.bytes_written),
            _programs(file.readers),
            _programs(file.writers),
        )
    show(shown, console())


def _amount(file: FileInfo, kinds: frozenset[str], amount: int) -> str:
    return decimal(amount) if kinds & set(file.accesses) else ""


def _programs(paths: Sequence[str]) -> Text:
    return exact(", ".join(sorted({path.rsplit("/", 1)[-1] for path in paths})))


@click.command(short_help="List the events of a run.")
@run_argument
@container_option
@click.option("--effect", metavar="NAME", help="Only events of this effect: open, io, exec, ...")
@database_option
@json_option
def events(wanted: str, container: str | None, effect: str | None, url: str, as_json: bool) -> None:
    """List the events of RUN (an id, its beginning, or `last`) in the order of their times."""
    with reading(url) as connection:
        found = events_of(connection, find_run(connection, wanted, container), effect)
        if as_json:
            print_json(found)
            return
        terminal = console()
        for event in found:
            terminal.print(_line(event), soft_wrap=True)


def _line(event: EventInfo) -> Text:
    time = f"{moment(event.time)}.{event.time % 1_000_000_000 // 1000:06}"
    error = f" error={event.error}" if event.error else ""
    head = f"{time} {event.pid if event.pid is not None else '?'} {event.function or '-'} {event.effect}"
    return Text(f"{head}{error} {_pairs(event.fields)}")


def _pairs(fields: dict[str, Any]) -> str:
    told = {name: value for name, value in fields.items() if value is not False and value not in ("", [])}
    return " ".join(f"{name}={_shown(value)}" for name, value in told.items())


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{" + " ".join(f"{name}={_shown(one)}" for name, one in value.items() if one not in ("", [], False)) + "}"
        )
    if isinstance(value, list):
        return "[" + " ".join(_shown(one) for one in value) + "]"
    return command_line([value]) if isinstance(value, str) else str(value)
