"""A vfork child appends to its parent's journal under its own pid; the journal stays its parent's."""

from support.capture import Capture
from support.roots import TARGETS

HOST = TARGETS["host"]


def test_a_journal_that_a_vfork_child_begins_and_fills_is_its_parents(programs, tmp_path):
    HOST.require()
    with Capture(tmp_path / "capture", HOST) as capture:
        outcome = capture.run([str(programs.program(HOST, "lender.c"))], tmp_path)
        _, lender = capture.processes()
    pid, borrower = map(int, outcome.stdout.split())
    origins = lender.of("origin")
    assert lender.journals == len(origins) > 1
    assert [(pid, False, pid)] * len(origins) == [
        (event.origin.process.pid, event.HasField("process"), event.thread) for event in origins
    ]
    told = [(event.process.pid if event.HasField("process") else pid, event.thread) for event in lender.of("chmod")]
    assert [(borrower, borrower)] * 1500 + [(pid, pid)] == told
