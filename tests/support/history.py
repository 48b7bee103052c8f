"""Databases for tests, written row by row: what programs did, without any program."""

import json

from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from interpose.sidecar import models
from interpose.v1 import event_pb2
from support.journals import record

START = 1_700_000_000_000_000_000
"""Nanoseconds since 1970 of time 0."""
BOOT = 1_000_000_000
"""The boot clock at time 0."""
SECOND = 1_000_000_000


class History:
    """Times are small numbers: seconds after START."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", lambda connection, _: connection.execute("pragma synchronous=off"))
        models.Base.metadata.create_all(self.engine)
        self.session = Session(self.engine, expire_on_commit=False)
        self.files: dict[str, models.File] = {}
        self.journals: dict[int, models.Journal] = {}

    def close(self) -> None:
        """Let go of the database."""
        self.session.close()
        self.engine.dispose()

    def _add(self, row):
        self.session.add(row)
        self.session.commit()
        return row

    def run(self, name="run1", *, command=("make",), started=0.0, ended=None, status=None, lost=0):
        return self._add(
            models.Run(
                id=name,
                spool=name + "spool",
                command=None if command is None else json.dumps(command),
                started=at(started),
                ended=at(ended),
                status=status,
                lost=lost,
            )
        )

    def process(self, pid, parent=None, *, run="run1", started=0.0, ended=None, status=None, **more):
        values = {"parent_start_time": None, "pid_namespace": 4026531836, "user": 1000, "group": 100}
        values["start_time"] = BOOT + int(started * SECOND)
        return self._add(
            models.Process(
                run_id=run,
                pid=pid,
                parent_pid=parent,
                started=at(started),
                ended=at(ended),
                exit_status=status,
                **(values | more),
            )
        )

    def image(self, process, *arguments, reason="exec", started=None, ended=None, executable=None, **more):
        values = {"directory": b"/w"} | more
        return self._add(
            models.Image(
                process_id=process.id,
                started=process.started if started is None else at(started),
                ended=at(ended) or process.ended,
                reason=reason,
                executable=(executable or f"/usr/bin/{arguments[0]}" if arguments else "/usr/bin/x").encode(),
                arguments="".join(argument + "\0" for argument in arguments).encode(),
                **values,
            )
        )

    def program(self, pid, parent, *arguments, run="run1", started=0.0, ended=None, status=0, **more):
        """A process that ran one program all its life."""
        process = self.process(pid, parent, run=run, started=started, ended=ended, status=status)
        return self.image(process, *arguments, **more)

    def file(self, path, *, kind="regular", inode=None, run="run1", seen=0.0, birth=None, device=0x800000001):
        """The file of this path: made at the first call, found at the next."""
        if path not in self.files:
            inode = inode or 100 + len(self.files)
            birth_time = 0 if kind == "pipe" else at(-1000.0 if birth is None else birth)
            scope = run if kind == "pipe" else ""
            file = models.File(device=device, inode=inode, birth_time=birth_time, scope=scope, kind=kind)
            self.files[path] = self._add(file)
            if kind != "pipe":
                self.name(path, path, run=run, seen=seen)
        return self.files[path]

    def name(self, file, path, *, run="run1", seen=0.0, until=None):
        self._add(
            models.Name(
                run_id=run,
                file_id=self.files[file].id,
                path=path.encode(),
                first_seen=at(seen),
                last_seen=at(seen if until is None else until),
            )
        )

    def access(self, image, did, path, *times, amount=10, modified=-500.0, **more):
        file = self.file(path, **more)
        for time in times:
            self._add(
                models.Access(
                    image_id=image.id,
                    file_id=file.id,
                    time=at(time),
                    kind=did,
                    amount=amount if did in ("read", "write") else 0,
                    size=10,
                    modified=at(modified),
                )
            )

    def event(self, image, time, *, run="run1", function="", **effect):
        """An event in a journal of the image's own, and the step that it tells of."""
        told = event_pb2.Event(time=BOOT + int(time * SECOND), thread=1, function=function, **effect)
        data = record(told)
        journal = self._journal(run, image)
        self._add(
            models.Range(
                journal_id=journal.id,
                offset=journal.offset,
                size=len(data),
                events=1,
                first=at(time),
                last=at(time),
                data=data,
            )
        )
        journal.offset += len(data)
        self.session.commit()
        self._step(image, time, told)

    def _journal(self, run, image):
        if image.id not in self.journals:
            number = len(self.journals)
            shift = START - BOOT
            self.journals[image.id] = self._add(
                models.Journal(run_id=run, number=number, offset=0, image_id=image.id, realtime_offset=shift)
            )
        return self.journals[image.id]

    def _step(self, image, time, told):
        effect = told.WhichOneof("effect")
        child = getattr(getattr(told, effect), "child", 0)
        kind = "fork" if effect == "spawn" else effect
        if kind in ("fork", "exec", "wait") and (kind == "exec" or not told.error):
            status = told.error
            if kind == "wait":
                status = 128 + told.wait.signal if told.wait.signal else told.wait.exit_status
            self._add(
                models.Step(
                    image_id=image.id, kind=kind, time=at(time), boot_time=told.time, child=child, status=status
                )
            )


def at(time):
    """A time of the tests in nanoseconds since 1970."""
    return None if time is None else START + int(time * SECOND)
