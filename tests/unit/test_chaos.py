"""The comparison of `make chaos` reports what is lost, what is there twice, and what was never made."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.account import _ENTRY, _HEAD, Account, State, What
from chaos.damage import Damage, _calls
from chaos.faults import FAULTS
from chaos.tally import Key, Tally, compare
from chaos.witnessed import read_witnessed
from interpose.v1.event_pb2 import Event, File, Io, Name, Open, Rename, Unlink
from support.roots import REPOSITORY

CHAOS = REPOSITORY / "tests/chaos"
OPENED, WRITTEN, RENAMED = Key(7, "open", 1), Key(7, "write", 1), Key(7, "rename", 1)


def told(**more: int) -> Tally:
    """One file opened, written three times, and renamed perhaps: it died in that call."""
    tally = Tally()
    tally.add(OPENED, 1, certain=True)
    tally.add(WRITTEN, 3, certain=True)
    tally.add(RENAMED, 1, certain=False)
    return tally


@pytest.mark.parametrize("renamed", [0, 1])
def test_equal_accounts_differ_in_nothing_whether_the_last_call_is_told_or_not(renamed):
    verdict = compare(told(), Counter({OPENED: 1, WRITTEN: 3, RENAMED: renamed}))

    assert (4, Counter(), Counter()) == (verdict.calls, verdict.lost, verdict.duplicated)


def test_a_lost_and_a_duplicated_event_are_reported():
    verdict = compare(told(), Counter({OPENED: 2, WRITTEN: 2, RENAMED: 2}))

    assert Counter({WRITTEN: 1}) == verdict.lost
    assert Counter({OPENED: 1, RENAMED: 1}) == verdict.duplicated


def test_what_nobody_did_and_what_another_did_are_reported():
    stranger = Key(8, "open", 1)
    verdict = compare(told(), Counter({stranger: 1, WRITTEN: 3}))

    assert (Counter({OPENED: 1}), Counter({stranger: 1})) == (verdict.lost, verdict.duplicated)


SAID = [
    Event(time=5, open=Open(name=Name(path=b"/x/7"), file=File(inode=3, device=1), fd=4)),
    Event(time=5, open=Open(file=File(inode=3, device=1), fd=4)),
    Event(time=5, io=Io(file=File(inode=3, device=1), reads=1, writes=2)),
    Event(time=5, rename=Rename(to=Name(path=b"/x/8"))),
    Event(time=5, unlink=Unlink(name=Name(path=b"/x/7"), directory=True)),
]
"""As accountant.c leaves them, or what became of them."""


@given(st.sampled_from(SAID), st.lists(st.tuples(st.integers(0, 99), st.integers(1, 255)), max_size=3))
def test_whatever_a_damaged_record_says_is_taken_for_something(event, flips):
    body = bytearray(event.SerializeToString())
    for place, bits in flips:
        body[place % len(body)] ^= bits
    calls = _calls(Damage(), 7, bytes(body), {(1, 3, 0): 7})

    assert all(key.pid == 7 for key in calls)


def test_what_was_damaged_may_be_lost_or_told_and_nothing_else_may():
    tally = told()
    tally.excuse(Counter({WRITTEN: 1}))

    for writes, lost in ((1, 1), (2, 0), (4, 0)):
        assert lost == compare(tally, Counter({OPENED: 1, WRITTEN: writes})).lost.total()
    assert Counter({WRITTEN: 1}) == compare(tally, Counter({OPENED: 1, WRITTEN: 5})).duplicated


def test_an_account_is_read_as_the_program_writes_it(tmp_path):
    account = Account(tmp_path / "account", 10)
    entries = [
        (State.DONE, What.OPEN, 7, 1, 10, 11),
        (State.BEGUN, What.WRITE, 7, 1, 12, 0),
        (State.DONE, What.STRUCK, 7, 3, 13, 14),
        (State.BEGUN, What.EXIT, 7, 104, 15, 0),
        (State.EMPTY, What.OPEN, 7, 5, 0, 0),
    ]
    for place, entry in enumerate(entries, 1):
        _ENTRY.pack_into(account.map, _HEAD.size + place * _ENTRY.size, *entry)
    account.next = len(entries) + 1
    exited = Key(7, "exit", 4)

    assert {OPENED: 1} == +account.tally([], []).certain
    assert {OPENED: 1, WRITTEN: 1, exited: 1} == account.tally([], []).possible
    assert {OPENED: 1, exited: 1} == +account.tally([], [7]).certain
    assert Key(9, "image", 0) in account.tally([9], []).possible
    account.close()


def test_the_program_and_its_reader_count_alike():
    source = (CHAOS / "accountant.c").read_text(encoding="utf-8")
    listed = source.partition("enum what {")[2].partition("}")[0].replace("= 1", "").replace("\n", " ").split(",")
    assert [each.name for each in What][1:] == [name.strip() for name in listed if name.strip()]


LOG = """\
10 openat(AT_FDCWD</base/work>, "a", O_RDONLY) = 3</base/work/a>
10 read(3</base/work/a>, "text"..., 100) = 4
10 read(3</base/work/a>, "text"..., 100) = 4
10 unlink("b") = 0
10 unlink("c") = 0
10 unlink("d") = 0
10 unlink("e") = 0
10 +++ {end}
"""


@pytest.mark.parametrize(
    ("end", "certain"), [("exited with 0 +++", {"b", "c", "d", "e"}), ("killed by SIGKILL +++", set())]
)
def test_of_a_killed_process_the_witness_is_believed_but_for_its_last_calls(end, certain):
    tally = read_witnessed(LOG.format(end=end), Path("/base"), Path("/base/work"))
    unlinked = {f": unlink /work/{name}": name for name in "bcde"}

    assert certain == {unlinked[key.what] for key in tally.certain if key.what in unlinked}
    assert set("bcde") == {unlinked[key.what] for key in tally.possible if key.what in unlinked}
    assert (8, 8) == tuple(each[Key(0, ": bytes read /work/a", 0)] for each in (tally.certain, tally.possible))


def test_only_what_is_meant_to_cause_gaps_may():
    assert {"spool full", "journal damaged", "quota reached"} == {name for name, each in FAULTS.items() if each.gaps}
