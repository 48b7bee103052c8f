"""The comparison of `make equivalence`: what is different, flaky or the same, and how suites' reports are read."""

import pytest

from equivalence.compare import Comparison, compare, not_run, tell_known, together
from equivalence.cpython import read_junit
from equivalence.programs import SUITES, read_output
from equivalence.stress import read_stress
from equivalence.suites import Suite, absent
from equivalence.tap import read_tap
from equivalence.tcl import read_tcltest
from equivalence.verdicts import HUNG, Outcome, ending

GOOD = Outcome("exit 0", {"a": "passed", "b": "skipped"})


def test_equal_runs_are_the_same_and_the_end_counts_as_a_test():
    assert Comparison(3, 3, 0, []) == compare("step", [GOOD], [GOOD])


def test_a_changed_verdict_is_different():
    changed = Outcome("exit 0", {"a": "passed", "b": "failed"})
    assert Comparison(3, 2, 0, ["b: bare skipped, captured failed"]) == compare("step", [GOOD], [changed])


def test_a_missing_test_is_different_on_either_side():
    shorter = Outcome("exit 0", {"a": "passed"})
    assert ["b: bare skipped, captured missing"] == compare("step", [GOOD], [shorter]).different
    assert ["b: bare missing, captured skipped"] == compare("step", [shorter], [GOOD]).different


@pytest.mark.parametrize("ended", ["killed by SIGSEGV", HUNG, "exit 1"])
def test_a_captured_program_that_ends_otherwise_is_different_though_each_verdict_is_the_same(ended):
    other = Outcome(ended, GOOD.verdicts)
    assert [f"step: bare exit 0, captured {ended}"] == compare("step", [GOOD], [other]).different


@pytest.mark.parametrize("broken", [Outcome("killed by SIGSEGV", {"a": "passed"}), Outcome(HUNG, {"a": "passed"})])
def test_a_program_that_crashes_or_hangs_on_both_sides_is_different(broken):
    compared = compare("step", [broken], [broken])
    assert (0, [f"step: bare, it {broken.ended}"]) == (compared.same, compared.different)


def test_a_program_that_tells_of_no_test_is_different_and_not_the_same_with_none():
    nothing = Outcome("exit 0", {})
    compared = compare("step", [nothing], [nothing])
    assert (0, ["step: bare, it told of no test (exit 0)"]) == (compared.same, compared.different)
    assert 3 == len(compare("step", [GOOD], [nothing]).different) + compare("step", [GOOD], [nothing]).same


def test_what_the_bare_runs_disagree_on_is_flaky():
    bad = Outcome("exit 0", {"a": "failed", "b": "skipped"})
    assert Comparison(3, 2, 1, []) == compare("step", [GOOD, bad], [bad, GOOD])


def test_what_only_the_captured_runs_disagree_on_is_different():
    bad = Outcome("exit 0", {"a": "failed", "b": "skipped"})
    compared = compare("step", [GOOD, GOOD, GOOD], [bad, GOOD, GOOD])
    assert Comparison(3, 2, 0, ["a: bare passed, captured failed (1) / passed (2)"]) == compared


def test_a_verdict_that_no_bare_run_gave_is_different_though_the_bare_runs_disagree():
    bad, lost = Outcome("exit 0", {"a": "failed", "b": "skipped"}), Outcome(HUNG, {"b": "skipped"})
    assert [
        "a: bare passed (1) / failed (1), captured passed (1) / missing (1)",
        f"step: bare exit 0, captured exit 0 (1) / {HUNG} (1)",
    ] == compare("step", [GOOD, bad], [GOOD, lost]).different


def test_a_bare_crash_among_good_runs_does_not_hide_a_captured_one_of_another_kind():
    crashed, hung = Outcome("killed by SIGABRT", {}), Outcome(HUNG, GOOD.verdicts)
    assert any(HUNG in line for line in compare("step", [GOOD, crashed], [GOOD, hung]).different)


def test_a_suites_steps_are_added_up():
    assert Comparison(4, 3, 0, ["why"]) == together([Comparison(3, 3, 0, []), not_run("why")])


def test_what_is_known_to_differ_is_told_apart_and_hides_nothing_else():
    changed = compare("step", [GOOD], [Outcome("exit 0", {"a": "failed", "b": "failed"})])
    told = tell_known(changed, ["b", "c"])
    assert ["a: bare passed, captured failed"] == told.different
    assert ["b: bare skipped, captured failed"] == told.known
    assert (changed.tests, changed.same) == (told.tests, told.same)


