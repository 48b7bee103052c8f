"""The rows of one transaction: finding or making processes, images, files, names and accesses.

Which rows follow from which event is said in derive.py, processes.py and effects.py. Journals arrive in any order (a
child's before its parent's, a continuation before what it continues), and the rows are the same whatever the order was:
times are widened, never replaced by what happened to come last.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from time import time_ns
from typing import Any, Final

from interpose.sidecar import store
from interpose.sidecar.accesses import LONGEST_NAME, Accesses, Columns
from interpose.sidecar.errors import StoreError
from interpose.sidecar.memory import CACHED, EARLIEST, LATEST, NOBODY, Identity, Image, Journal, Process, Run, signed
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
_RANKS: Final = {"fork": 0, "unknown": 1, "restored": 2, "exec": 3, "blind": 4}
"""The order of images that a process began at the same time."""
_OF_WHOEVER_ASKS: Final = re.compile(rb"/+(proc/+.*/fd/+\d+|dev/+fd/+\d+|dev/+std(in|out|err))")
"""Paths that mean another file to each process: what is open there."""


@lru_cache(maxsize=1 << 14)
def join(base: bytes, path: bytes) -> bytes:
    """`path` as seen from `base`, without `.` and doubled slashes; `..` and links stay as they were given."""
    whole = path if path.startswith(b"/") or not base else base + b"/" + path
    parts = [part for part in whole.split(b"/") if part not in (b"", b".")]
    return b"/" * whole.startswith(b"/") + b"/".join(parts) or b"."


class Graph:
    """Collects the rows of one transaction; `flush` writes what is still to be written."""

    def __init__(self, rows: store.Transaction, runs: Iterable[Run], accesses: Accesses) -> None:
        """`runs` are all whose events may be added; until the transaction ends, no other adds to them."""
        self.rows = rows
        self.accesses = accesses
        """What reads the events."""
        self.run: Run
        """Whose events are added."""
        self.effects: Counter[str] = Counter()
        """Events by effect."""
        self.losses: Counter[int] = Counter()
        """Events that were not recorded, by Gap.Cause."""
        self.poisoned = 0
        """Gaps of more events than there can have been."""
        self.lost: Counter[Run] = Counter()
        """The sum of `losses`, by run."""
        self.blind: Counter[str] = Counter()
        """Programs that run or may act unseen, by cause."""
        self.new_processes = 0
        self.long_names = 0
        """Names that are not stored."""
        self.ranges = Ranges(rows)
        self._notes: list[tuple[int, int, int, bytes]] = []
        self._steps: list[tuple[int, str, int, int, int, int]] = []
        self._single = Columns([], [], [], [], [], [], [])
        """Accesses of which we were told one by one; of files, the ids."""
        self._accesses = [self._single]
        """All accesses."""
        self._held: set[int] = set()
        """Files that are there until the transaction ends."""
        self._new_processes: list[tuple[Run, Process]] = []
        self._new_images: list[Image] = []
        self._new_journals: list[tuple[Run, Journal]] = []
        self._changes: dict[str, list[tuple[Any, ...]]] = {}
        """Rows of UPDATE statements to come, by the statement."""
        self._names: dict[tuple[str, int, bytes], list[int]] = {}
        self._file_ids: list[int] = []
        """Of the files that `accesses` has read."""
        self._journals: dict[int, Journal] = {}
        self._processes: dict[int, Process] = {}
        self._pids: dict[tuple[str, int, int], Run] = {}
        self._lost: Counter[str] = Counter()
        self._runs = sorted(set(runs), key=lambda run: run.id)  # one order for all writers, or they wait in a circle
        for run in self._runs:
            self._claim(run)
        self._use(self._runs[0])
        accesses.clear()  # of a transaction that failed

    def _claim(self, run: Run) -> None:
        """Keep others from adding to the run, and forget what is remembered of it if another did so."""
        revised = self.rows.one("revise", (time_ns(), run.id))
        revision = run.revision + 1 if revised is None else revised[0]
        if revision != run.revision + 1:
            run.forget()
            for told in self.rows.each("waits", (run.id,)):
                run.add_wait(*told)
            run.last_journal = self.rows.one("last_journal", (run.id,))[0]
            run.last_start = self.rows.one("last_start", (run.id,))[0]
        run.revision = revision

    def enter(self, run: Run) -> None:
        """What follows is of this run."""
        if run is not self.run:
            self.take_read()
            self._use(run)

    def _use(self, run: Run) -> None:
        self.run, self._files, self._vague = run, run.files, run.vague

    def flush(self) -> None:
        """Write everything that is not written yet."""
        self.take_read()
        doubtful = [told for told in self._pids.items() if not self._settle_waits(*told)]
        self._settle_all()
        if doubtful:
            for (run_id, namespace, pid), run in doubtful:
                starts = [start for (start,) in self.rows.all("same_pid", (run_id, namespace, pid))]
                self._settle_waits((run_id, namespace, pid), run, starts)
            self._settle_all()
        self.ranges.write()
        self.effects.update(self.accesses.take_effects())
        self.long_names += self.accesses.take_long_names()
        self.rows.many("add_note", self._notes)
        self.rows.many(
            "add_name", [(run, file, path, first, last) for (run, file, path), (first, last) in self._names.items()]
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
            row = self.rows.journal(run.id, number) if number <= run.last_journal else None
            if row is None:
                journal = Journal(self.rows.new_id("journals"), number, shift, new=True)
                run.last_journal = max(run.last_journal, number)
                self._new_journals.append((run, journal))
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
            row = self.rows.process(run.id, *identity) if identity[2] <= run.last_start else None
            if row is None:
                process = Process(self.rows.new_id("processes"), identity, time, new=True)
                self._new_processes.append((run, process))
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
            run.add_process(process)
        return process

    def new_image(self, process: Process, reason: str, time: int) -> Image:
        """Make an image that began at `time`, or before."""
        image = Image(self.rows.new_id("images"), process, time, reason, new=True)
        self._new_images.append(image)
        process.images.append(image)
        self.touch(process)
        self.heard(image, time)
        return image

    def new_blind_image(self, process: Process, cause: str, time: int) -> Image:
        """Make the image of a program that runs unseen; `cause` is as it is stored."""
        image = self.new_image(process, "blind", time)
        self.tell_unseen(image, cause)
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
        self._processes[process.id] = process

    def adopt(self, process: Process, pid: int, start_time: int, time: int) -> None:
        """Store the parent that was known at `time`, unless an earlier one is known: a process can get another."""
        if process.has_parent and any(
            other.started < time for other in process.images if other.described or other.reason == "fork"
        ):
            return
        self.tell_parent(process, pid, start_time)

    def tell_parent(self, process: Process, pid: int, start_time: int) -> None:
        """Store a process's parent; a `start_time` of 0 is unknown."""
        process.has_parent = True
        process.parent = pid, start_time or None
        if not process.new:
            self._change("adopt_process", *process.parent, process.id)

    def tell_owner(self, process: Process, user: int, group: int) -> None:
        """Store as whom a process runs."""
        process.has_user = True
        process.owner = user, group
        if not process.new:
            self._change("describe_process", *process.owner, process.id)

    def tell_program(self, image: Image, *program: Any) -> None:
        """Store what an image runs: executable, file_id, arguments, directory."""
        image.program = program
        if not image.new:
            self._change("describe_image", *program, image.id)

    def tell_unseen(self, image: Image, cause: str, object_: bytes = b"") -> None:
        """Store why an image runs, or may act, unseen, and which object does; of several causes one is kept."""
        self.blind[cause] += 1
        self._change("tell_unseen", cause, object_, image.id)

    def merge(self, source: Image, target: Image) -> None:
        """Two images have turned out to be one."""
        self.write_rows()
        for name in ("move_accesses", "move_steps", "move_journals"):
            self.rows.run(name, (target.id, source.id))
        cause, object_ = self.rows.one("unseen", (source.id,)) or (None, None)
        if cause is not None:
            self._change("tell_unseen", cause, object_, target.id)
        for journal in self.run.journals.values():
            if journal.image_id == source.id:
                journal.image_id = target.id
        self.heard(target, source.started)
        self.drop(source)
        if source.process.identity == NOBODY and not source.process.images:
            self.run.remove_process(source.process)
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
        by, journal.shift = max(-LATEST, min(offset - journal.shift, LATEST)), offset
        if by and journal.offset:
            self.write_rows()
            self.ranges.write()
            self.rows.run("shift_ranges", (by, max(-by, 0), LATEST - max(by, 0), journal.id))

    # Files.

    def file(self, file: pb.File) -> int | None:
        """Find or make a file: its id, or None for one without an identity."""
        return self.file_id(file.device, file.inode, file.birth_time, file.mode) if file.inode else None

    def file_id(self, device: int, inode: int, birth_time: int, mode: int) -> int:
        """Find or make the file of this identity, of which this is known: its id."""
        key = (device, inode, birth_time)
        id_ = self._files.young.get(key) or self._files.get(key)
        if id_ is None or (id_ in self._vague and S_IFMT(mode)):
            kind = _KINDS.get(S_IFMT(mode), "other")
            scope = self.run.id if kind in ("pipe", "socket") and not birth_time else ""
            id_ = self.rows.added("add_file", (*map(signed, key), scope, kind))
            self._files[key] = id_
            self._held.add(id_)
            (self._vague.add if kind == "other" else self._vague.discard)(id_)
        return id_

    def name(self, file: int, base: bytes, path: bytes, first: int, last: int | None = None) -> None:
        """The run saw the file under this path at `first`, and at `last`."""
        last = first if last is None else last
        if not (base or path) or _OF_WHOEVER_ASKS.fullmatch(path):
            return
        if len(path) + (0 if path.startswith(b"/") else len(base)) > LONGEST_NAME:
            self.long_names += 1
            return
        seen = self._names.setdefault((self.run.id, file, join(base, path)), [first, last])
        seen[0], seen[1] = min(seen[0], first), max(seen[1], last)

    def access(self, image: Image, file: pb.File, time: int, kind: str, amount: int = 0) -> int | None:
        """The image did this to the file, whose id is returned: None for one without an identity."""
        id_ = self.file(file)
        if id_ is not None:
            known = file.modified
            size, modified = (signed(file.size), signed(known)) if known else (None, None)
            columns = self._single
            columns.images.append(image.id)
            columns.files.append(id_)
            columns.times.append(time)
            columns.kinds.append(kind)
            columns.amounts.append(amount)
            columns.sizes.append(size)
            columns.modified.append(modified)
        return id_

    def take_read(self) -> None:
        """Take the accesses and the names that were read."""
        self._take_accesses()
        for file, base, path, first, last in self.accesses.names():
            self.name(self._file_ids[file], base, path, first, last)
        self.accesses.forget()
        self._file_ids.clear()

    def _take_accesses(self) -> None:
        columns = self.accesses.take()
        if columns is not None:
            ids = self._file_ids
            ids += [self.file_id(*file) for file in self.accesses.new_files()]
            self._accesses.append(columns._replace(files=[ids[file] for file in columns.files]))

    # Ends.

    def lose(self, gap: pb.Gap) -> None:
        """So many events of the run have no row."""
        if self.run.can_lose(gap.events, self.lost[self.run]):
            self.losses[gap.cause] += gap.events
            self.lost[self.run] += gap.events
            self._lost[self.run.id] += gap.events
        else:
            self.poisoned += 1
            self._lost[self.run.id] += 1  # something was lost, though not so much: sums stay within 64 bits

    def told_of(self, namespace: int, pid: int) -> None:
        """A parent was told of the end of a process with this pid: find out of which, before the transaction ends."""
        self._pids[(self.run.id, namespace, pid)] = self.run

    def _settle_waits(self, key: tuple[str, int, int], run: Run, starts: Sequence[int] | None = None) -> bool:
        """Give what parents were told of their children's ends to the processes of this pid that it is about.

        A parent's word is the kernel's: it counts more than the status that the process meant to exit with. Without
        `starts`, when such processes started, False if one that is not remembered may be meant.
        """
        _, namespace, pid = key
        known = run.starts.get((namespace, pid), ()) if starts is None else starts
        told: dict[int, tuple[int, int, int]] = {}
        for wait in sorted(run.waits.get((namespace, pid), ())):
            start = max((start for start in known if start <= wait[0]), default=None)
            if starts is None and (EARLIEST if start is None else start) < run.last_start:
                return False
            if start is not None:
                told.setdefault(start, wait)
        self.enter(run)
        for start, (_, time, status) in told.items():
            process = self.process((namespace, pid, start), time)
            if process.ended is None:
                process.ended = time
            process.exit_status = status
            self.touch(process)
        return True

    def _settle_all(self) -> None:
        """Write journals and processes as they are now."""
        for journal in self._journals.values():
            if not journal.new:
                self._change(
                    "change_journal", journal.offset, journal.image_id, journal.shift, journal.closed, journal.id
                )
        self._journals.clear()
        for process in self._processes.values():
            self._settle(process)
        self._processes.clear()
        self.write_rows()
        for run in self._runs:
            if len(run.processes) > CACHED:
                run.forget_processes()

    def _settle(self, process: Process) -> None:
        """Write a process, and its images' ends: each ends where the next begins."""
        images = sorted(process.images, key=lambda image: (image.started, _RANKS.get(image.reason, 9)))
        ends = [image.started for image in images[1:]] + [process.ended]
        for image, ended in zip(images, ends, strict=False):
            if image.changed or image.ended != ended:
                image.ended, image.changed = ended, False
                if not image.new:
                    self._change("change_image", image.started, image.ended, image.reason, image.id)
        if process.changed:
            process.changed = False
            if not process.new:
                self._change("change_process", process.started, process.ended, process.exit_status, process.id)

    def _change(self, statement: str, *values: Any) -> None:
        self._changes.setdefault(statement, []).append(values)

    def write_rows(self) -> None:
        """Write what is new of processes, images, journals, accesses and steps, so that statements find it."""
        self._take_accesses()
        self._write_new()
        for statement, changes in self._changes.items():
            self.rows.many(statement, changes)
        self._hold_files()
        self.rows.columns("add_access", self._accesses)
        self.rows.many("add_step", self._steps)
        for written in (self._changes, *self._single, self._steps):
            written.clear()
        self._accesses = [self._single]

    def _hold_files(self) -> None:
        files = set[int]().union(*(columns.files for columns in self._accesses)) - self._held
        if files and not self.rows.hold_files(files):
            raise StoreError("a file that was remembered is in the database no more")  # the writer forgets, and repeats
        self._held |= files

    def _write_new(self) -> None:
        """Insert what others refer to, with everything that is known by now."""
        self.rows.many(
            "add_process",
            [
                (p.id, run.id, *p.identity, *p.parent, p.started, p.ended, p.exit_status, *p.owner)
                for run, p in self._new_processes
            ],
        )
        self.rows.many(
            "add_image", [(i.id, i.process.id, i.started, i.ended, i.reason, *i.program) for i in self._new_images]
        )
        self.rows.many(
            "add_journal",
            [(j.id, run.id, j.number, j.offset, j.image_id, j.shift, j.closed) for run, j in self._new_journals],
        )
        for _, process in self._new_processes:
            process.new = False
        for image in self._new_images:
            image.new = False
        for _, journal in self._new_journals:
            journal.new = False
        for written in (self._new_processes, self._new_images, self._new_journals):
            written.clear()
