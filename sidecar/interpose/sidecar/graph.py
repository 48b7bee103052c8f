"""The rows of one transaction: finding or making processes, images, files, names and accesses.

Which rows follow from which event is said in derive.py, processes.py and effects.py. Journals arrive in any order (a
child's before its parent's, a continuation before what it continues), and the rows are the same whatever the order was:
times are widened, never replaced by what happened to come last.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from typing import Any, Final

from interpose.sidecar import store
from interpose.sidecar.memory import CACHED, LATEST, NOBODY, Identity, Image, Journal, Process, Run, signed
from interpose.sidecar.ranges import Ranges
from interpose.v1 import event_pb2 as pb

__all__ = ["Graph", "join"]

_KINDS: Final = {
    S_IFREG: "regular",
    S_IFDIR: "directory",
    S_IFLNK: "symlink",
    S_IFIFO: "pipe",
    S_IFSOCK: "socket",
    S_IFCHR: "character",
    S_IFBLK: "block",
}
_RANKS: Final = {"fork": 0, "unknown": 1, "exec": 2, "blind": 3}
"""The order of images that a process began at the same time."""
_LONGEST_NAME: Final = 2600
"""Bytes. PostgreSQL keeps no longer ones in an index."""


@lru_cache(maxsize=1 << 15)
def join(base: bytes, path: bytes) -> bytes:
    """`path` as seen from `base`, without `.` and doubled slashes; `..` and links stay as they were given."""
    whole = path if path.startswith(b"/") or not base else base + b"/" + path
    parts = [part for part in whole.split(b"/") if part not in (b"", b".")]
    return b"/" * whole.startswith(b"/") + b"/".join(parts) or b"."


class Graph:
    """Collects the rows of one transaction; `flush` writes what is still to be written."""

    def __init__(self, rows: store.Transaction, runs: Iterable[Run]) -> None:
        """`runs` are all whose events may be added; until the transaction ends, no other adds to them."""
        self.rows = rows
        self.run: Run
        """Whose events are added."""
        self.effects: Counter[str] = Counter()
        """Events by effect."""
        self.losses: Counter[int] = Counter()
        """Events that were not recorded, by Gap.Cause."""
        self.new_processes = 0
        self.long_names = 0
        """Names that are not stored."""
        self.ranges = Ranges(rows)
        self._notes: list[tuple[int, int, int, bytes]] = []
        self._steps: list[tuple[int, str, int, int, int, int]] = []
        self._accesses: list[tuple[int, int, int, str, int, int | None, int | None]] = []
        self._names: dict[tuple[str, int, bytes], list[int]] = {}
        self._journals: dict[int, Journal] = {}
        self._processes: dict[int, tuple[Run, Process]] = {}
        self._pids: dict[tuple[str, int, int], Run] = {}
        self._lost: Counter[str] = Counter()
        self._runs = sorted(set(runs), key=lambda run: run.id)  # one order for all writers, or they wait in a circle
        for run in self._runs:
            self._claim(run)

    def _claim(self, run: Run) -> None:
        """Keep others from adding to the run, and forget what is remembered of it if another did so."""
        revised = self.rows.one("revise", (run.id,))
        revision = run.revision + 1 if revised is None else revised[0]
        if revision != run.revision + 1:
            run.forget()
            for told in self.rows.each("waits", (run.id,)):
                run.add_wait(*told)
        run.revision = revision

    def enter(self, run: Run) -> None:
        """What follows is of this run."""
        self.run = run

    def flush(self) -> None:
        """Write everything that is not written yet."""
        self._settle_waits()
        for run, process in self._processes.values():
            self._settle(process)
            if len(run.processes) > CACHED:
                run.processes.clear()
        self.write_rows()
        self.ranges.write()
        self.rows.many("add_note", self._notes)
        self.rows.many(
            "add_name", [(run, file, path, first, last) for (run, file, path), (first, last) in self._names.items()]
        )
        self.rows.many(
            "change_journal",
            [(j.offset, j.image_id, j.shift, j.closed, j.id) for j in self._journals.values()],
        )
        for run_id, more in self._lost.items():
            self.rows.run("lose", (more, run_id))
        for run in self._runs:
            if len(run.journals) > CACHED:
                run.journals.clear()

    # Journals, processes, images.

    def journal(self, run: Run, number: int, shift: int | None = None) -> Journal:
        """Find or make a journal; `shift` is its realtime_offset until its Origin tells, if it is not the run's."""
        shift = run.shift if shift is None else shift
        journal = run.journals.get(number)
        if journal is None:
            row = self.rows.journal(run.id, number)
            if row is None:
                id_ = self.rows.added("add_journal", (run.id, number, 0, None, shift, False))
                journal = Journal(id_, number, shift)
            else:
                journal = Journal(
                    row.id, number, row.realtime_offset, row.offset, row.image_id, row.process, closed=row.closed
                )
            run.journals[number] = journal
        return journal

    def changed(self, journal: Journal) -> None:
        """Write this journal's row at the end."""
        self._journals[journal.id] = journal

    def owner(self, journal: Journal) -> Image | None:
        """The image whose events the journal has, as far as it is known."""
        if journal.process is None or journal.image_id is None:
            return None
        process = self.process(journal.process, LATEST)
        return next((image for image in process.images if image.id == journal.image_id), None)

    def process(self, identity: Identity, time: int) -> Process:
        """Find or make a process of which something was heard at `time`."""
        run = self.run
        process = run.processes.get(identity)
        if process is None:
            row = self.rows.process(run.id, *identity)
            if row is None:
                id_ = self.rows.added("add_process", (run.id, *identity, time))
                process = Process(id_, identity, time)
                self.new_processes += 1
                if identity[:2] in run.waits:
                    self._pids[(run.id, *identity[:2])] = run
            else:
                process = Process(row.id, identity, row.started, row.ended, row.exit_status)
                process.has_parent, process.has_user = row.parent_pid is not None, row.user is not None
                process.images = [
                    Image(
                        each.id, process, each.started, each.reason, each.ended, described=each.executable is not None
                    )
                    for each in self.rows.images(row.id)
                ]
            run.processes[identity] = process
        return process

    def new_image(self, process: Process, reason: str, time: int) -> Image:
        """Make an image that began at `time`, or before."""
        image = Image(self.rows.added("add_image", (process.id, time, reason)), process, time, reason)
        process.images.append(image)
        self.touch(process)
        self.heard(image, time)
        return image

    def own(self, journal: Journal, image: Image) -> None:
        """The journal has this image's events."""
        journal.image_id, journal.process = image.id, image.process.identity
        self.changed(journal)

    def heard(self, image: Image, time: int) -> None:
        """Something of this image happened at `time`."""
        if time < image.started:
            image.started = time
            image.changed = True
            self.touch(image.process)
        if time < image.process.started:
            image.process.started = time
            self.touch(image.process)

    def touch(self, process: Process) -> None:
        """Write this process's row and its images' at the end."""
        process.changed = True
        self._processes[process.id] = (self.run, process)

    def adopt(self, process: Process, pid: int, start_time: int, time: int) -> None:
        """Store the parent that was known at `time`, unless an earlier one is known: a process can get another."""
        if process.has_parent and any(
            other.started < time for other in process.images if other.described or other.reason == "fork"
        ):
            return
        process.has_parent = True
        self.rows.run("adopt_process", (pid, start_time or None, process.id))

    def merge(self, source: Image, target: Image) -> None:
        """Two images have turned out to be one."""
        self.write_rows()
        for name in ("move_accesses", "move_steps", "move_journals"):
            self.rows.run(name, (target.id, source.id))
        for journal in self.run.journals.values():
            if journal.image_id == source.id:
                journal.image_id = target.id
        self.heard(target, source.started)
        self.drop(source)
        if source.process.identity == NOBODY and not source.process.images:
            self.run.processes.pop(NOBODY, None)
            self._processes.pop(source.process.id, None)
            self.rows.run("delete_process", (source.process.id,))

    def drop(self, image: Image) -> None:
        """Remove an image to which no row refers."""
        self.rows.run("delete_image", (image.id,))
        image.process.images.remove(image)
        self.touch(image.process)

    def step(self, image: Image, kind: str, time: int, boot: int, child: int = 0, status: int = 0) -> None:
        """The image told of a process: Step.kind."""
        self._steps.append((image.id, kind, time, signed(boot), child & 0x7FFFFFFF, status))

    def note(self, journal: Journal, offset: int, time: int, event: pb.Event) -> None:
        """The sidecar itself adds an event to the journal."""
        self._notes.append((journal.id, offset, time, event.SerializeToString()))

    def shift(self, journal: Journal, offset: int) -> None:
        """The journal's clock is so far from the time since 1970: what was added before knew no better."""
        by, journal.shift = offset - journal.shift, offset
        if by and journal.offset:
            self.ranges.write()
            self.rows.run("shift_ranges", (by, journal.id))

    # Files.

    def file(self, file: pb.File) -> int | None:
        """Find or make a file: its id, or None for one without an identity."""
        inode = file.inode
        if not inode:
            return None
        key = (file.device, inode, file.birth_time)
        id_ = self.run.files.get(key)
        if id_ is None or (id_ in self.run.vague and S_IFMT(file.mode)):
            kind = _KINDS.get(S_IFMT(file.mode), "other")
            scope = self.run.id if kind in ("pipe", "socket") and not file.birth_time else ""
            id_ = self.rows.added("add_file", (signed(key[0]), signed(inode), signed(key[2]), scope, kind))
            self.run.files[key] = id_
            (self.run.vague.add if kind == "other" else self.run.vague.discard)(id_)
        return id_

    def name(self, file: int, base: bytes, path: bytes, time: int) -> None:
        """The run saw the file under this path at `time`."""
        if len(path) + (0 if path.startswith(b"/") else len(base)) > _LONGEST_NAME:
            self.long_names += 1
            return
        key = (self.run.id, file, join(base, path))
        seen = self._names.get(key)
        if seen is None:
            self._names[key] = [time, time]
        elif time > seen[1]:
            seen[1] = time
        elif time < seen[0]:
            seen[0] = time

    def access(self, image: Image, file: pb.File, time: int, kind: str, amount: int = 0) -> int | None:
        """The image did this to the file, whose id is returned: None for one without an identity."""
        id_ = self.file(file)
        if id_ is not None:
            modified = file.modified
            if modified:
                size = file.size
                if size > LATEST or modified > LATEST:
                    size, modified = signed(size), signed(modified)
                self._accesses.append((image.id, id_, time, kind, amount, size, modified))
            else:
                self._accesses.append((image.id, id_, time, kind, amount, None, None))
        return id_

    def named(self, image: Image, effect: Any, time: int, *kinds: str) -> None:
        """Accesses of these kinds to effect.file, and effect.name as its name."""
        id_ = None
        for kind in kinds:
            id_ = self.access(image, effect.file, time, kind)
        if id_ is not None:
            name = effect.name
            if name.path or name.base:
                self.name(id_, name.base, name.path, time)

    # Ends.

    def lose(self, gap: pb.Gap) -> None:
        """So many events of the run have no row."""
        self._lost[self.run.id] += min(gap.events, 1 << 48)  # so that sums of nonsense stay within 64 bits
        self.losses[gap.cause] += gap.events

    def told_of(self, namespace: int, pid: int) -> None:
        """A parent was told of the end of a process with this pid: find out of which, before the transaction ends."""
        self._pids[(self.run.id, namespace, pid)] = self.run

    def _settle_waits(self) -> None:
        """Give what parents were told of their children's ends to the processes that it is about.

        A parent's word is the kernel's: it counts more than the status that the process meant to exit with.
        """
        for (_, namespace, pid), run in self._pids.items():
            self.run = run
            starts = sorted(start for (start,) in self.rows.all("same_pid", (run.id, namespace, pid)))
            told: dict[int, tuple[int, int, int]] = {}
            for wait in sorted(run.waits.get((namespace, pid), ())):
                start = max((start for start in starts if start <= wait[0]), default=None)
                if start is not None:
                    told.setdefault(start, wait)
            for start, (_, time, status) in told.items():
                process = self.process((namespace, pid, start), time)
                if process.ended is None:
                    process.ended = time
                process.exit_status = status
                self.touch(process)

    def _settle(self, process: Process) -> None:
        """Write a process, and its images' ends: each ends where the next begins."""
        images = sorted(process.images, key=lambda image: (image.started, _RANKS.get(image.reason, 9)))
        ends = [image.started for image in images[1:]] + [process.ended]
        for image, ended in zip(images, ends, strict=False):
            if image.changed or image.ended != ended:
                image.ended, image.changed = ended, False
                self.rows.run("change_image", (image.started, image.ended, image.reason, image.id))
        if process.changed:
            process.changed = False
            self.rows.run("change_process", (process.started, process.ended, process.exit_status, process.id))

    def write_rows(self) -> None:
        """Write accesses and steps, so that statements find them."""
        self.rows.many("add_access", self._accesses)
        self.rows.many("add_step", self._steps)
        self._accesses.clear()
        self._steps.clear()
