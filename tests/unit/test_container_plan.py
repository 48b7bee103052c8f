"""Which containers are captured, and what is changed in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interpose.injector.container import Container, InjectionSettings, Mount, plan_container

SETTINGS = InjectionSettings(
    machine="x86_64", libraries={"x86_64": "/h/x86_64", "aarch64": "/h/aarch64"}, spool="/h/containers/c/spool"
)
ASKED = {"interpose.dev/capture": "true"}
LIBRARY = "/dev/interpose/libinterpose.so"


def plan(settings=SETTINGS, **known):
    return plan_container(Container(**{"labels": ASKED, **known}), settings)


def test_a_container_that_asks_gets_two_mounts_and_one_variable():
    decided = plan(environment={"PATH": "/bin"})

    assert (True, "interpose.dev/capture=true") == (decided.captured, decided.reason)
    assert {"LD_PRELOAD": LIBRARY} == decided.environment
    assert decided.mounts == (
        Mount("/h/x86_64", "/dev/interpose", read_only=True),
        Mount("/h/containers/c/spool", "/dev/interpose/spool", read_only=False),
    )


def test_a_container_that_does_not_ask_is_left_alone_in_silence():
    decided = plan(labels={"other": "true"})

    assert (False, False, {}, ()) == (decided.captured, decided.asked, decided.environment, decided.mounts)


@pytest.mark.parametrize(
    ("word", "captured"),
    [("true", True), ("TRUE", True), (" yes ", True), ("on", True), ("1", True), ("false", False), ("no", False)],
)
def test_the_label_is_a_word_for_yes_or_no(word, captured):
    assert captured == plan(labels={"interpose.dev/capture": word}).captured


def test_a_word_that_is_neither_is_told():
    decided = plan(labels={"interpose.dev/capture": "maybe"})

    assert (False, True, "interpose.dev/capture=maybe: neither true nor false") == (
        decided.captured, decided.asked, decided.reason,
    )  # fmt: skip


def test_the_label_counts_more_than_the_variable_and_the_variable_more_than_the_image():
    patterned = InjectionSettings(**{**_fields(SETTINGS), "images": ("registry/app*",)})
    variable = {"INTERPOSE_CAPTURE": "true"}
    no = {"interpose.dev/capture": "false"}

    assert not plan(patterned, labels=no, environment=variable, image="registry/app:1").captured
    assert not plan(patterned, labels={}, environment={"INTERPOSE_CAPTURE": "off"}, image="registry/app:1").captured
    assert plan(labels={}, environment=variable).reason == "INTERPOSE_CAPTURE=true"
    assert plan(patterned, labels={}, image="registry/app:1").reason == "the image is like registry/app*"
    assert not plan(patterned, labels={}, image="registry/other:1").captured


def test_of_containers_that_share_annotations_only_the_named_ones_are_captured():
    labels = ASKED | {"interpose.dev/containers": "web, worker"}

    assert plan(labels=labels, name="worker").captured
    assert not plan(labels=labels, name="cache").captured


def test_the_level_is_the_labels_else_the_hosts():
    calls = InjectionSettings(**{**_fields(SETTINGS), "level": "calls"})

    assert "summary" == plan().level
    assert "calls" == plan(calls).level
    assert "summary" == plan(calls, labels=ASKED | {"interpose.dev/level": "summary"}).level
    assert plan(labels=ASKED | {"interpose.dev/level": "all"}).reason == (
        "interpose.dev/level=all: neither summary nor calls"
    )


def test_the_library_is_the_one_for_the_first_programs_machine():
    assert "/h/aarch64" == plan(machine="aarch64").mounts[0].source
    assert "its first program is for i386: there is no library for that" == plan(machine="i386").reason


@pytest.mark.parametrize("target", ["/dev/interpose", "/dev/interpose/spool", "/dev/interpose/of/the/users"])
def test_what_has_something_mounted_there_already_is_left_alone(target):
    assert "something is mounted at /dev/interpose already" == plan(targets=frozenset({target})).reason
    assert plan(targets=frozenset({"/dev/interpose-other", "/dev"})).captured


def test_nothing_is_left_on_the_host():
    reason = "its mount would leave a directory on the host: make /dev/interpose there if it may stay"
    decided = plan(left="/dev/interpose")

    assert (False, True, reason) == (decided.captured, decided.asked, decided.reason)


def test_the_users_own_library_stays():
    assert f"{LIBRARY}:/opt/own.so" == plan(environment={"LD_PRELOAD": "/opt/own.so"}).environment["LD_PRELOAD"]


NO_ROOM = "its environment and arguments leave no room for LD_PRELOAD"


def test_a_variable_that_would_grow_beyond_what_the_kernel_takes_is_left_alone():
    longest = "/" + "a" * (131072 - len("LD_PRELOAD=") - 2)

    assert NO_ROOM == plan(environment={"LD_PRELOAD": longest}).reason
    assert plan(environment={"LD_PRELOAD": longest[: -len(LIBRARY) - 1]}).captured


def test_an_environment_that_fills_a_quarter_of_the_stack_is_left_alone():
    value = "a" * 100_000
    full = {f"V{number}": value for number in range(21)}

    assert NO_ROOM == plan(environment=full).reason
    assert plan(environment=full, stack=16 << 20).captured
    assert plan(environment=dict(list(full.items())[:20])).captured


@given(
    labels=st.dictionaries(st.sampled_from(["interpose.dev/capture", "interpose.dev/level", "x"]), st.text(max_size=8)),
    environment=st.dictionaries(st.sampled_from(["LD_PRELOAD", "INTERPOSE_CAPTURE", "PATH"]), st.text(max_size=20)),
    machine=st.sampled_from([None, "x86_64", "aarch64", "arm"]),
)
def test_a_plan_captures_as_a_whole_or_changes_nothing(labels, environment, machine):
    decided = plan(labels=labels, environment=environment, machine=machine)

    assert decided.captured == bool(decided.mounts) == bool(decided.environment)
    assert decided.reason


def _fields(settings):
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
