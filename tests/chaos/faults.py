"""The faults: each says how a round goes, up to the moment when everything must be in the database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from chaos.damage import damage, unfinished_records
from chaos.mounts import ballast, read_only
from chaos.scene import SIMPLE, Scene
from chaos.stepping import kill_in_a_call
from chaos.stores import PostgreSQL

__all__ = ["FAULTS", "Fault"]

_MOST_STARTS: Final = 20


@dataclass(frozen=True)
class Fault:
    """One kind of fault."""

    course: Callable[[Scene], None]
    """A round: it returns when all programs have ended and the sidecar has been told to store everything and stop."""
    weight: int = 1
    """How often it is chosen, in proportion to others."""
    gaps: tuple[str, ...] = ()
    """Causes of gaps that are in order: they must count exactly what is missing."""
    stores: tuple[str, ...] = ("sqlite", "postgresql")
    small: str = ""
    """`spool` or `database`: which lies on a small file system of its own."""


def _end(scene: Scene) -> None:
    scene.finish_programs()
    scene.service.stop()


def nothing(scene: Scene) -> None:
    """The comparison itself."""
    scene.service.start()
    scene.start_programs(0.8)
    _end(scene)


def program_killed(scene: Scene) -> None:
    """SIGKILL of processes at random, at last of all."""
    scene.service.start()
    scene.start_programs(1.5)
    for _ in range(scene.rng.randint(1, 6)):
        scene.sleep(0, 0.2)
        if running := scene.running():
            scene.rng.choice(running).kill_one(scene.rng)
    if scene.rng.random() < 0.5:
        for program in scene.programs:
            program.kill_all()
    _end(scene)


def killed_in_the_append(scene: Scene) -> None:
    """SIGKILL at a random instruction of a call, most of which are the library's."""
    scene.service.start()
    for _ in range(4):
        program = scene.start_program("oooowwwrmmclldsp", 4000, scene.rng.choice([1, 1, 3]), 100)
        scene.notes["killed at an instruction"] += kill_in_a_call(scene.account, program, scene.rng)
        program.kill_all()
    scene.service.pause()
    scene.notes["records left unfinished"] += unfinished_records(scene.capture / "spool")
    scene.service.resume()
    _end(scene)


def sidecar_killed(scene: Scene) -> None:
    """SIGKILL of the sidecar, again and again; at last perhaps after all programs have ended."""
    scene.service.start()
    scene.start_programs(2.0)
    for _ in range(scene.rng.randint(1, 3)):
        scene.sleep(0, 0.7)
        scene.service.kill()
        scene.sleep(0, 0.1)
        scene.service.start()
    scene.finish_programs()
    if scene.rng.random() < 0.5:
        scene.service.kill()
        scene.service.start()
    _end(scene)


def sidecar_stopped(scene: Scene) -> None:
    """SIGSTOP of the sidecar for a while, some processes dying meanwhile."""
    scene.service.start()
    scene.start_programs(1.5)
    scene.sleep(0, 0.4)
    scene.service.pause()
    scene.sleep(0.2, 1.5)
    if running := scene.running():
        scene.rng.choice(running).kill_one(scene.rng)
    scene.service.resume()
    _end(scene)


def postgresql_killed(scene: Scene) -> None:
    """SIGKILL of all of the server's processes, twice perhaps, in the midst of transactions."""
    assert isinstance(scene.store, PostgreSQL)
    scene.service.start()
    scene.start_programs(2.0)
    for _ in range(scene.rng.randint(1, 2)):
        scene.sleep(0, 0.8)
        scene.store.kill()
        scene.sleep(0, 0.5)
        scene.store.start()
    _end(scene)


def spool_full(scene: Scene) -> None:
    """No room for new segments for a while: what finds none is dropped and counted."""
    scene.make_spool(quota=1000, journals_per_segment=2)
    scene.service.start()
    programs = [scene.start_program(SIMPLE, 5000, scene.rng.choice([1, 3]), 100) for _ in range(2)]
    scene.sleep(0.1, 0.3)
    with ballast(scene.capture):
        scene.sleep(0.5, 1.5)
    scene.sleep(0.2, 0.5)
    for program in programs:
        if scene.rng.random() < 0.5:
            scene.account.stop = 1
        program.finish()
    _end(scene)


def quota_reached(scene: Scene) -> None:
    """More is told than the quota holds: what finds no room is dropped and counted."""
    scene.make_spool(quota=scene.rng.randint(3, 8), journals_per_segment=2)
    scene.service.start()
    for _ in range(2):
        scene.start_program(SIMPLE, 4000, scene.rng.choice([1, 3]), scene.rng.choice([0, 20]))
    if scene.rng.random() < 0.7:
        scene.service.pause()
        scene.sleep(0.3, 1)
        for _ in range(scene.rng.randint(0, 6)):
            scene.start_program("s", scene.rng.randint(1, 10), 1, 0).finish()
        scene.service.resume()
    _end(scene)


