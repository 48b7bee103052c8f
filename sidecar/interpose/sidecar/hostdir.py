"""The directory by which a host's injectors and its sidecar know each other: one capture channel per container.

    HOST/containers/NAME/container.json   whose channel it is: written once, before anything is captured
    HOST/containers/NAME/spool/           what is mounted into that container, and nothing else is
    HOST/containers/NAME/ended            when the container ended: the sidecar stores what is left and removes NAME
    HOST/active/ID                        the channel of a container that runs: `docker exec` asks
    HOST/running                          a byte locked for each runtime that nobody calls again when its container ends
    HOST/library/MACHINE/HASH/            libinterpose.so and an empty directory `spool`: mounted, read-only
    HOST/decisions.log                    what was decided about containers, a line of JSON each

A channel appears under its name when it is whole, so neither side waits for the other: a container starts also while
the sidecar is down. Nothing here lies where a container can write, its spool aside. The OCI runtime wrapper is made of
this module too, so it needs nothing but Python's standard library, and as little of that as it can.
"""

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from interpose.sidecar.container_id import ContainerId
from interpose.sidecar.errors import SpoolBusyError
from interpose.sidecar.holding import hold, is_held
from interpose.sidecar.shared import remove_tree
from interpose.sidecar.spool import DEFAULT_QUOTA, Level, Redaction, Settings, Spool
from interpose.sidecar.unseen import Unseen, decoded, encoded

__all__ = ["DEFAULT_HOST", "Channel", "Decision", "HostDirectory", "Identity", "boot_id"]

DEFAULT_HOST: Final = "/var/lib/interpose"
RUNNING: Final = "running"

_MODE: Final = 0o711
"""Containers of other users must reach what is mounted, and need not see who else is there."""
_PAGE: Final = 4096
_LARGEST_LOG: Final = 1 << 20
_RUN_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