def test_a_crash_is_told_though_what_the_step_says_is_known_to_differ():
    changed = compare("run of a", [GOOD], [Outcome("killed by SIGSEGV", {"a": "failed", "b": "skipped"})])
    assert ["run of a: bare exit 0, captured killed by SIGSEGV"] == tell_known(changed, ["a"]).different


def test_all_that_a_program_says_is_its_verdict_but_for_what_differs_anyway():
    here = read_output("p", "==12== at 0x1F2A: /tmp/x/bare/side/file\nstatus 0\n")
    assert {"p: output": "==PID== at ADDRESS: SIDE/file | status 0"} == here
    assert here == read_output("p", "==999== at 0x2: /tmp/y/held/side/file\nstatus 0\n")
    assert here != read_output("p", "==12== at 0x1F2A: /tmp/x/bare/side/file\nstatus 1\n")
    assert {} == read_output("p", "")


def test_a_long_verdict_is_shortened_and_differs_where_the_whole_differs():
    one, other = (read_output("p", "x" * 5000 + end)["p: output"] for end in "ab")
    assert one != other
    assert max(len(one), len(other)) < 500


def test_only_steps_that_there_are_can_be_known_to_differ():
    known = {name for suite in SUITES for name in suite.known}
    assert known <= {f"{step.name}: output" for suite in SUITES for step in suite.steps()}


def test_a_suite_whose_files_are_not_there_is_known_by_the_first_of_them(tmp_path):
    there, gone = tmp_path, tmp_path / "gone"
    assert gone == absent(Suite("suite", there, (there, gone), list))
    assert absent(Suite("suite", there, (), list)) is None


def test_an_ending_is_told_by_the_signals_name():
    assert ["exit 3", "killed by SIGSEGV", "killed by signal 40", HUNG] == list(map(ending, [3, -11, -40, None]))


def test_a_junit_report_is_read_into_verdicts():
    report = """<testsuites><testsuite>
        <testcase name="good"/><testcase name="bad"><failure/></testcase><testcase name="worse"><error/></testcase>
        <testcase name="left"><skipped/></testcase><testcase name="good"><failure/></testcase>
        <testcase name="loud"><system-out>text</system-out></testcase></testsuite></testsuites>"""
    assert {
        "good": "passed",
        "good #2": "failure",
        "bad": "failure",
        "worse": "error",
        "left": "skipped",
        "loud": "passed",
    } == read_junit(report)


@pytest.mark.parametrize("report", ["", "<testsuites><testcase name='cut'"])
def test_a_report_that_is_cut_short_tells_of_no_test(report):
    assert {} == read_junit(report)


def test_tap_is_read_into_verdicts_by_number():
    output = "1..6\nok 1 - first\nnot ok 2 - # it\n    ok 1 - inner\nok 3 # skip no room\nnot ok 4 # TODO later\nok\n"
    assert {
        "t: plan": "1..6",
        "t: 1": "passed",
        "t: 2": "failed",
        "t: 3": "passed, skip",
        "t: 4": "failed, todo",
        "t: 5": "passed",
    } == read_tap("t", output)


def test_a_tap_number_that_comes_twice_hides_neither_verdict():
    assert {"t: 1": "passed", "t: 1 #2": "failed"} == read_tap("t", "ok 1\nnot ok 1\n")


def test_a_skipped_tap_file_says_so():
    assert {"t: plan": "skipped"} == read_tap("t", "1..0 # SKIP not here\n")


def test_tcls_report_is_read_into_verdicts():
    output = (
        "++++ one-1.1 PASSED\n++++ one-1.2 SKIPPED: notRoot\n\n==== one-1.3 what it is about FAILED\n==== Contents\n"
        "---- Result was:\nx\n==== one-1.3 FAILED\n\none.test:\tTotal\t3\tPassed\t1\tSkipped\t1\tFailed\t1\n"
    )
    assert {
        "one.test: one-1.1": "passed",
        "one.test: one-1.2": "skipped",
        "one.test: one-1.3": "failed",
        "one.test: total": "3 Passed 1 Skipped 1 Failed 1",
    } == read_tcltest("one.test", output)


@pytest.mark.parametrize(
    ("line", "verdicts"),
    [
        ("info:  [7] successful run completed in 0.05s", {"pipe": "passed"}),
        ("info:  [7] pipe stressor will be skipped, no rights", {"pipe": "skipped"}),
        ("fail:  [8] pipe: read other data than was written", {"pipe": "failed"}),
        ("info:  [7] unsuccessful run completed in 0.05s", {}),
    ],
)
def test_stress_ngs_report_is_read_into_a_verdict(line, verdicts):
    assert verdicts == read_stress("pipe", f"stress-ng: {line}\n")
