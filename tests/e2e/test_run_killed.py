"""SIGKILL of `interpose run` itself: its command goes on, and the next run stores what it did."""

import json
import os
import shutil
import subprocess

import pytest

from support.cli import summary
from support.roots import missing
from support.waiting import until

WAITS = "until [ -e go ]; do sleep 0.05; done; cat one > two"


def kill(interpose, script="echo content > one; " + WAITS):
    """A run of a script, which is killed when the script has begun; the script goes on."""
    process = interpose.start("run", "--", "sh", "-c", script, stderr=subprocess.DEVNULL)
    until(10, lambda: (interpose.folder / "one").exists() and is_stored(interpose), "the script has begun")
    process.kill()
    process.wait()


def is_stored(interpose):
    """Whether the database knows of a run, which begins while its command runs."""
    return 0 == interpose("runs").returncode and interpose.ask("runs")


def go_on(interpose):
    """Let it end."""
    (interpose.folder / "go").touch()
    until(10, lambda: (interpose.folder / "two").exists() and not users(interpose), "the script has ended")


def users(interpose):
    """Processes that have the library of a capture mapped."""
    command = ["grep", "-lsF", f"{interpose.temporary}/interpose-", *maps()]
    return subprocess.run(command, capture_output=True).stdout.split()


def maps():
    return [f"/proc/{pid}/maps" for pid in os.listdir("/proc") if pid.isdigit()]


def captures(interpose):
    return [each for each in interpose.temporary.iterdir() if each.name.startswith("interpose-")]


def test_the_next_run_stores_what_the_command_of_a_killed_one_did(interpose):
    kill(interpose)
    (run,) = interpose.ask("runs")
    go_on(interpose)
    done = interpose.run("true")
    assert 0 == done.returncode
    (told,) = done.stderr.decode().splitlines()
    assert told.startswith("interpose: run ")
    until(30, lambda: [] == captures(interpose), "it is stored")

    assert {str(interpose.folder / "one")} <= interpose.lineage("two").paths
    killed = interpose.ask("runs")[0]
    assert (run["id"], None, 0) == (killed["id"], killed["status"], killed["lost"])
    assert killed["started"] < max(event["time"] for event in interpose.ask("events", run["id"])) == killed["ended"]


def test_a_killed_runs_command_that_lives_is_stored_up_to_now_and_the_rest_later(interpose):
    kill(interpose)
    assert 1 == len(interpose.run("true").stderr.splitlines())
    assert 1 == len(captures(interpose))
    killed = interpose.ask("runs")[0]
    assert killed["ended"] is None

    def written():
        return {row["path"] for row in interpose.ask("files", killed["id"], "--written")}

    until(30, lambda: {str(interpose.folder / "one")} <= written(), "it is stored up to now")
    go_on(interpose)
    assert 1 == len(interpose.run("true").stderr.splitlines())
    until(30, lambda: [] == captures(interpose), "the rest is stored")
    assert {str(interpose.folder / "one")} <= interpose.lineage("two").paths


def test_what_programs_did_that_outlived_their_command_is_stored_by_the_next_run(interpose):
    done = interpose.run("sh", "-c", f"echo content > one; ({WAITS}) > /dev/null 2>&1 & exit 3")
    assert 3 == done.returncode
    before = interpose.ask("runs")[0]
    go_on(interpose)
    assert 1 == len(interpose.run("true").stderr.splitlines())
    until(30, lambda: [] == captures(interpose), "it is stored")

    after = interpose.ask("runs")[0]
    assert (3, before["ended"]) == (after["status"], after["ended"])
    assert {str(interpose.folder / "one")} <= interpose.lineage("two").paths


def test_a_run_that_goes_on_is_left_alone_by_others(interpose):
    process = interpose.start("run", "--", "sh", "-c", f"echo > one; {WAITS}; exit 7", stderr=subprocess.PIPE)
    until(10, (interpose.folder / "one").exists, "the script has begun")
    assert 1 == len(interpose.run("true").stderr.splitlines())
    (interpose.folder / "go").touch()
    _, said = process.communicate()

    assert (7, 0) == (process.returncode, summary(said).lost)
    assert [] == captures(interpose)


def test_a_database_that_is_gone_is_one_line_of_the_run_after_the_next_and_the_capture_stays(interpose, tmp_path):
    (tmp_path / "other").mkdir()
    interpose.url, kept = f"sqlite:///{tmp_path}/other/db", interpose.url
    kill(interpose)
    go_on(interpose)
    shutil.rmtree(tmp_path / "other")
    interpose.url = kept
    (capture,) = captures(interpose)
    assert 1 == len(interpose.run("true").stderr.splitlines())
    until(30, lambda: b'"problem": "' in (capture / "run").read_bytes(), "it was tried")

    line = interpose.run("true").stderr.decode().splitlines()[1]
    assert line.startswith(f"interpose: what an earlier run left in {capture} is not stored: cannot open the database ")
    assert [capture] == captures(interpose)


def test_runs_that_begin_at_once_beside_leftovers_say_nothing_of_them(interpose):
    for _ in range(3):
        (interpose.folder / "one").unlink(missing_ok=True)
        (interpose.folder / "two").unlink(missing_ok=True)
        (interpose.folder / "go").unlink(missing_ok=True)
        kill(interpose)
        go_on(interpose)
    runs = [interpose.start("run", "-q", "--", "true", stderr=subprocess.PIPE) for _ in range(6)]
    assert [(b"", 0)] * 6 == [(run.communicate()[1], run.returncode) for run in runs]
    until(60, lambda: [] == captures(interpose), "everything is stored")
    assert 9 == len(interpose.ask("runs"))
    assert all(run["ended"] for run in interpose.ask("runs"))


@pytest.mark.parametrize("content", ["", "nonsense", "[]", "{}", json.dumps({"url": "x"})])
def test_what_is_no_capture_of_ours_is_left_alone(interpose, content):
    other = interpose.temporary / "interpose-other"
    other.mkdir()
    (other / "run").write_text(content)
    done = interpose.run("true")

    assert 1 == len(done.stderr.splitlines())
    assert content == (other / "run").read_text()


def test_what_another_user_puts_there_is_left_alone(interpose):
    kill(interpose)
    go_on(interpose)
    (capture,) = captures(interpose)
    if os.geteuid() != 0:
        missing("root's permission to give files away", "run as root")
    os.chown(capture, 12345, 12345)
    assert 1 == len(interpose.run("true").stderr.splitlines())
    os.chown(capture, 0, 0)
    capture.rename(interpose.temporary / "moved")
    (interpose.temporary / "interpose-link").symlink_to(interpose.temporary / "moved")
    assert 1 == len(interpose.run("true").stderr.splitlines())


def test_a_capture_in_which_its_command_has_made_directories_without_end_is_removed(interpose):
    deep = """if True:
        import os
        (library, *_) = {line.split()[-1] for line in open("/proc/self/maps") if line.endswith("/libinterpose.so\\n")}
        os.chdir(os.path.dirname(library) + "/spool")
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
    """
    done = interpose.run("python3", "-c", deep)
    assert 0 == done.returncode
    assert b"Traceback" not in done.stderr
    until(30, lambda: [] == captures(interpose), "it is removed")
