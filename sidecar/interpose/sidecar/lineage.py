"""How a file was made: from it to the images that wrote it, to what these had read by then, and so on.

A cutoff goes along: of a file, what its reader could have seen of it; of an image, what it had done by its last write
that counts. Cutoffs never grow on the way up, and an image or a file version is looked at again only under a later
cutoff than before (a version once more if it was read before it was written to), so every walk ends, cycles (two
processes with a pipe each way) or not.

This module knows no database: `Source` hands it rows, a whole frontier at a time.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

__all__ = ["FOREVER", "Edge", "File", "Graph", "Image", "Maker", "Source", "Span", "Version", "makers_of", "trace"]

FOREVER = (1 << 63) - 1
"""Later than every time."""
_A_MOMENT = 1_000_000_000
"""How long after a file's birth, in nanoseconds, the call that created it may have returned."""

VERBS = {"read": "read", "execute": "executed", "load": "loaded", "write": "wrote"}
VERBS |= {"create": "created", "truncate": "truncated", "consult": "consulted"}


class Span(NamedTuple):
    """What one image did to one file, of one kind, in one session: between two times that it opened the file."""

    image: int
    file: int
    kind: str
    session: int
    first: int
    last: int
    """FOREVER while a mapping lasts."""
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """A program that a process ran."""

    id: int
    run: str
    pid_namespace: int
    pid: int
    reason: str
    started: int
    ended: int | None = None
    executable: bytes | None = None
    arguments: bytes | None = None
    directory: bytes | None = None
    blind_spot: str | None = None
    blind_object: bytes | None = None
    predecessor: int | None = None
    """The image that executed or forked this one."""


@dataclass(frozen=True, slots=True)
class File:
    """A file's identity."""

    id: int
    kind: str
    device: int = 0
    inode: int = 0
    birth_time: int = 0


class Version(NamedTuple):
    """What a file held between two truncations."""

    file: int
    since: int
    """When the truncation was that began it; 0 if none is known."""


class Edge(NamedTuple):
    """Content went from `source` to `target`; one of them is an image's id, the other a version, or both are images."""

    kind: str
    """read, executed, loaded, consulted, wrote, created, truncated, started, or `unseen`: `source` may have written
    `target`."""
    source: int | Version
    target: int | Version
    first: int
    last: int
    amount: int


@dataclass(slots=True)
class Graph:
    """The answer, in the order in which it was found: the nearest to the file asked for first."""

    root: Version
    versions: dict[Version, int] = field(default_factory=dict)
    """With the time up to which writes to it count."""
    images: dict[int, int] = field(default_factory=dict)
    """With the time up to which what they did counts."""
    unseen: set[Version] = field(default_factory=set)
    """What came to be while a run was captured, by nobody that was."""
    edges: list[Edge] = field(default_factory=list)
    image_rows: dict[int, Image] = field(default_factory=dict)
    file_rows: dict[int, File] = field(default_factory=dict)


class Source(Protocol):
    """Where the rows come from. Every answer may hold more rows than were asked for."""

    def images(self, ids: Collection[int]) -> Iterable[Image]:
        """The images of these ids."""

    def files(self, ids: Collection[int]) -> Iterable[File]:
        """The files of these ids."""

    def inputs(self, images: Collection[int]) -> Iterable[Span]:
        """What these images read, executed and loaded."""

    def outputs(self, files: Collection[int]) -> Iterable[Span]:
        """Who wrote, created and truncated these files."""

    def observers(self, files: Collection[int]) -> dict[int, dict[str, int | None]]:
        """For each file the runs that saw it, with the newest modification time that they saw."""

    def runs(self, ids: Collection[str]) -> dict[str, int]:
        """When these runs started."""

    def blind(self, runs: Collection[str]) -> Iterable[Image]:
        """The images that ran, or may have acted, unseen in these runs."""


class Maker(NamedTuple):
    """Who made a version: an image, up to a time, in what way."""

    image: int
    until: int
    span: Span


