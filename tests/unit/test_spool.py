"""The spool as files: what is made, what is believed."""

import os
import stat
import struct

import pytest

from interpose.sidecar import spool as spool_module
from interpose.sidecar.errors import SpoolBusyError, SpoolError
from interpose.sidecar.spool import CONTROL, JOURNAL, Journal, Level, Spool
from support.journals import Writer, control


@pytest.fixture
def spool(tmp_path):
    with Spool.create(tmp_path / "spool", level=Level.CALLS, quota=1000) as made:
        yield made


def claim(spool, count):
    with control(spool.directory) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["next_journal"], count)


def names(spool):
    return sorted(name for name in os.listdir(spool.directory) if name.startswith("segment"))


def word(spool, member):
    with control(spool.directory) as page:
        return struct.unpack_from("<Q", page, CONTROL.offsets[member])[0]


def test_a_spool_is_opened_with_the_settings_it_was_made_with(spool):
    spool.close()
    with Spool.open(spool.directory) as again:
        assert spool.settings == again.settings
        assert (Level.CALLS, 1000, 65536, 64) == (
            again.settings.level,
            again.settings.quota,
            again.settings.journal_size,
            again.settings.journals_per_segment,
        )


def test_others_may_write_the_files_and_not_list_them_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        with Spool.create(tmp_path / "spool") as spool:
            modes = {
                name: stat.S_IMODE((spool.directory / name).stat().st_mode) for name in os.listdir(spool.directory)
            }
            assert 0o711 == stat.S_IMODE(spool.directory.stat().st_mode)
    finally:
        os.umask(before)
    assert {"control": 0o666, "lock": 0o600, "segment-00000000": 0o666, "segment-00000001": 0o666} == modes


def test_every_block_of_a_segment_is_allocated(spool):
    status = (spool.directory / "segment-00000001").stat()

    assert 64 * 65536 == status.st_size
    assert status.st_size <= status.st_blocks * 512


def test_a_second_sidecar_is_refused_with_one_line(spool):
    with pytest.raises(SpoolBusyError, match=r"^another sidecar works on .*: stop it first$"):
        Spool.open(spool.directory)


def test_a_spool_is_not_made_over_another(spool):
    spool.close()
    with pytest.raises(SpoolError, match="is a spool already"):
        Spool.create(spool.directory)


def test_two_segments_stand_ready_beyond_the_one_in_use(spool):
    claim(spool, 64 + 1)
    spool.refresh()

    assert [f"segment-{n:08x}" for n in range(3)] == names(spool)
    assert {0, 1, 2} == set(spool.segments)


def test_the_quota_limits_how_many_segments_are_made(tmp_path):
    with Spool.create(tmp_path / "spool", quota=128) as spool:
        claim(spool, 1 << 60)
        spool.refresh()
        assert 2 == len(names(spool))


def test_a_segment_that_a_process_made_is_found(spool):
    size = spool.settings.segment_size
    claim(spool, 64 * 2)
    with open(spool.directory / "segment-00000002", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    spool.refresh()

    assert {0, 1, 2, 3} == set(spool.segments)
    assert set() == spool.refused


def test_what_was_removed_is_not_made_again_after_a_restart(spool):
    claim(spool, 64 * 3)
    spool.refresh()
    spool.remove(spool.segments[0])
    spool.remove(spool.segments[1])
    assert 128 == word(spool, "released")
    spool.close()
    with Spool.open(spool.directory) as again:
        assert {2, 3, 4} == set(again.segments)
        again.release()
        assert 128 == word(again, "released")


def test_a_long_lived_process_does_not_use_up_the_quota(spool):
    claim(spool, 64 * 3)
    spool.refresh()
    spool.remove(spool.segments[1])
    spool.remove(spool.segments[2])

    assert 128 == word(spool, "released")


def test_in_a_spool_for_restored_processes_nobody_claims_a_journal_that_they_map(tmp_path):
    with Spool.create(tmp_path / "spool", quota=1000, mapped=(1, 3)) as spool:
        assert ["segment-00000001", *(f"segment-0000000{index}" for index in (3, 4, 5))] == names(spool)
        assert [4 * 64] * 2 == [word(spool, member) for member in ("next_journal", "released")]
        assert 4 * 64 == Writer(spool.directory).number
        spool.release()
        assert 4 * 64 == word(spool, "released")


def test_a_journal_is_live_as_long_as_it_is_mapped(spool):
    writer = Writer(spool.directory)
    journal = Journal(spool.segments[0], writer.number)

    assert journal.is_live()
    writer.die()
    assert not journal.is_live()


def test_an_abandoned_journal_that_is_locked_keeps_a_late_owner_out(spool):
    journal = Journal(spool.segments[0], 0)

    assert journal.lock()
    with pytest.raises(BlockingIOError):
        Writer(spool.directory)


def test_a_journal_with_an_owner_cannot_be_taken_from_it(spool):
    writer = Writer(spool.directory)

    assert not Journal(spool.segments[0], writer.number).lock()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("magic", 1),
        ("kind", 3),
        ("number", 7),
        ("events_offset", 1 << 31),
        ("events_offset", 16385),
        ("events_offset", 0),
        ("events_size", 65536),
        ("fds_count", 1 << 31),
    ],
)
def test_a_header_that_makes_no_sense_is_not_one(spool, member, value):
    writer = Writer(spool.directory)
    journal = Journal(spool.segments[0], writer.number)
    assert journal.header() is not None

    writer.poke(JOURNAL.offsets[member], struct.pack("<I", value))

    assert journal.header() is None


