"""The override file that has a Compose project captured."""

import pytest
import yaml
from click.testing import CliRunner

from interpose.cli.command import interpose
from interpose.cli.compose import ComposeError, override

ON = {"interpose.dev/capture": "true"}


def chosen(project, *wanted):
    return sorted(override(project, wanted, "interpose")["services"])


def test_a_service_gets_the_runtime_and_the_label():
    made = override({"web": {"image": "app"}}, (), "named")

    assert {"services": {"web": {"runtime": "named", "labels": ON}}} == made


@pytest.mark.parametrize("labels", [ON, ["a=b", "interpose.dev/capture=true"], {"interpose.dev/capture": True}])
def test_labelled_services_are_chosen_where_there_are_some(labels):
    assert ["web"] == chosen({"web": {"labels": labels}, "db": {}})


def test_all_are_chosen_where_none_is_labelled_but_those_that_do_not_want_it():
    assert ["db", "web"] == chosen({"web": None, "db": {}, "no": {"labels": ["interpose.dev/capture=false"]}})


def test_named_services_are_chosen():
    assert ["db"] == chosen({"web": {"labels": ON}, "db": {}}, "db")


@pytest.mark.parametrize(
    ("project", "wanted", "problem"),
    [
        ({"web": {}}, ("none",), "the project has no service none: it has web"),
        ({"web": {"labels": {"interpose.dev/capture": "no"}}}, (), "the project has no service to capture"),
    ],
)
def test_what_cannot_be_is_told(project, wanted, problem):
    with pytest.raises(ComposeError, match=problem):
        override(project, wanted, "interpose")


def test_the_command_reads_the_project_and_prints_the_override(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text("services:\n  web: {image: app}\n  db: {image: db}\n")

    answer = CliRunner().invoke(interpose, ["compose", "web"])

    assert {"services": {"web": {"runtime": "interpose", "labels": ON}}} == yaml.safe_load(answer.stdout)


@pytest.mark.parametrize("content", ["services: [", "[]", "services: 3"])
def test_a_file_that_is_no_project_is_told_of(tmp_path, content):
    (tmp_path / "compose.yaml").write_text(content)

    answer = CliRunner().invoke(interpose, ["compose", "-f", str(tmp_path / "compose.yaml")])

    assert (1, "") == (answer.exit_code, answer.stdout)
    assert str(tmp_path / "compose.yaml") in answer.stderr