def database_full(scene: Scene) -> None:
    """No room in the database for a while."""
    scene.service.start()
    scene.start_programs(1.5)
    scene.sleep(0, 0.5)
    with ballast(scene.store.folder):
        scene.sleep(0.5, 2)
        if scene.rng.random() < 0.3:
            scene.service.kill()
    if isinstance(scene.store, PostgreSQL):
        scene.store.stop()  # without room for its log it may have ended by itself
        scene.store.start()
    scene.service.revive()
    _end(scene)


def spool_read_only(scene: Scene) -> None:
    """The spool's file system comes back read-only after a crash: the sidecar refuses to serve."""
    scene.service.start()
    scene.start_programs(0.8)
    scene.sleep(0, 0.6)
    scene.service.kill()
    for program in scene.programs:
        program.kill_all()
    scene.finish_programs()
    with read_only(scene.capture):
        scene.service.refuse()
    scene.service.start()
    scene.start_programs(0.3)
    _end(scene)


def database_read_only(scene: Scene) -> None:
    """The database cannot be written for a while: its file system is read-only, or its server a standby."""
    scene.service.start()
    scene.start_programs(1.5)
    scene.sleep(0, 0.6)
    if isinstance(scene.store, PostgreSQL):
        scene.store.refuse_writing(on=True)
        scene.sleep(0.3, 1)
        scene.store.refuse_writing(on=False)
    else:
        scene.service.kill()
        with read_only(scene.store.folder):
            scene.service.refuse()
        scene.service.start()
    _end(scene)


def collector_killed(scene: Scene) -> None:
    """SIGKILL of the collector that the sidecar forwards to, and of the sidecar, in turns."""
    collector = scene.forward()
    collector.start()
    scene.service.start()
    scene.start_programs(2.0)
    for _ in range(scene.rng.randint(2, 4)):
        scene.sleep(0, 0.6)
        victim = scene.rng.choice([collector, collector, scene.service])
        victim.kill()
        scene.sleep(0, 0.3)
        victim.start()
    _end(scene)
    for _ in range(_MOST_STARTS):  # what is not forwarded when it ends, it forwards when it is started again
        if scene.is_forwarded():
            break
        scene.service.start()
        scene.sleep(1, 1)
        scene.service.stop()
    collector.stop()


def real_program_killed(scene: Scene) -> None:
    """SIGKILL of processes of a real program, and sometimes of the sidecar; strace keeps the account."""
    scene.service.start()
    program = scene.start_witnessed()
    for _ in range(scene.rng.randint(0, 2)):
        scene.sleep(0.05, 0.5)
        program.kill_one(scene.rng, spare=[program.group])
    if scene.rng.random() < 0.3:
        scene.service.kill()
        scene.service.start()
    _end(scene)


def clock_jumps(scene: Scene) -> None:
    """The sidecar's clock jumps by up to a year, to and fro."""
    setting = scene.folder / "clock"
    setting.write_bytes(bytes(8))
    scene.service.variables.update({"LD_PRELOAD": str(scene.tools / "clock.so"), "CHAOS_CLOCK": str(setting)})
    scene.service.start()
    scene.start_programs(1.5)
    for _ in range(scene.rng.randint(3, 10)):
        jump = scene.rng.choice([-1, 1]) * scene.rng.choice([1, 60, 3600, 86400 * 365])
        with setting.open("r+b") as file:
            file.write(jump.to_bytes(8, "little", signed=True))
        scene.sleep(0, 0.2)
        if scene.rng.random() < 0.1:
            scene.service.kill()
            scene.service.start()
    _end(scene)


def journal_damaged(scene: Scene) -> None:
    """Bytes of records are changed before the sidecar has read them."""
    scene.service.start()
    scene.service.pause()
    scene.start_programs(0.4)
    scene.finish_programs()
    scene.damage = damage(scene.capture / "spool", scene.rng, scene.rng.randint(1, 12))
    scene.notes["records damaged"] += scene.damage.records
    scene.service.resume()
    _end(scene)


FAULTS: Final[Mapping[str, Fault]] = {
    "nothing": Fault(nothing),
    "program killed": Fault(program_killed, 4),
    "killed in the append": Fault(killed_in_the_append, 4),
    "sidecar killed": Fault(sidecar_killed, 4),
    "sidecar stopped": Fault(sidecar_stopped, 2),
    "collector killed": Fault(collector_killed, 4),
    "real program killed": Fault(real_program_killed, 4),
    "PostgreSQL killed": Fault(postgresql_killed, 4, stores=("postgresql",)),
    "spool full": Fault(spool_full, 2, gaps=("disk_full",), small="spool"),
    "database full": Fault(database_full, 3, small="database"),
    "spool read-only": Fault(spool_read_only, 2, small="spool"),
    "database read-only": Fault(database_read_only, 2, small="database"),
    "clock jumps": Fault(clock_jumps, 2),
    "journal damaged": Fault(journal_damaged, 3, gaps=("corrupt",)),
    "quota reached": Fault(quota_reached, 3, gaps=("quota",)),
}
"""By name."""