def symlink(path):
    path.symlink_to("/etc/passwd")


def directory(path):
    path.mkdir()


def short(path):
    path.write_bytes(bytes(4096))


def huge(path):
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("make", [symlink, os.mkfifo, directory, short, huge])
def test_what_is_no_segment_is_refused(spool, make):
    claim(spool, 64)
    make(spool.directory / "segment-00000002")
    spool.refresh()

    assert {"segment-00000002"} == spool.refused
    assert {0, 1} == set(spool.segments)


@pytest.mark.parametrize("make", [symlink, os.mkfifo, directory, short])
def test_what_is_no_control_page_is_refused(tmp_path, make):
    make(tmp_path / "control")
    with pytest.raises(SpoolError, match=r"is not a spool: [^\n]*$"):
        Spool.open(tmp_path)


@pytest.mark.parametrize(
    ("member", "value"), [("version", 1), ("level", 9), ("journal_size", 5), ("journals_per_segment", 0)]
)
def test_a_control_page_that_makes_no_sense_is_refused(spool, member, value):
    with control(spool.directory) as page:
        struct.pack_into("<I", page, CONTROL.offsets[member], value)
    spool.close()
    with pytest.raises(SpoolError):
        Spool.open(spool.directory)


def test_a_second_name_of_a_segment_holds_no_journals(spool):
    for _ in range(65):
        Writer(spool.directory)
    os.link(spool.directory / "segment-00000000", spool.directory / "segment-00000002")
    spool.refresh()

    assert Journal(spool.segments[0], 3).header() is not None
    assert [None] * 64 == [Journal(spool.segments[2], slot).header() for slot in range(64)]


def test_refused_names_are_remembered_up_to_a_limit(spool):
    for number in range(1500):
        (spool.directory / f"segment-{0x1000 + number:08x}").touch()
    spool.refresh()

    assert 1000 == len(spool.refused)


def test_a_lack_of_descriptors_refuses_no_segment(spool, monkeypatch):
    claim(spool, 64)
    (spool.directory / "segment-00000002").write_bytes(bytes(spool.settings.segment_size))

    def none_left(*_, **__):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none_left)
        with pytest.raises(SpoolError, match="^cannot look into the spool .*: Too many open files$"):
            spool.refresh()
    spool.refresh()

    assert set() == spool.refused
    assert {0, 1, 2} == set(spool.segments)


def sparse(spool, indexes):
    """Make segments of the right size that take no room."""
    for index in indexes:
        with open(spool.directory / f"segment-{index:08x}", "wb") as file:
            file.truncate(spool.settings.segment_size)


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_segments_that_the_quota_rules_out_are_not_opened(spool):
    claim(spool, 1 << 40)
    sparse(spool, range(2, 3000))
    before = open_files()
    for _ in range(5):
        spool.refresh()

    assert len(spool.segments) <= 1000 // 64 + 4
    assert max(spool.segments) <= 1000 // 64 + 4
    assert open_files() - before <= 1000 // 64 + 4
    assert 1000 == len(spool.refused)


def test_what_processes_claim_within_the_quota_is_found_when_the_sidecar_comes_back(spool):
    claim(spool, 64 * 4)
    spool.refresh()
    for index in (0, 2, 3):
        spool.remove(spool.segments[index])
    settings = spool.settings
    spool.close()
    released = word(spool, "released")
    last = (released + 1000 - 1) // 64
    claim(spool, released + 1000)
    sparse(spool, range(6, last + 1))
    with Spool.open(spool.directory, settings) as again:
        assert {1, 4, 5, *range(6, last + 1)} <= set(again.segments)
        assert set() == again.refused


