"""Programs under valgrind: it loads them by itself, so the kernel's account of the stack is of another program.

Its tools watch the library's accesses as well.
"""

import re
import subprocess

import pytest

from support.cli import Interpose, need, summary

EARLY = """
#include <stdlib.h>
__attribute__((constructor)) static void early(void) { getenv("HOME"); }
int answer(void) { return 0; }
"""
MAIN = "int answer(void); int main(int count, char **arguments) { return answer() + count - 2 + !arguments[1][0]; }"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Its library calls a wrapped function before the constructor of ours has run."""
    need("valgrind", "gcc")
    folder = tmp_path_factory.mktemp("valgrind")
    (folder / "early.c").write_text(EARLY)
    (folder / "main.c").write_text(MAIN)
    library = ["gcc", "-shared", "-fPIC", "-o", "libearly.so", "early.c"]
    main = ["gcc", "-o", "main", "main.c", "-L.", "-learly", "-Wl,-rpath,$ORIGIN"]
    for command in (library, main):
        subprocess.run(command, cwd=folder, check=True)
    return str(folder / "main")


@pytest.mark.parametrize("tool", ["memcheck", "none"])
def test_a_constructor_that_calls_a_wrapper_first_works(program, tool, tmp_path):
    interpose = Interpose(tmp_path, {})
    command = [
        "valgrind",
        "-q",
        f"--tool={tool}",
        *(["--error-exitcode=9"] if tool == "memcheck" else []),
        program,
        "x",
    ]
    assert 0 == interpose.bare(*command).returncode
    captured = interpose.run(*command)
    assert 0 == captured.returncode, captured.stderr.decode()
    assert 0 == summary(captured.stderr).lost


THREADS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void take(int number)
{
    (void)number;
}

static void *work(void *name)
{
    for (int i = 0; i < 20; i++) {
        int file = open(name, O_RDWR | O_CREAT, 0600);
        write(file, "x", 1);
        lseek(file, 0, SEEK_SET);
        read(file, &(char){0}, 1);
        close(file);
    }
    return NULL;
}

int main(void)
{
    char *names[] = {"one", "two", "three", "four"};
    pthread_t threads[4];
    char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = 65536}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = take, .sa_flags = SA_ONSTACK}, NULL);
    raise(SIGUSR1);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, names[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    usleep(600000); /* from here on a process is talked to */
    for (int i = 0; i < 4; i++)
        work(names[i]);
    if (!fork())
        _exit(0);
    wait(NULL);
    return system("true");
}
"""


@pytest.fixture(scope="module")
def threads(tmp_path_factory):
    """A program whose threads share nothing."""
    need("valgrind", "gcc")
    folder = tmp_path_factory.mktemp("threads")
    (folder / "threads.c").write_text(THREADS)
    command = ["gcc", "-w", "-pthread", "-o", "threads", "threads.c"]
    subprocess.run(command, cwd=folder, check=True)
    return str(folder / "threads")


def _said(stderr: bytes) -> list[str]:
    """What valgrind says, without what differs between two runs."""
    lines = [line for line in stderr.decode().splitlines() if not line.startswith("interpose: ")]
    return [re.sub(r"[=-]{2}\d+[=-]{2}|0x[0-9A-F]+", "", line) for line in lines]


@pytest.mark.parametrize("tool", ["memcheck", "helgrind", "drd", "none"])
def test_no_tool_finds_anything_of_the_librarys(threads, tool, tmp_path):
    interpose = Interpose(tmp_path, {})
    failing = [] if tool == "none" else ["--error-exitcode=9"]
    command = ["valgrind", "-q", f"--tool={tool}", *failing, threads]
    bare, captured = interpose.bare(*command), interpose.run(*command)
    assert (0, []) == (bare.returncode, _said(bare.stderr))
    assert (0, []) == (captured.returncode, _said(captured.stderr))
    found = summary(captured.stderr)
    assert (0, True) == (found.lost, found.events > 200)


def test_no_descriptor_of_the_librarys_is_left_open(threads, tmp_path):
    interpose = Interpose(tmp_path, {})
    command = ["valgrind", "--track-fds=yes", threads]
    bare, captured = (
        [line for line in _said(result.stderr) if "descriptor" in line.lower()]
        for result in (interpose.bare(*command), interpose.run(*command))
    )
    assert bare
    assert bare == captured
