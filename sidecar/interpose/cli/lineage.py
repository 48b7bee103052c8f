"""`interpose lineage`: how a file was made."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.text import Text
from sqlalchemy import Connection

from interpose.cli.database import database_option, reading
from interpose.cli.output import command_line, complain, console, moment, print_json, printable, unseen
from interpose.cli.statx import identity_of
from interpose.cli.tree import Guides, branches
from interpose.sidecar.lineage import FOREVER, Edge, Graph, Image, Version, trace
from interpose.sidecar.lineage_rows import DatabaseSource, Found, NeverSeenError, find_file
from interpose.sidecar.paths import absolute
from interpose.sidecar.query import arguments_of, find_run, names_alike, names_of, runs_of_container, text

__all__ = ["EdgeLine", "FileLine", "ProcessLine", "lineage"]

_NAMED = 3
"""Other files of the same name, for whoever asked for one that was never seen."""
_LIBRARY = re.compile(r"(\.so(\.[0-9]+)*|/ld\.so\.(cache|preload))$")


@dataclass(frozen=True, slots=True)
class FileLine:
    """A version of a file in `--json`."""

    type: str
    id: str
    asked: bool
    path: str | None
    paths: list[str]
    kind: str
    device: int
    inode: int
    birth_time: int
    since: int
    until: int | None
    unseen: bool


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """A program in `--json`."""

    type: str
    id: str
    run: str
    pid_namespace: int
    pid: int
    reason: str
    executable: str | None
    arguments: list[str] | None
    directory: str | None
    started: int
    ended: int | None
    until: int | None
    blind_spot: str | None
    blind_object: str | None


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """Where content went, in `--json`."""

    type: str
    kind: str
    source: str
    target: str
    first: int
    last: int | None
    bytes: int


@click.command(short_help="Tell how a file was made.")
@click.argument("path", type=click.Path())
@click.option("--run", "wanted", metavar="RUN", help="Only what this run did (an id, its beginning, or `last`).")
@click.option("--container", metavar="NAME", help="PATH is one in this container (its name, or its id's beginning).")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="At most N programs deep.")
@click.option("--all", "everything", is_flag=True, help="Also each shared library and executable.")
@click.option("--json", "as_json", is_flag=True, help="Print nodes and edges, one JSON object a line.")
@database_option
def lineage(
    path: str,
    *,
    wanted: str | None,
    container: str | None,
    depth: int | None,
    everything: bool,
    as_json: bool,
    url: str,
) -> None:
    """Tell how the file PATH was made: by which programs, from which files, and so on."""
    with reading(url) as connection:
        run = find_run(connection, wanted, container) if wanted is not None else None
        if container is None:
            names = _meanings(path)
            found = _find(connection, path, names, run)
        else:
            names = [os.fsencode(os.path.normpath(os.path.join("/", path)))]  # noqa: PTH118
            found = _find_inside(
                connection, names, [run] if run is not None else runs_of_container(connection, container)
            )
        if found.former:
            complain(f"the file that is at {path} now was never seen; this is of the one seen there before")
        graph = trace(DatabaseSource(connection, run), found.file, depth=depth)
        paths = _paths(connection, graph, run, [text(name) for name in names])
    if as_json:
        print_json(_lines(graph, paths))
        return
    terminal = console()
    tree = _Tree(graph, paths, everything)
    for line, guide in branches(_Line(graph.root), tree.below, Guides.fitting(terminal)):
        terminal.print(Text(guide) + tree.label(line), soft_wrap=True)


def _find(connection: Connection, path: str, names: Sequence[bytes], run: str | None) -> Found:
    try:
        return find_file(connection, names, identity_of(os.fsencode(path)), run)
    except NeverSeenError as error:
        blind = []
        with contextlib.suppress(OSError, ValueError):
            blind = list(DatabaseSource(connection, run).blind_at(os.stat(path).st_mtime_ns))  # noqa: PTH116
        if not blind:
            raise NeverSeenError(f"{error}{_hint(connection, path)}") from error
        programs = ", ".join(f"{_typed(image)} (run {image.run})" for image in blind)
        raise NeverSeenError(f"{error}; it changed while programs {_acted_unseen(blind)}: {programs}") from error


def _hint(connection: Connection, path: str) -> str:
    """What may help whoever asked for a file that nobody has seen."""
    if os.path.isdir(path):  # noqa: PTH112 - for paths of any bytes
        return ": it is a directory: ask for a file in it"
    alike = names_alike(connection, os.fsencode(os.path.basename(path)), _NAMED)  # noqa: PTH119
    if not alike:
        return ""
    return f": a copy that no captured program made has no history; seen were {', '.join(map(printable, alike))}"


def _find_inside(connection: Connection, names: Sequence[bytes], lives: Sequence[str]) -> Found:
    """The file that a container saw under this name in the newest of its lives in which it saw one."""
    for life in reversed(lives[1:]):
        with contextlib.suppress(NeverSeenError):
            return find_file(connection, names, None, life)
    return find_file(connection, names, None, lives[0])


def _meanings(path: str) -> list[bytes]:
    """The absolute paths under which a file may have been seen, as it was asked for first."""
    as_given = str(absolute(Path(path)))
    asked = os.path.abspath(path)  # noqa: PTH100 - pathlib leaves `..` in
    parts = "/".join(part for part in as_given.split("/") if part not in ("", "."))
    return list(dict.fromkeys(os.fsencode(name) for name in (asked, f"/{parts}", os.path.realpath(path))))


def _paths(connection: Connection, graph: Graph, run: str | None, asked: list[str]) -> dict[int, list[str]]:
    paths = names_of(connection, (version.file for version in graph.versions), run)
    own = paths.get(graph.root.file, [])
    paths[graph.root.file] = sorted(own, key=lambda name: asked.index(name) if name in asked else len(asked))
    return paths


# For programs


def _lines(graph: Graph, paths: dict[int, list[str]]) -> Iterator[FileLine | ProcessLine | EdgeLine]:
    for version, until in graph.versions.items():
        file, names = graph.file_rows[version.file], paths.get(version.file, [])
        yield FileLine(
            type="file",
            id=_id(version),
            asked=version == graph.root,
            path=names[0] if names else None,
            paths=names,
            kind=file.kind,
            device=file.device,
            inode=file.inode,
            birth_time=file.birth_time,
            since=version.since,
            until=_end(until),
            unseen=version in graph.unseen,
        )
    for id_, until in graph.images.items():
        image = graph.image_rows[id_]
        yield ProcessLine(
            type="process",
            id=_id(id_),
            run=image.run,
            pid_namespace=image.pid_namespace,
            pid=image.pid,
            reason=image.reason,
            executable=None if image.executable is None else text(image.executable),
            arguments=arguments_of(image.arguments),
            directory=None if image.directory is None else text(image.directory),
            started=image.started,
            ended=image.ended,
            until=_end(until),
            blind_spot=image.blind_spot,
            blind_object=_object(image),
        )
    for edge in graph.edges:
        yield EdgeLine("edge", edge.kind, _id(edge.source), _id(edge.target), edge.first, _end(edge.last), edge.amount)


def _object(image: Image) -> str | None:
    return text(image.blind_object) if image.blind_object else None


def _acted_unseen(images: Iterable[Image]) -> str:
    return "ran unseen" if all(image.reason == "blind" for image in images) else "may have acted unseen"


def _typed(image: Image) -> str:
    return command_line(arguments_of(image.arguments)) or printable(text(image.executable or b"?"))


def _id(node: int | Version) -> str:
    return f"file:{node.file}@{node.since}" if isinstance(node, Version) else f"process:{node}"


def _end(time: int) -> int | None:
    return None if time == FOREVER else time


# For people


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the tree: of a version, of an image (an integer), or of some libraries."""

    node: Version | int | None
    started: bool = False
    """An image that is there because it started the one above."""
    libraries: int = 0
    consulted: int = 0