def boot_id() -> str:
    """What tells this boot of the machine from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


@dataclass(frozen=True, slots=True)
class Identity:
    """Which container it is, as the one who started it says."""

    id: str
    name: str | None = None
    image: str | None = None
    """As its user named it."""
    digest: str | None = None
    """sha256:... of the image's manifest where the engine knows it, else of its configuration."""
    labels: dict[str, str] = field(default_factory=dict)
    project: str | None = None
    """Of Compose."""
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """One container's capture directory."""

    directory: Path
    run: str
    identity: Identity
    created: int
    """Nanoseconds since 1970."""
    boot: str
    settings: Settings
    """The spool's, as they were when nobody else could write there."""
    unseen: Unseen | None = None
    """Its first program, if that will tell nothing of itself."""
    held: int | None = None
    """The byte of HOST/running that is locked while it runs; None where the runtime is called when it has ended."""

    @property
    def spool(self) -> Path:
        """What is mounted into the container."""
        return self.directory / "spool"

    def ended(self) -> int | None:
        """When the container ended, nanoseconds since 1970; None while it runs."""
        try:
            return int((self.directory / "ended").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None if self.boot == boot_id() and not self._is_let_go() else self._last_seen()
        except ValueError:
            return self._last_seen()

    def _is_let_go(self) -> bool:
        with contextlib.suppress(OSError):
            return self.held is not None and not is_held(self.directory.parent.parent / RUNNING, self.held)
        return False

    def _last_seen(self) -> int:
        """When a sidecar last looked after it: all that is known of a container that the machine went down with."""
        beat = None
        with contextlib.suppress(OSError):
            beat = Spool.last_beat(self.spool)
        return self.created if beat is None else max(self.created, min(beat, time.time_ns()))

    def is_spoilt(self) -> bool:
        """Whether its container has seen to it that the spool cannot be opened any more."""
        with contextlib.suppress(OSError):
            return Spool.last_beat(self.spool) is None
        return False

    def end(self, moment: int) -> None:
        """Note when the container ended, unless somebody did; nanoseconds since 1970."""
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            file = os.open(self.directory / "ended", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with os.fdopen(file, "w", encoding="utf-8") as ended:
                ended.write(str(moment))


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a container."""

    time: int
    """Nanoseconds since 1970."""
    outcome: str
    """`captured`, `unseen` (captured, but its first program runs unseen), `skipped` (it was asked for and cannot be
    had) or `failed` (our fault)."""
    reason: str
    id: str = ""
    name: str | None = None
    image: str | None = None
    channel: str | None = None
    """Where it is captured."""


class HostDirectory:
    """The directory itself. Its owner is whom the sidecar runs as."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.containers = path / "containers"
        self.active = path / "active"
        self.library = path / "library"
        self.running = path / RUNNING
        self.decisions = path / "decisions.log"
        self.discarded = path / "discarded"

    def prepare(self) -> None:
        """Make what is missing of it. Raises OSError."""
        for directory in (self.path, self.containers, self.active, self.library):
            if not directory.is_dir():
                directory.mkdir(mode=_MODE, parents=True)
                directory.chmod(_MODE)  # whatever the umask
        if not self.running.exists():
            self.running.touch(0o644)
            self.running.chmod(0o644)

    def lock(self) -> int:
        """A descriptor that keeps other sidecars off while it is open. Raises SpoolBusyError or OSError."""
        file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            raise SpoolBusyError(f"another sidecar serves {self.path}: stop it first") from error
        return file

    def is_served(self) -> bool:
        """Whether a sidecar has the lock. Raises OSError for who may not look."""
        try:
            os.close(self.lock())
        except SpoolBusyError:
            return True
        except FileNotFoundError:
            return False
        return False

    # Libraries.

    def place_library(self, machine: str, content: bytes) -> None:
        """Put a library where containers that start from now on get it. Those that run keep the one they have."""
        import hashlib  # noqa: PLC0415 - the runtime wrapper has no time for it

        digest = hashlib.sha256(content).hexdigest()[:16]
        directory = self.library / machine / digest
        if not (directory / "libinterpose.so").exists():
            draft = directory.with_name(f".{digest}.{os.getpid()}")
            (draft / "spool").mkdir(mode=_MODE, parents=True)
            (draft / "libinterpose.so").write_bytes(content)
            (draft / "libinterpose.so").chmod(0o755)
            for made in (directory.parent, draft, draft / "spool"):
                made.chmod(0o755)  # whatever the umask
            draft.rename(directory)
        link = self.library / machine / f".current.{os.getpid()}"
        link.symlink_to(digest)
        link.rename(self.library / machine / "current")

    def libraries(self) -> dict[str, str]:
        """The directories to mount, by machine."""
        found = {}
        for machine in os.listdir(self.library):  # noqa: PTH208 - names are wanted
            with contextlib.suppress(OSError):
                found[machine] = os.fspath(self.library / machine / (self.library / machine / "current").readlink())
        return found

    # Channels.

    def spool_of(self, name: str) -> Path:
        """Where the spool of a channel is, or will be."""
        return self.containers / name / "spool"

    def add(
        self,
        name: str,
        identity: Identity,
        *,
        level: str,
        quota: int = DEFAULT_QUOTA,
        active: bool = True,
        group: int | None = None,
        mapped: Collection[int] = (),
        unseen: Unseen | None = None,
        held: int | None = None,
    ) -> Channel:
        """Make a channel. Raises OSError or SpoolError; nothing is left then.

        An `active` one ends with its container, and what is executed in that has to be captured by a runtime of ours.
        `group` may make files in the spool: that of a container's root who has no rights on the host. `mapped`: see
        Spool.create. `unseen`: see Channel. `held`: a descriptor of HOST/running that is open as long as the container
        runs.
        """
        locked = None if held is None else hold(held)
        place = self.active / ContainerId(identity.id) if active else None
        draft = self.containers / f".{name}"
        run = "".join(_RUN_LETTERS[byte & 31] for byte in os.urandom(8))
        with _owner_of(self.path, group):
            draft.mkdir(mode=_MODE)  # another's of the same name is not removed below
        try:
            with _owner_of(self.path, group):
                draft.chmod(_MODE)
                with Spool.create(draft / "spool", level=Level[level.upper()], quota=quota, mapped=mapped) as spool:
                    settings = spool.settings
                channel = Channel(
                    self.containers / name, run, identity, time.time_ns(), boot_id(), settings, unseen, locked
                )
                if (draft / "spool").stat().st_gid == group:
                    (draft / "spool").chmod(_MODE | stat.S_IWGRP)
                _replace(draft / "container.json", json.dumps(_encoded(channel)))
                draft = draft.rename(channel.directory)
                if place is not None:
                    _replace(place, name)
        except BaseException:
            remove_tree(draft)
            raise
        return channel

    def channels(self) -> Iterator[Channel]:
        """Every channel there is; what is none is passed over."""
        if not self.containers.is_dir():
            return
        for name in sorted(os.listdir(self.containers)):  # noqa: PTH208 - names are wanted
            if not name.startswith("."):
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    yield self.channel(name)

    def channel(self, name: str) -> Channel:
        """One channel. Raises OSError, ValueError, KeyError or TypeError if it is none."""
        directory = self.containers / name
        told = json.loads((directory / "container.json").read_text(encoding="utf-8"))
        spool = told["spool"]
        settings = Settings(
            Level[spool["level"].upper()],
            spool["journal_size"],
            spool["journals_per_segment"],
            spool["quota"],
            bytes.fromhex(spool["id"]),
            Redaction[spool["redaction"].upper()],
            spool.get("first", 0),
        )
        identity = Identity(**told["container"])
        unseen = decoded(told.get("unseen"))
        return Channel(
            directory, told["run"], identity, told["created"], told["boot"], settings, unseen, told.get("held")
        )

    def active_name(self, container: ContainerId) -> str | None:
        """The name of the channel of a container that runs, None if it is not captured."""
        try:
            return (self.active / container).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def forget(self, container: ContainerId, moment: int) -> None:
        """A container has ended: note it in its channel, if it has one."""
        name = self.active_name(container)
        if name is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                self.channel(name).end(moment)
            (self.active / container).unlink(missing_ok=True)

    def discard(self, channel: Channel) -> Path:
        """Put a channel aside that is to be removed, and say where it is. Raises OSError."""
        self.discarded.mkdir(mode=_MODE, exist_ok=True)
        with contextlib.suppress(OSError, ValueError):
            container = ContainerId(channel.identity.id)
            if self.active_name(container) == channel.directory.name:  # nobody has told that it ended
                (self.active / container).unlink()
        return channel.directory.rename(self.discarded / channel.directory.name)

    # Decisions.

    def note(self, decision: Decision) -> None:
        """Append a line to the log; an old log makes way for a new one when it is a MiB long."""
        with contextlib.suppress(OSError):
            if self.decisions.stat().st_size > _LARGEST_LOG:
                self.decisions.rename(self.decisions.with_suffix(".log.1"))
        with self.decisions.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(decision)) + "\n")

    def noted(self) -> Iterator[Decision]:
        """The log's lines, the oldest first; those that are none are passed over."""
        for file in (self.decisions.with_suffix(".log.1"), self.decisions):
            with contextlib.suppress(FileNotFoundError), file.open(encoding="utf-8", errors="replace") as log:
                for line in log:
                    with contextlib.suppress(ValueError, TypeError):
                        yield Decision(**json.loads(line))