def since(truncations: Sequence[int], time: int) -> int:
    """When the content that stood at a time began: the last truncation by then, 0 if there was none."""
    place = bisect_right(truncations, time)
    return truncations[place - 1] if place else 0


def makers_of(spans: Sequence[Span], begin: int, until: int, born: int = 0, *, seen_empty: bool = False) -> list[Maker]:
    """Who made a version: the writers whose sessions had begun by `until` and no truncation had undone by `begin`.

    What nobody wrote to was made by whoever truncated it then, or created it: who was the first to open it so that it
    would be created, unless it was `born` long before. So was what somebody has read before the first write
    (`seen_empty`).
    """
    writers = _writers(spans, begin, until)
    if writers and not seen_empty:
        return writers
    emptying = [span for span in spans if span.kind == "truncate" and span.last == begin]
    creating = [span for span in spans if span.kind == "create" and span.first <= until]
    creating = sorted(creating, key=lambda span: span.first)[:1]
    creating = [span for span in creating if not begin and (not born or span.first - born < _A_MOMENT)]
    return writers + [Maker(span.image, min(until, span.last), span) for span in emptying or creating]


def _writers(spans: Sequence[Span], begin: int, until: int) -> list[Maker]:
    emptied = {(span.image, span.session): span.first for span in spans if span.kind == "truncate"}
    writers = []
    for span in spans:
        # The first write after a truncation of an open file is not reported at once.
        start = min(span.first, emptied.get((span.image, span.session), span.first))
        if span.kind == "write" and start <= until and span.last >= begin:
            writers.append(Maker(span.image, min(until, span.last), span))
    return writers


def trace(source: Source, file: int, *, until: int = FOREVER, depth: int | None = None) -> Graph:
    """The lineage of a file as it stood at a time, at most `depth` programs deep."""
    return _Walk(source).go(file, until, depth)


