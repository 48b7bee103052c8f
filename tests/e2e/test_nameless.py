"""Files that get their name last, or none, are called by what they are called, never by what a process calls them."""

import os
import sys

import pytest

MAKE = """
import ctypes, os, sys
way, content = sys.argv[1], open("in", "rb").read()
fd = os.open("parts", os.O_RDWR | os.O_TMPFILE, 0o600)
os.write(fd, content)
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x400, 0x1000
arguments = (AT_FDCWD, b"/proc/self/fd/%d" % fd) if way == "link" else (fd, b"")
libc = ctypes.CDLL(None, use_errno=True)
if libc.linkat(*arguments, AT_FDCWD, b"out", AT_SYMLINK_FOLLOW if way == "link" else AT_EMPTY_PATH):
    sys.exit(os.strerror(ctypes.get_errno()))
"""


@pytest.mark.parametrize("way", ["link", "empty"])
def test_a_file_without_a_name_is_called_by_the_one_that_it_gets(interpose, way):
    if way == "empty" and os.geteuid() != 0:
        pytest.skip("only root may name a descriptor by an empty path")
    folder = interpose.folder
    (folder / "in").write_text("content\n")
    (folder / "parts").mkdir()
    (folder / "make.py").write_text(MAKE)
    result = interpose.run(sys.executable, "make.py", way)
    assert 0 == result.returncode, result.stderr.decode()
    lineage = interpose.lineage("out")
    assert f"{folder}/in" in lineage.paths
    (out,) = (node for node in lineage.nodes.values() if node["type"] == "file" and node["asked"])
    unnamed = f"{folder}/parts/#{(folder / 'out').stat().st_ino}"
    assert (f"{folder}/out", [f"{folder}/out", unnamed]) == (out["path"], out["paths"])
    assert [] == [file["path"] for file in interpose.ask("files", "last") if file["path"] == f"{folder}/parts"]


def test_a_file_is_not_called_by_its_descriptor(interpose):
    """What the shell hands over is opened once more, by a path that means another file to everybody else."""
    (interpose.folder / "in").write_text("content\n")
    script = "import sys; open('out', 'w').write(open('/dev/stdin').read() + open('/proc/self/fd/3').read())"
    with (interpose.folder / "in").open() as first, (interpose.folder / "in").open() as second:
        command = ["sh", "-c", 'exec 3<&0; exec "$@"', "sh", sys.executable, "-c", script]
        assert 0 == interpose.run(*command, stdin=first, pass_fds=(second.fileno(),)).returncode
    (read,) = (file for file in interpose.lineage("out").files if file["path"] == f"{interpose.folder}/in")
    assert [f"{interpose.folder}/in"] == read["paths"]