def _encoded(channel: Channel) -> dict[str, Any]:
    settings = channel.settings
    return {
        "run": channel.run,
        "created": channel.created,
        "boot": channel.boot,
        "held": channel.held,
        "container": asdict(channel.identity),
        "spool": {
            "level": settings.level.name.lower(),
            "journal_size": settings.journal_size,
            "journals_per_segment": settings.journals_per_segment,
            "quota": settings.quota,
            "id": settings.id.hex(),
            "redaction": settings.redaction.name.lower(),
            "first": settings.first,
        },
        "unseen": encoded(channel.unseen),
    }


def _replace(file: Path, content: str) -> None:
    """Write a file that is there whole or not at all, for its owner only: labels may be nobody else's business.

    The draft's name is no longer than a file's may be, and no container's id.
    """
    draft = file.with_name(f"~{os.urandom(8).hex()}")
    draft.touch(0o600, exist_ok=False)
    try:
        draft.write_text(content, encoding="utf-8")
        draft.rename(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class _owner_of(contextlib.AbstractContextManager[None]):  # noqa: N801 - used as a function
    """While it lasts, root makes files as the owner of a directory, so that a sidecar without privileges has them.

    A `group` has them instead of the directory's. Nothing may be imported meanwhile, not even a codec: the owner need
    not be able to read Python's modules.
    """

    def __init__(self, directory: Path, group: int | None = None) -> None:
        status = directory.stat()
        self._owner = (status.st_uid, status.st_gid if group is None else group)
        self._before = (os.geteuid(), os.getegid())
        self._changes = self._before[0] == 0 and self._owner != self._before

    def __enter__(self) -> None:
        if self._changes:
            os.setegid(self._owner[1])
            os.seteuid(self._owner[0])

    def __exit__(self, *_: object) -> None:
        if self._changes:
            os.seteuid(self._before[0])
            os.setegid(self._before[1])
