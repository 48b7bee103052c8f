"""The witness: it follows content through a log of strace, and sees what another account leaves out or makes up."""

import subprocess

import pytest

from support.cli import need
from support.witness import Differences, Refused, compare, origins, strace

LOG = """\
7 execve("/bin/true", [""...], 0x7ffd /* 3 vars */) = 0
7 openat(AT_FDCWD</w>, "opened-only", O_RDONLY) = 3</w/opened-only>
7 openat(AT_FDCWD</w>, "in", O_RDONLY) = 3</w/in>
7 read(3</w/in>, ""..., 10) = 10
7 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
8 openat(AT_FDCWD</w>, "child", O_RDONLY) = 3</w/child>
8 read(3</w/child>,  <unfinished ...>
7 <... clone resumed>, child_tidptr=0x7f) = 8
7 write(1</w/early>, ""..., 5) = 5
8 <... read resumed>""..., 10) = 5
8 write(4<pipe:[5]>, ""..., 5) = 5
7 read(5<pipe:[5]>, ""..., 5) = 5
7 write(6</w/draft>, ""..., 5) = 5
7 openat(AT_FDCWD</w>, "late", O_RDONLY) = 9</w/late>
7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 9</w/late>, 0) = 0x7f1
7 openat(AT_FDCWD</w>, "absent", O_RDONLY) = -1 ENOENT (No such file or directory)
7 rename("draft", "out") = 0
7 exit_group(0) = ?
8 --- SIGCHLD {si_signo=SIGCHLD} ---
8 +++ exited with 0 +++
"""


def made_from(path, log=LOG):
    return {origin for origin in origins(log, path, "/w") if origin.startswith(("/w", "pipe"))}


def test_content_comes_through_reads_pipes_and_new_names_and_not_from_what_came_later():
    assert {"/w/in", "/w/child", "pipe:[5]"} == made_from("/w/out")


def test_a_child_knows_what_its_parent_had_read_and_not_the_reverse():
    assert {"/w/in"} == made_from("/w/early")


def test_a_truncated_file_forgets():
    log = LOG + '7 openat(AT_FDCWD</w>, "out", O_WRONLY|O_TRUNC) = 3</w/out>\n'
    assert set() == made_from("/w/out", log)


def test_what_ended_a_pipe_brought_nothing():
    log = LOG.replace('7 read(5<pipe:[5]>, ""..., 5) = 5', '7 read(5<pipe:[5]>, ""..., 5) = 0')
    assert {"/w/in"} == made_from("/w/out", log)


def test_an_executed_program_brings_its_loader_along():
    assert any("ld" in path for path in origins(LOG, "/w/out", "/w"))


@pytest.mark.parametrize("line", ["nonsense", "7 io_uring_setup(8, {}) = 3", '7 chroot("/x") = 0'])
def test_what_it_does_not_understand_it_refuses(line):
    with pytest.raises(Refused):
        origins(LOG + line + "\n", "/w/out", "/w")


def test_a_removed_and_an_invented_entry_are_told_apart():
    seen = made_from("/w/out")
    assert Differences(["/w/in"], ["/w/opened-only"]) == compare(seen, seen - {"/w/in"} | {"/w/opened-only"})


def test_a_real_log_tells_what_a_real_program_read(tmp_path):
    need("strace")
    (tmp_path / "in").write_text("b\na\n")
    (tmp_path / "other").write_text("c\n")
    log = tmp_path / "log"
    script = "sort in | cat > out; test -e other; cat other > nowhere"
    subprocess.run(strace(log, "sh", "-c", script), cwd=tmp_path, check=True)
    own = {
        path for path in origins(log.read_text(), f"{tmp_path}/out", str(tmp_path)) if path.startswith(str(tmp_path))
    }
    assert {f"{tmp_path}/in"} == own
