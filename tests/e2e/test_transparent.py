"""Nobody can tell that a command is captured: streams, statuses, signals, terminals, surroundings are the same."""

import os
import pty
import re
import signal
import sys

import pytest

from support.cli import INTERPOSE, summary


@pytest.mark.parametrize("status", [0, 1, 5, 126, 127, 255])
def test_the_status_is_the_commands(interpose, status):
    assert status == interpose.run("sh", "-c", f"exit {status}").returncode


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "PIPE"])
def test_a_signals_status_is_a_shells(interpose, name):
    number = signal.Signals[f"SIG{name}"]
    result = interpose.run("sh", "-c", f"kill -{name} $$")
    assert (128 + number, 128 + number) == (result.returncode, interpose.ask("runs")[0]["status"])


def test_quiet_means_nothing_on_stderr(interpose):
    result = interpose.run("sh", "-c", "echo out; echo err >&2", options=("-q",))
    assert (b"out\n", b"err\n") == (result.stdout, result.stderr)


def test_one_line_is_added_to_stderr(interpose):
    result = interpose.run("sh", "-c", "echo out; echo err >&2")
    first, line = result.stderr.splitlines(keepends=True)
    assert (b"out\n", b"err\n") == (result.stdout, first)
    assert summary(line).run == interpose.ask("runs")[0]["id"]


def test_binary_data_passes_through_unchanged(interpose):
    data = bytes(range(256)) * 8192
    result = interpose.run("sh", "-c", "tee /dev/stderr", options=("-q",), input=data)
    assert (data, data) == (result.stdout, result.stderr)


def test_a_closed_stdin_and_stdout_stay_closed(interpose):
    script = 'exec "$@" <&- >&-'
    inner = "[ -e /proc/$$/fd/0 ] && echo 0 >&2; [ -e /proc/$$/fd/1 ] && echo 1 >&2; exit 4"
    result = interpose.bare("sh", "-c", script, "sh", *INTERPOSE, "run", "-q", "--", "sh", "-c", inner)
    assert (4, b"", b"") == (result.returncode, result.stdout, result.stderr)


SURROUNDINGS = """
ls /proc/self/fd
grep -E '^(Sig|Shd|Umask|Threads|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status
cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj
env | sort
pwd
set -- $(sed 's/.*) //' /proc/self/stat)
echo nice ${17} policy ${39}
"""


def test_descriptors_signals_limits_and_environment_are_those_of_an_uncaptured_command(interpose):
    def outcome(result):
        quietly = re.sub(rb"(?m)^SigQ.*\n|^(Max pending signals).*\n", b"", result.stdout)
        return result.returncode, quietly.splitlines(), result.stderr

    bare = interpose.bare("sh", "-c", SURROUNDINGS)
    assert (0, b"") == (bare.returncode, bare.stderr)
    assert outcome(bare) == outcome(interpose.run("sh", "-c", SURROUNDINGS, options=("-q",)))


def test_ignored_and_blocked_signals_stay_so(interpose):
    script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})

    bare = interpose.bare("sh", "-c", script, preexec_fn=ignore)
    captured = interpose.run("sh", "-c", script, options=("-q",), preexec_fn=ignore)
    assert bare.stdout == captured.stdout


class Terminal:
    """A program on a terminal of its own, in the foreground."""

    def __init__(self, interpose, *arguments):
        self.master, slave = pty.openpty()
        # Not in a function between fork and exec: what gRPC does in a child of this process would be shown.
        leader = ["setsid", "--ctty"]
        self.process = interpose.start(*arguments, stdin=slave, stdout=slave, stderr=slave, before=leader)
        os.close(slave)
        self.shown = b""

    def until(self, text):
        """Wait until a text is shown."""
        while text not in self.shown and self.more():
            pass
        assert text in self.shown, self.shown

    def more(self):
        try:
            part = os.read(self.master, 4096)
        except OSError:  # the last who had it open is gone
            part = b""
        self.shown += part
        return part

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.more():
            pass
        self.process.wait()
        os.close(self.master)


def test_a_terminal_is_a_terminal_to_the_command(interpose):
    script = "import os; print([os.isatty(fd) for fd in (0, 1, 2)], os.tcgetpgrp(0) == os.getpgrp())"
    with Terminal(interpose, "run", "--", sys.executable, "-c", script) as terminal:
        terminal.until(b"[True, True, True] True")
    assert 0 == terminal.process.returncode


COUNTING = """
import os, signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print('ready', flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.5)
with open('got', 'w') as file:
    file.write(str(len(got)))
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGINT)
"""


def test_an_interrupt_from_the_terminal_reaches_the_command_once_and_the_run_is_stored(interpose):
    with Terminal(interpose, "run", "--", sys.executable, "-c", COUNTING) as terminal:
        terminal.until(b"ready")
        os.write(terminal.master, b"\x03")
    assert (130, "1") == (terminal.process.returncode, (interpose.folder / "got").read_text())
    (run,) = interpose.ask("runs")
    assert (130, 0) == (run["status"], run["lost"])
    assert [sys.executable] == [program["arguments"][0] for program in interpose.lineage("got").programs]


def test_a_signal_to_the_run_alone_reaches_the_command_once(interpose):
    running = interpose.start("run", "-q", "--", sys.executable, "-c", COUNTING, stdout=-1)
    with running:
        assert b"ready\n" == running.stdout.readline()
        running.send_signal(signal.SIGINT)
    assert (130, "1") == (running.returncode, (interpose.folder / "got").read_text())