def _folded(line: _Line) -> str:
    """What is told by its number alone."""
    parts = []
    if line.libraries:
        parts.append(f"{line.libraries} shared {'library' if line.libraries == 1 else 'libraries'}")
    if line.consulted:
        parts.append(f"{line.consulted} data {'file' if line.consulted == 1 else 'files'} of libc")
    return " and ".join(parts)


@dataclass(slots=True)
class _Tree:
    """Which lines stand below which; what was shown before is not unfolded again."""

    graph: Graph
    paths: dict[int, list[str]]
    everything: bool
    shown: set[Version | int] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)
    """Lines (by identity) whose node was unfolded above."""
    into: dict[Version | int, list[Edge]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        into: dict[Version | int, list[Edge]] = defaultdict(list)
        for edge in self.graph.edges:
            into[edge.target].append(edge)
        self.into = dict(into)

    def below(self, line: _Line) -> Sequence[_Line]:
        if line.node is None or line.node in self.shown:
            return []
        self.shown.add(line.node)
        return self.makers(line.node) if isinstance(line.node, Version) else self.inputs(line.node)

    def makers(self, version: Version) -> list[_Line]:
        edges = self.into.get(version, [])
        return [_Line(maker) for maker in dict.fromkeys(edge.source for edge in edges if edge.kind != "unseen")]

    def inputs(self, image: int) -> list[_Line]:
        files, libraries, consulted = self.files(image)
        lines = [_Line(file) for file in files]
        if libraries or consulted:
            lines.append(_Line(None, libraries=libraries, consulted=consulted))
        starter = self.starter(image)
        return lines if starter is None else [*lines, _Line(starter, started=True)]

    def files(self, image: int) -> tuple[list[Version], int, int]:
        """An image's inputs, and how many more are libraries and data of libc, told by their number alone."""
        kinds: dict[Version, set[str]] = {}
        for edge in self.into.get(image, []):
            if isinstance(edge.source, Version):
                kinds.setdefault(edge.source, set()).add(edge.kind)
        if not self.everything:
            kinds = {file: how for file, how in kinds.items() if not self.is_own(file, image)}
        folded = {file for file, how in kinds.items() if not self.everything and self.is_plain_library(file, how)}
        hidden = {file for file, how in kinds.items() if not self.everything and self.is_plain_program(file, how)}
        consulted = {file for file in folded - hidden if kinds[file] == {"consulted"}}
        return [file for file in kinds if file not in folded | hidden], len(folded - hidden - consulted), len(consulted)

    def is_own(self, file: Version, image: int) -> bool:
        """Whether an image read back what it alone had written."""
        return {edge.source for edge in self.into.get(file, [])} == {image}

    def is_plain_library(self, file: Version, how: set[str]) -> bool:
        """Whether a file is a library, or the loader's own, that no captured program made."""
        if file in self.into:
            return False
        return bool(how & {"loaded", "consulted"}) or any(map(_LIBRARY.search, self.paths.get(file.file, [])))

    def is_plain_program(self, file: Version, how: set[str]) -> bool:
        """Whether a file is but the program that runs; a program that was made while captured is an input."""
        return file not in self.into and how <= {"executed", "loaded"} and "executed" in how

    def starter(self, image: int) -> int | None:
        """Who started an image; a fork that did nothing but execute it is passed over."""
        before = self.before(image)
        while before is not None and self.graph.image_rows[before].reason == "fork" and not any(self.files(before)):
            further = self.before(before)
            if further is None:
                break
            before = further
        return before

    def before(self, image: int) -> int | None:
        starts = (edge.source for edge in self.into.get(image, []) if edge.kind == "started")
        return next((source for source in starts if not isinstance(source, Version)), None)

    def label(self, line: _Line) -> Text:
        if line.node is None:
            return Text(f"+ {_folded(line)}", style="dim")
        label = self.file(line.node) if isinstance(line.node, Version) else self.program(line.node)
        if line.started:
            label = Text("started by ", style="dim") + label
        if line.node in self.shown and (line.node in self.into):
            label.append(" (see above)", style="dim")
        return label

    def file(self, version: Version) -> Text:
        names, row = self.paths.get(version.file, []), self.graph.file_rows[version.file]
        label = Text(printable(names[0] if names else f"{row.kind}:[{row.inode}]"), style="bold")
        makers = [edge for edge in self.into.get(version, []) if edge.kind != "unseen"]
        blind = [edge.source for edge in self.into.get(version, []) if edge.kind == "unseen"]
        if blind:
            images = [self.graph.image_rows[image] for image in blind if isinstance(image, int)]
            programs = ", ".join(dict.fromkeys(self.command(image.id) for image in images))
            label.append(f" (not seen being written; these programs {_acted_unseen(images)}: {programs})", style="red")
        elif version in self.graph.unseen:
            label.append(" (not seen being written)", style="red")
        elif version == self.graph.root and not makers:
            label.append(" (no captured program wrote it)", style="dim")
        return label

    def program(self, image: int) -> Text:
        row = self.graph.image_rows[image]
        place = [f"pid {row.pid}", moment(row.started)]
        if row.directory is not None:
            place.insert(1, f"in {printable(text(row.directory))}")
        if len({self.graph.image_rows[each].run for each in self.graph.images}) > 1:
            place.insert(0, f"run {row.run}")
        label = Text.assemble((self.command(image), "green"), (f" [{', '.join(place)}]", "dim"))
        if row.blind_spot is not None:
            label.append(f" [{unseen(row.reason, row.blind_spot, _object(row))}]", style="bold red")
        return label

    def command(self, image: int) -> str:
        row = self.graph.image_rows[image]
        line = _typed(row)
        return f"({line})" if row.reason == "fork" else line