class _Walk:
    """One question's rows: each is fetched once, however often the walk comes by."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.inputs: dict[int, list[Span]] = {}
        self.outputs: dict[int, list[Span]] = {}
        self.truncations: dict[int, list[int]] = {}
        self.images: dict[int, Image] = {}
        self.files: dict[int, File] = {}
        self.seen_empty: set[Version] = set()
        """What somebody has read before anybody wrote to it."""

    def go(self, file: int, until: int, depth: int | None) -> Graph:
        self.know_files([file])
        graph = Graph(Version(file, since(self.truncations[file], until)), image_rows=self.images, file_rows=self.files)
        graph.versions[graph.root] = until
        versions, images, level = [graph.root], dict[int, int](), 0
        while (versions or images) and level != depth:
            level += 1
            for version in versions:
                for maker in self.makers(version, graph.versions[version]):
                    images[maker.image] = max(images.get(maker.image, 0), maker.until)
            frontier = {image: time for image, time in images.items() if time > graph.images.get(image, -1)}
            graph.images |= frontier
            versions, images = self.up(graph, frontier)
        graph.edges = list(self.edges(graph))
        self.mark_unseen(graph)
        return graph

    def up(self, graph: Graph, frontier: dict[int, int]) -> tuple[list[Version], dict[int, int]]:
        """The versions that these images had read, and the images that they come from, where that is news."""
        self.know_images(frontier)
        self.know_files({span.file for image in frontier for span in self.inputs[image]})
        versions: dict[Version, None] = {}
        predecessors: dict[int, int] = {}
        for image, time in frontier.items():
            for version, span in self.read_by(image, time):
                until = min(time, span.last)
                if version not in self.seen_empty and not _writers(self.outputs[version.file], version.since, until):
                    self.seen_empty.add(version)
                    versions[version] = None
                if until > graph.versions.get(version, -1):
                    graph.versions[version] = until
                    versions[version] = None
            before = self.before(image)
            if before is not None:
                until = min(time, self.images[image].started)
                predecessors[before] = max(predecessors.get(before, 0), until)
        return list(versions), predecessors

    def before(self, image: int) -> int | None:
        row = self.images.get(image)
        return row.predecessor if row is not None else None

    def read_by(self, image: int, time: int) -> Iterator[tuple[Version, Span]]:
        """The versions whose content an image had got by a time."""
        truncations = self.truncations
        for span in self.inputs[image]:
            if span.first <= time and self.brought_content(span):
                yield Version(span.file, since(truncations[span.file], span.first)), span

    def brought_content(self, span: Span) -> bool:
        """Whether a span gave its image content: names in a directory are none, nor is the end of a pipe."""
        kind = self.files[span.file].kind
        return kind != "directory" and not (kind == "pipe" and span.amount == 0)

    def makers(self, version: Version, until: int) -> list[Maker]:
        """Who made a version; a character device gives what nobody wrote into it."""
        if self.files[version.file].kind == "character":
            return []
        born, seen_empty = self.files[version.file].birth_time, version in self.seen_empty
        return makers_of(self.outputs[version.file], version.since, until, born, seen_empty=seen_empty)

    def know_images(self, ids: Collection[int]) -> None:
        missing = [image for image in ids if image not in self.inputs]
        if missing:
            self.inputs |= {image: [] for image in missing}
            self.images |= {row.id: row for row in self.source.images(missing)}
            for span in self.source.inputs(missing):
                self.inputs[span.image].append(span)

    def know_files(self, ids: Collection[int]) -> None:
        missing = [file for file in ids if file not in self.files]
        if missing:
            self.outputs |= {file: [] for file in missing}
            self.files |= {row.id: row for row in self.source.files(missing)}
            content = [file for file in missing if self.files[file].kind not in ("directory", "character")]
            for span in self.source.outputs(content):
                self.outputs[span.file].append(span)
            for file in missing:
                self.truncations[file] = sorted(span.last for span in self.outputs[file] if span.kind == "truncate")

    def edges(self, graph: Graph) -> Iterator[Edge]:
        """Everything that connects what was found."""
        for version, until in graph.versions.items():
            for maker in self.makers(version, until):
                if maker.image in graph.images:
                    span = maker.span
                    yield Edge(VERBS[span.kind], maker.image, version, span.first, span.last, span.amount)
        for image, time in graph.images.items():
            for version, span in self.read_by(image, time):
                yield Edge(VERBS[span.kind], version, image, span.first, span.last, span.amount)
            before = self.before(image)
            if before is not None and before in graph.images:
                started = self.images[image].started
                yield Edge("started", before, image, started, started, 0)

    def mark_unseen(self, graph: Graph) -> None:
        """Find what came to be during a run though nobody captured made it, and who may have."""
        nobodys = [version for version, until in graph.versions.items() if not self.makers(version, until)]
        nobodys = [version for version in nobodys if self.files[version.file].kind in _MADE_BY_PROGRAMS]
        observers = self.source.observers({version.file for version in nobodys})
        runs = {run for seen in observers.values() for run in seen}
        started = self.source.runs(runs)
        graph.unseen = {
            version
            for version in nobodys
            for run, modified in observers.get(version.file, {}).items()
            if self.made_during(version, modified, started[run], asked_for=version == graph.root)
        }
        if not graph.unseen:
            return
        blind = list(self.source.blind(runs))
        for version in (version for version in nobodys if version in graph.unseen):
            for image in blind:
                if image.run in observers[version.file] and image.started <= graph.versions[version]:
                    self.images.setdefault(image.id, image)
                    graph.images.setdefault(image.id, min(graph.versions[version], image.ended or FOREVER))
                    graph.edges.append(Edge("unseen", image.id, version, image.started, image.ended or FOREVER, 0))

    def made_during(self, version: Version, modified: int | None, started: int, *, asked_for: bool) -> bool:
        file = self.files[version.file]
        made = modified or file.birth_time
        return file.kind == "pipe" or made >= started or (asked_for and not made)


_MADE_BY_PROGRAMS = frozenset({"regular", "symlink", "pipe"})