def test_a_count_of_released_journals_that_makes_no_sense_opens_no_more_segments(spool):
    settings = spool.settings
    spool.close()
    claim(spool, 1 << 40)
    with control(spool.directory) as page:
        struct.pack_into("<Q", page, CONTROL.offsets["released"], 1 << 40)
    sparse(spool, range(2, 500))
    with Spool.open(spool.directory, settings) as again:
        assert len(again.segments) <= 1000 // 64 + 4
        assert 0 in again.segments


def test_segments_are_found_in_a_directory_that_is_full_of_names(spool, monkeypatch):
    monkeypatch.setattr(spool_module, "_MOST_LISTED", 50)
    for number in range(500):
        (spool.directory / f"name-{number}").touch()
    claim(spool, 64 * 2)
    sparse(spool, [2])
    spool.refresh()
    assert {0, 1, 2, 3} == set(spool.segments)
    settings = spool.settings
    spool.close()
    with Spool.open(spool.directory, settings) as again:
        assert {0, 1, 2, 3} == set(again.segments)


def test_one_look_takes_so_many_names_and_no_more(spool, monkeypatch):
    taken = []

    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __iter__(self):
            return self

        def __next__(self):
            taken.append(None)
            return type("Entry", (), {"name": f"segment-{len(taken) + 0x1000:08x}"})

    monkeypatch.setattr(os, "scandir", lambda _: Endless())
    spool.refresh()

    assert 0 < len(taken) < 10000


def test_a_spool_that_cannot_be_looked_into_is_let_go_of(spool, monkeypatch):
    settings = spool.settings
    spool.close()
    before = open_files()

    def none_left(*_):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", none_left)
        patch.setattr(spool_module, "_remove_leftovers", lambda _: None)
        with pytest.raises(SpoolError, match=r"^cannot look into the spool .*: Too many open files$"):
            Spool.open(spool.directory, settings)
    assert before == open_files()
    Spool.open(spool.directory, settings).close()


def test_a_segment_that_is_cut_short_reads_as_empty(spool):
    writer = Writer(spool.directory)
    os.truncate(spool.directory / "segment-00000000", 100)
    journal = Journal(spool.segments[0], writer.number)

    assert (None, b"") == (journal.header(), journal.read(16384, 100))


def test_no_room_for_another_segment_is_one_line_and_the_rest_stays_usable(spool, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    claim(spool, 64)
    with pytest.raises(SpoolError, match="^no room for journals in .*: No space left on device; free space$"):
        spool.refresh()
    assert {0, 1} == set(spool.segments)
    assert not [name for name in os.listdir(spool.directory) if name.startswith(".")]


def test_a_name_swapped_while_a_segment_is_made_links_no_file_of_the_host(tmp_path, monkeypatch):
    victim, spool, allocate = tmp_path / "victim", tmp_path / "spool", spool_module._allocate
    victim.write_text("of the host")

    def swap(file, size):
        allocate(file, size)
        for temporary in spool.glob(".segment-*"):
            temporary.rename(spool / "moved")
            temporary.symlink_to(victim)

    monkeypatch.setattr(spool_module, "_allocate", swap)
    with Spool.create(spool):
        assert 1 == victim.stat().st_nlink
        assert not (spool / "segment-00000000").is_symlink()
        assert spool_module.SEGMENT_MAX > (spool / "segment-00000000").stat().st_size > 0


@pytest.mark.parametrize("name", ["control", "lock", "segment-00000000"])
@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
def test_what_is_no_file_is_never_opened(tmp_path, monkeypatch, name, kind):
    with Spool.create(tmp_path / "spool"):
        pass
    place = tmp_path / "spool" / name
    place.unlink()
    os.mknod(place, kind | 0o666)
    opened, real = [], os.open

    def watched(path, flags, *arguments, **options):
        file = real(path, flags, *arguments, **options)
        if not flags & os.O_PATH and stat.S_IFMT(os.fstat(file).st_mode) == kind:
            opened.append(path)
        return file

    monkeypatch.setattr(os, "open", watched)
    assert not Spool.is_busy(tmp_path / "spool")
    if name != "control":
        with Spool.open(tmp_path / "spool") as spool:
            assert ({name} if name.startswith("segment") else set()) == spool.refused
            assert name != "lock" or place.is_file()  # the sidecar's own
    else:
        with pytest.raises(SpoolError):
            Spool.open(tmp_path / "spool")
    assert [] == opened
