"""The Engine's configuration file with our runtime in it, and without."""

import json

import pytest

from interpose.injector.daemon_config import revoking, with_runtime, without_runtime
from interpose.injector.errors import InstallationError

PATH = "/h/bin/interpose-oci"


def put(text, name="interpose", default=False):
    return with_runtime(text, "daemon.json", name, PATH, default=default)


@pytest.mark.parametrize("text", ["", "{}", '{"debug": true}', '{"runtimes": {"crun": {"path": "/usr/bin/crun"}}}'])
def test_what_was_there_stays(text):
    before = json.loads(text or "{}")
    after = json.loads(put(text))

    assert {"path": PATH} == after["runtimes"].pop("interpose")
    assert before == {key: value for key, value in after.items() if value or key in before}


def test_it_becomes_the_default_only_if_asked():
    assert "default-runtime" not in json.loads(put("{}"))
    assert "interpose" == json.loads(put('{"default-runtime": "crun"}', default=True))["default-runtime"]


def test_putting_it_there_twice_changes_nothing():
    assert put("{}") == put(put("{}"))


def test_the_files_own_indentation_is_kept():
    assert '\n\t"debug": true' in put('{\n\t"debug": true\n}\n')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "daemon.json is no JSON: "),
        ("[]", "daemon.json is no configuration of the Docker Engine"),
        ('{"runtimes": []}', "daemon.json is no configuration of the Docker Engine"),
        ('{"runtimes": {"interpose": {"path": "/other"}}}', "daemon.json has a runtime interpose already"),
    ],
)
def test_what_the_engine_would_not_take_is_left_alone(text, problem):
    with pytest.raises(InstallationError, match=problem):
        put(text)


def test_what_revokes_it_says_so_where_silence_would_keep_it():
    text = put('{"debug": true}', default=True)

    told = json.loads(revoking(text, "daemon.json", "interpose", None))

    assert {"debug": True, "runtimes": {}, "default-runtime": "runc"} == told


def test_taking_it_out_leaves_what_others_have_written_since():
    changed = json.loads(put('{"default-runtime": "crun"}', default=True)) | {"debug": True}
    changed["runtimes"]["other"] = {"path": "/other"}

    left = json.loads(without_runtime(json.dumps(changed), "daemon.json", "interpose", "crun"))

    assert {"default-runtime": "crun", "debug": True, "runtimes": {"other": {"path": "/other"}}} == left
    assert {} == json.loads(without_runtime(put("{}", default=True), "daemon.json", "interpose", None))
