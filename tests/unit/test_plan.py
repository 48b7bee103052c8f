"""How a local command is to be started."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interpose.injector.plan import LocalPlan, merge_preload, plan_local

OURS = "/run/interpose-1/libinterpose.so"


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (None, OURS),
        ("", f"{OURS}:"),
        (" : ", f"{OURS}: : "),
        ("/lib/a.so", f"{OURS}:/lib/a.so"),
        ("/lib/a.so /lib/b.so", f"{OURS}:/lib/a.so /lib/b.so"),
        ("/lib/a.so:b.so /lib/a.so", f"{OURS}:/lib/a.so:b.so /lib/a.so"),
        (f"{OURS}:/lib/a.so b.so", f"{OURS}:/lib/a.so b.so"),
        (OURS, OURS),
        (f"/lib/a.so:{OURS} {OURS}", f"{OURS}:/lib/a.so"),
        ("/other/libinterpose.so", f"{OURS}:/other/libinterpose.so"),
    ],
)
def test_ours_goes_first_and_the_users_own_stays(present, expected):
    assert merge_preload(present, OURS) == expected


@given(st.text(st.sampled_from(": /ab.so"), max_size=30))
def test_merging_twice_changes_nothing(present):
    once = merge_preload(present, OURS)
    assert merge_preload(once, OURS) == once


@given(st.lists(st.sampled_from(["/a.so", "b.so", OURS])), st.sampled_from([":", " ", "::", " : "]))
def test_nothing_of_the_users_own_is_lost(entries, separator):
    merged = merge_preload(separator.join(entries), OURS)
    assert [entry for entry in re.split("[: ]+", merged) if entry] == [
        OURS,
        *(entry for entry in entries if entry != OURS),
    ]


def test_a_plan_sets_one_variable():
    plan = plan_local({"PATH": "/bin", "LD_PRELOAD": "/lib/a.so"}, OURS)
    assert plan == LocalPlan(captured=True, environment={"LD_PRELOAD": f"{OURS}:/lib/a.so"})


@pytest.mark.parametrize("path", ["/a b/lib.so", "/a:b/lib.so", "/$LIB/lib.so", "/a\tb/lib.so"])
def test_a_path_that_the_loader_would_split_is_refused(path):
    plan = plan_local({}, path)
    assert not plan.captured
    assert plan.reason == f"LD_PRELOAD cannot hold a path with ':', '$' or white space: {path}"
    assert plan.environment == {}


def test_a_relative_path_is_refused():
    assert plan_local({}, "libinterpose.so").reason == "the library's path must be absolute: libinterpose.so"
