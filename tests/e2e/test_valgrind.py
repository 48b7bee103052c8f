"""Programs under valgrind: it loads them by itself, so the kernel's account of the stack is of another program."""

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
