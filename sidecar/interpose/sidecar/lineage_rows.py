"""The rows that a lineage is made of, from the database: a few statements for each whole frontier."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select
from sqlalchemy.orm import aliased

from interpose.sidecar import lineage, models
from interpose.sidecar.ancestry import Fork, ProcessKey, parents_of
from interpose.sidecar.models import Access, Name, Process, Run
from interpose.sidecar.query import READ, VFORKS_DEEP, WRITE, QueryError, forks_of, in_chunks

__all__ = ["DatabaseSource", "Found", "Identity", "NeverSeenError", "find_file"]

_Select = Any
"""sqlalchemy.Select, whose parameters differ between its releases."""
OPENERS = ("open", "create", "truncate")
_MINOR = (1 << 32) - 1
"""The greatest device number of what lies on no device: its major number is 0."""
_CLOCKS_APART = 10_000_000
"""How much older than the present the time may be that a file system writes down, in nanoseconds: a timer tick."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What stat tells of a file that is there now; a birth time of 0 is unknown."""

    device: int
    inode: int
    birth_time: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The file that a path means."""

    file: int
    former: bool
    """Only its name was seen: what has this name now is another file."""


class NeverSeenError(QueryError):
    """No captured program had to do with the file."""


def find_file(connection: Connection, paths: Sequence[bytes], identity: Identity | None, run: str | None) -> Found:
    """The file of this identity, else the one last seen under one of these names (of a run, if one is named)."""
    named = (
        select(Name.file_id, func.max(Name.last_seen).label("seen"))
        .where(Name.path.in_(paths))
        .group_by(Name.file_id)
        .order_by(func.max(Name.last_seen).desc(), Name.file_id.desc())
    )
    if run is not None:
        named = named.where(Name.run_id == run)
    by_name = [row.file_id for row in connection.execute(named)]
    if identity is not None:
        by_identity = _of_identity(connection, identity, run)
        if by_identity:
            return Found(min(by_identity, key=lambda file: (file not in by_name, -file)), former=False)
    if by_name:
        return Found(by_name[0], former=identity is not None)
    where = "" if run is None else f" in run {run}"
    raise NeverSeenError(f"never seen{where}: {paths[0].decode('utf-8', 'backslashreplace')}")


def _of_identity(connection: Connection, identity: Identity, run: str | None) -> list[int]:
    wanted = select(models.File.id).where(
        models.File.inode == identity.inode, models.File.device == identity.device, models.File.scope == ""
    )
    if identity.birth_time:
        wanted = wanted.where(models.File.birth_time.in_([identity.birth_time, 0]))
    if run is not None:
        seen = (
            select(Access.id)
            .join(models.Image, models.Image.id == Access.image_id)
            .join(Process, Process.id == models.Image.process_id)
            .where(Access.file_id == models.File.id, Process.run_id == run)
        )
        wanted = wanted.where(seen.exists())
    return list(connection.execute(wanted).scalars())


class DatabaseSource:
    """A `lineage.Source`, of all runs or of one alone."""

    def __init__(self, connection: Connection, run: str | None = None) -> None:
        self.connection = connection
        self.run = run
        self.forks: dict[str, list[Fork]] = {}

    def images(self, ids: Collection[int]) -> list[lineage.Image]:
        """The images of these ids, each with the one it comes from."""
        rows = list(self._rows(_images(), models.Image.id, ids))
        before = self._predecessors(rows)
        lenders = self._lenders(rows, before)
        return [_image(row, before.get(row.id), lenders.get(row.id, row)) for row in rows]

    def _lenders(self, rows: Sequence[Any], before: Mapping[int, int]) -> dict[int, Any]:
        """For each vfork child, which tells of no program: the image whose program it runs."""
        lenders: dict[int, Any] = {}
        wanted = {row.id: before[row.id] for row in rows if _borrows(row) and row.id in before}
        for _ in range(VFORKS_DEEP):
            found = {row.id: row for row in self._rows(_images(), models.Image.id, set(wanted.values()))}
            further = self._predecessors([row for row in found.values() if _borrows(row)])
            lenders |= {image: found[lender] for image, lender in wanted.items() if lender in found}
            wanted = {image: further[lender] for image, lender in wanted.items() if lender in further}
            if not wanted:
                break
        return lenders

    def files(self, ids: Collection[int]) -> Iterator[lineage.File]:
        """The files of these ids."""
        for row in self._rows(select(*models.File.__table__.columns), models.File.id, ids):
            yield lineage.File(row.id, row.kind, row.device, row.inode, row.birth_time)

    def inputs(self, images: Collection[int]) -> Iterator[lineage.Span]:
        """What these images read, executed and loaded, drawn together."""
        return self._spans(Access.image_id, images, READ)

    def outputs(self, files: Collection[int]) -> Iterator[lineage.Span]:
        """Who wrote, created and truncated these files, drawn together."""
        unwritten = set(files)
        for span in self._spans(Access.file_id, files, WRITE):
            unwritten.discard(span.file)
            yield span
        elsewhere = self._elsewhere(unwritten) if self.run is None else {}
        for span in self._spans(Access.file_id, elsewhere, WRITE):
            for file in elsewhere[span.file]:
                yield span._replace(file=file)

    def _elsewhere(self, files: Collection[int]) -> dict[int, list[int]]:
        """The same files under other mounts, each with those of `files` that it is.

        An overlay, which a container's root is, has another device number each time that it is mounted; number and
        time of birth are those of the file in its layer. Only where nothing is known of a file itself this is asked:
        in a file system in memory, which has such a device number too, another file may be born so.
        """
        other = aliased(models.File)
        same = (
            select(models.File.id, other.id.label("other"))
            .join(other, (other.inode == models.File.inode) & (other.birth_time == models.File.birth_time))
            .where(models.File.id != other.id, models.File.kind == "regular", models.File.birth_time != 0)
            .where(models.File.device.between(0, _MINOR), other.device.between(0, _MINOR))
        )
        found: dict[int, list[int]] = defaultdict(list)
        for row in self._rows(same, models.File.id, files):
            found[row.other].append(row.id)
        return found

    def observers(self, files: Collection[int]) -> dict[int, dict[str, int | None]]:
        """Who saw these files, run by run."""
        seen = (
            select(Access.file_id, Process.run_id, func.max(Access.modified).label("modified"))
            .join(models.Image, models.Image.id == Access.image_id)
            .join(Process, Process.id == models.Image.process_id)
            .group_by(Access.file_id, Process.run_id)
        )
        observers: dict[int, dict[str, int | None]] = defaultdict(dict)
        for row in self._rows(self._of_run(seen), Access.file_id, files):
            observers[row.file_id][row.run_id] = row.modified
        return observers

    def runs(self, ids: Collection[str]) -> dict[str, int]:
        """When these runs started."""
        return {row.id: row.started for row in self._rows(select(Run.id, Run.started), Run.id, ids)}

    def blind(self, runs: Collection[str]) -> Iterator[lineage.Image]:
        """The images that ran, or may have acted, unseen in these runs, in the order of their starts."""
        unseen = _images().where(models.Image.blind_spot.is_not(None)).order_by(models.Image.started, models.Image.id)
        for row in self._rows(unseen, Process.run_id, runs):
            yield _image(row, None, row)

    def blind_at(self, time: int) -> Iterator[lineage.Image]:
        """The images that ran, or may have acted, unseen at a time."""
        ended = func.coalesce(models.Image.ended, Run.ended, lineage.FOREVER)
        unseen = _images().join(Run, Run.id == Process.run_id).order_by(models.Image.started, models.Image.id)
        unseen = unseen.where(models.Image.blind_spot.is_not(None), ended >= time)
        for row in self.connection.execute(self._of_run(unseen.where(models.Image.started <= time + _CLOCKS_APART))):
            yield _image(row, None, row)

    def _rows(self, statement: _Select, column: Any, ids: Collection[Any]) -> Iterator[Any]:
        for chunk in in_chunks(sorted(ids)):
            yield from self.connection.execute(statement.where(column.in_(chunk))).all()

    def _of_run(self, statement: _Select) -> _Select:
        return statement if self.run is None else statement.where(Process.run_id == self.run)

    def _spans(self, column: Any, ids: Collection[int], kinds: frozenset[str]) -> Iterator[lineage.Span]:
        """Accesses drawn together, from one opening of a file by an image to the next."""
        for chunk in in_chunks(sorted(ids)):
            in_order = (
                select(
                    Access.image_id,
                    Access.file_id,
                    Access.kind,
                    Access.time,
                    Access.amount,
                    func.sum(case((Access.kind.in_(OPENERS), 1), else_=0))
                    .over(partition_by=(Access.image_id, Access.file_id), order_by=(Access.time, Access.id))
                    .label("session"),
                )
                .where(column.in_(chunk), Access.kind.in_({*OPENERS, *kinds}))
                .subquery()
            )
            at = in_order.c
            mapped = func.max(case((and_(at.kind == "write", at.amount == 0), 1), else_=0))
            drawn = (
                select(
                    at.image_id,
                    at.file_id,
                    at.kind,
                    at.session,
                    func.min(at.time),
                    # A write of no bytes is a mapping: stores reach the file as long as the image lasts.
                    case((mapped == 1, func.coalesce(models.Image.ended, lineage.FOREVER)), else_=func.max(at.time)),
                    func.sum(at.amount),
                )
                .join(models.Image, models.Image.id == at.image_id)
                .where(at.kind.in_(kinds))
                .group_by(at.image_id, at.file_id, at.kind, at.session, models.Image.ended)
                .order_by(func.min(at.time), at.image_id, at.file_id, at.kind, at.session)
            )
            if self.run is not None:
                drawn = drawn.join(Process, Process.id == models.Image.process_id).where(Process.run_id == self.run)
            for image, file, kind, session, first, last, amount in self.connection.execute(drawn).all():
                yield lineage.Span(image, file, kind, int(session), first, max(first, last), int(amount))

    def _predecessors(self, rows: Sequence[Any]) -> dict[int, int]:
        """For each image the one before it in its process, else the one that its process's parent then ran."""
        own = self._images_by_process({row.process_id for row in rows})
        before: dict[int, int] = {}
        first = []
        for row in rows:
            earlier = [image for started, image in own[row.process_id] if (started, image) < (row.started, row.id)]
            if earlier:
                before[row.id] = earlier[-1]
            else:
                first.append(row)
        parents = self._parents(first)
        theirs = self._images_by_process(set(parents.values()))
        for row in first:
            candidates = theirs.get(parents.get(row.process_id, 0), [])
            running = [image for started, image in candidates if started <= row.started] or [
                image for _, image in candidates[:1]
            ]
            if running:
                before[row.id] = running[-1]
        return before

    def _images_by_process(self, processes: Collection[int]) -> dict[int, list[tuple[int, int]]]:
        images: dict[int, list[tuple[int, int]]] = defaultdict(list)
        wanted = select(models.Image.process_id, models.Image.started, models.Image.id)
        for row in self._rows(wanted, models.Image.process_id, processes):
            images[row.process_id].append((row.started, row.id))
        for found in images.values():
            found.sort()
        return images

    def _parents(self, rows: Sequence[Any]) -> dict[int, int]:
        """Parents of the rows' processes. Forks are read only for those that name none, or the one that adopts."""
        if not rows:
            return {}
        children = {row.process_id for row in rows}
        keys = {key.id: key for key in self._keys(Process.id.in_(chunk) for chunk in in_chunks(sorted(children)))}
        places = {(key.run, key.pid_namespace, key.parent_pid) for key in keys.values() if key.parent_pid is not None}
        places |= {(run, 0, 1) for run, _, pid in places if pid == 1}  # see ancestry.parents_of
        keys |= {key.id: key for key in self._keys(_at(places))}
        parents = parents_of(keys.values(), [])
        doubtful = {keys[child].run for child in children if child not in parents or keys[child].parent_pid == 1}
        if doubtful:
            new = sorted(doubtful - self.forks.keys())
            if new:
                self.forks |= {run: [] for run in new}
                for fork in forks_of(self.connection, new):
                    self.forks[fork.run].append(fork)
            forks = [fork for run in doubtful for fork in self.forks[run]]
            # Which fork made which process shows only among all that ever had the pid.
            makers = {(fork.run, fork.pid_namespace, fork.child_pid) for fork in forks}
            ours = {(keys[child].run, keys[child].pid_namespace, keys[child].pid) for child in children}
            keys |= {key.id: key for key in self._keys(_at(makers & ours))}
            parents = parents_of(keys.values(), forks)
        return {child: parent for child, parent in parents.items() if child in children}

    def _keys(self, conditions: Any) -> Iterator[ProcessKey]:
        wanted = select(
            Process.id,
            Process.run_id,
            Process.pid_namespace,
            Process.pid,
            Process.start_time,
            Process.parent_pid,
            Process.parent_start_time,
        )
        for condition in conditions:
            for row in self.connection.execute(wanted.where(condition)):
                yield ProcessKey(*row)


def _at(places: Collection[tuple[str, int, int]]) -> Iterator[ColumnElement[bool]]:
    """Conditions that an index answers, for the processes that had these pids."""
    pids: dict[tuple[str, int], list[int]] = defaultdict(list)
    for run, pid_namespace, pid in places:
        pids[run, pid_namespace].append(pid)
    for (run, pid_namespace), these in pids.items():
        for chunk in in_chunks(sorted(these)):
            yield and_(Process.run_id == run, Process.pid_namespace == pid_namespace, Process.pid.in_(chunk))


def _images() -> _Select:
    return select(*models.Image.__table__.columns, Process.run_id, Process.pid_namespace, Process.pid).join(
        Process, Process.id == models.Image.process_id
    )


def _borrows(row: Any) -> bool:
    """Whether it is of a vfork child, which runs its parent's program until it executes one."""
    return row.reason == "fork" and row.executable is None


def _image(row: Any, predecessor: int | None, lender: Any) -> lineage.Image:
    return lineage.Image(
        row.id,
        row.run_id,
        row.pid_namespace,
        row.pid,
        row.reason,
        row.started,
        row.ended,
        lender.executable,
        lender.arguments,
        lender.directory,
        row.blind_spot,
        row.blind_object,
        predecessor,
    )
