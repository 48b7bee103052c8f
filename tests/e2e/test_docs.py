"""What README.md and docs/ tell users to type is what there is, and does what they say."""

import re
import shlex
import shutil
import subprocess

import click
import pytest

from interpose.cli.command import interpose as command
from support.roots import REPOSITORY, missing

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
UNIT = REPOSITORY / "systemd/interpose-host.service"
_EXAMPLE = re.compile(r"^    \$ (.+)((?:\n    (?! *\$ ).+)*)", re.MULTILINE)
_CHANGES = ((r"\[pid [^\]]*\]", "[PID]"), (r"run \w+:", "run RUN:"), (r"pipe:\[\d+\]", "pipe:[N]"), (r"\d+", "N"))


def commands(text):
    """Our commands that stand in a page: indented, with or without a prompt, or between backticks."""
    typed = re.findall(r"^    (?:\S*\$ +)?(interpose .+)$", text, re.MULTILINE)
    said = re.findall(r"`(?:[^`\n]*&& )?(interpose [^`]+)`", text)
    for line in (*typed, *said):
        lexer = shlex.shlex(line.replace("\n", " "), posix=True, punctuation_chars="|;<>&")
        lexer.commenters, lexer.whitespace_split = "#", True
        yield [word for word in lexer if word != "..."][1:]


def wrong(words):
    """The first of a command's words that is no subcommand or option; None if all are, up to somebody else's."""
    place = command
    for word in words:
        if word in ("--", "|") or (place.ignore_unknown_options and word.startswith("-")):
            return None
        if word.startswith("--"):
            options = {option for parameter in place.params for option in (*parameter.opts, *parameter.secondary_opts)}
            if word.partition("=")[0] not in options | {"--version", "--help"}:
                return word
        elif isinstance(place, click.Group) and not word.startswith("-"):
            place = place.get_command(click.Context(place), word)
            if place is None:
                return word
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_in_a_page_is_one_of_ours(page):
    found = list(commands(page.read_text()))
    assert [] == [(words, bad) for words in found if (bad := wrong(words))]


@pytest.mark.parametrize("words", [["no-such-command"], ["run", "--no-such-option"], ["docker", "instal"]])
def test_a_command_that_is_none_is_noticed(words):
    assert words[-1] == wrong(words)


def test_commands_are_found_in_pages():
    assert 30 < sum(len(list(commands(page.read_text()))) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [] == [link for link in links if not (page.parent / link).exists()]


def skeleton(line):
    """A line of output without what differs from run to run."""
    for pattern, instead in _CHANGES:
        line = re.sub(pattern, instead, line)
    return line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_does_what_the_page_shows(page, interpose):
    for typed, shown in _EXAMPLE.findall(page.read_text()):
        answer = interpose(*shlex.split(typed)[1:])
        assert 0 == answer.returncode, (typed, answer.stderr.decode())
        said = (answer.stdout + answer.stderr).decode().replace(str(interpose.folder), "/home/you")
        there = {skeleton(line) for line in said.splitlines()}
        lines = [line.strip("\n")[4:] for line in shown.splitlines() if line.strip()]
        for line in lines:
            begin = line.partition(" [pid")[0] if "..." in line else line  # shortened for the page
            assert any(skeleton(begin) in each for each in there), (line, said)


def test_the_units_command_is_ours_and_systemd_takes_the_unit(tmp_path):
    text = UNIT.read_text()
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    program, *words = shlex.split(line.partition("=")[2])
    assert program == "/opt/interpose/bin/interpose"
    assert wrong(words) is None
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, "/bin/true"))
    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    complaints = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert ([], 0) == (complaints, verified.returncode)
