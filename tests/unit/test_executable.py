"""For which machine a container's first program is, without leaving the container's root."""

import os
import struct

import pytest

from interpose.cli.statx import identity_of
from interpose.injector.executable import Program, program_of
from interpose.injector.tree import EndlessError, Over, Tree


def elf(machine, *kinds, big=False, wide=True):
    """An ELF file of these kinds of program headers."""
    order = ">" if big else "<"
    head = b"\x7fELF" + bytes([2 if wide else 1, 2 if big else 1, 1]) + bytes(9)
    if wide:
        rest = struct.pack(f"{order}HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(kinds), 0, 0, 0)
    else:
        rest = struct.pack(f"{order}HHIIIIIHHHHHH", 2, machine, 1, 0, 52, 0, 0, 52, 32, len(kinds), 0, 0, 0)
    return head + rest + b"".join(struct.pack(f"{order}I", kind) + bytes(52 if wide else 28) for kind in kinds)


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "root"
    (made / "usr/bin").mkdir(parents=True)
    (made / "bin").symlink_to("usr/bin")
    (made / "usr/bin/x").write_bytes(elf(62))
    (made / "usr/bin/arm").write_bytes(elf(183))
    (made / "usr/bin/s390").write_bytes(elf(22, big=True))
    (made / "usr/bin/rare").write_bytes(elf(4711))
    (made / "usr/bin/script").write_bytes(b"#! /usr/bin/arm -x\necho\n")
    (made / "usr/bin/text").write_bytes(b"echo\n")
    (tmp_path / "outside").write_bytes(elf(40))
    return made


def ask(root, program, path="/bin", directory="/"):
    found = program_of(Tree(str(root), ()), program, path, directory)
    return found and found.machine


@pytest.mark.parametrize(
    ("program", "machine"),
    [
        ("x", "x86_64"),
        ("/usr/bin/x", "x86_64"),
        ("/bin/x", "x86_64"),
        ("arm", "aarch64"),
        ("s390", "s390x"),
        ("rare", "machine 4711 of ELF"),
        ("script", "aarch64"),
        ("text", None),
        ("missing", None),
        ("/usr/bin", None),
    ],
)
def test_a_programs_machine_is_in_its_head(root, program, machine):
    assert machine == ask(root, program)


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("big", [True, False])
def test_a_program_that_names_no_loader_is_static(root, wide, big):
    (root / "usr/bin/static").write_bytes(elf(62, 6, 1, 1, wide=wide, big=big))
    (root / "usr/bin/dynamic").write_bytes(elf(62, 6, 3, 1, wide=wide, big=big))

    static, dynamic = (
        program_of(Tree(str(root), ()), "static", "/bin", "/"),
        program_of(Tree(str(root), ()), "dynamic", "/bin", "/"),
    )
    assert ("x86_64", True, "static") == (static.machine, static.static, static.cause(0, 0))
    assert ("x86_64", False, None) == (dynamic.machine, dynamic.static, dynamic.cause(0, 0))


def test_a_static_program_is_told_as_the_file_that_it_is(root):
    (root / "usr/bin/static").write_bytes(elf(62, 6, 1))
    found = program_of(Tree(str(root), ()), "static", "/missing:/bin", "/")
    status = (root / "usr/bin/static").stat()

    assert "/bin/static" == found.path
    assert (status.st_ino, status.st_mode) == (found.inode, found.mode)
    assert identity_of(os.fsencode(root / "usr/bin/static")).birth_time == found.birth_time


@pytest.mark.parametrize(
    ("mode", "user", "gains", "cause"),
    [
        (0o4755, 1000, True, "secure_exec"),
        (0o4755, 1000, False, None),
        (0o4755, 0, True, None),
        (0o2755, 1000, True, "secure_exec"),
        (0o2745, 1000, True, None),
        (0o755, 1000, True, None),
    ],
)
def test_a_program_whose_file_gives_it_privileges_ignores_the_library(mode, user, gains, cause):
    program = Program("x86_64", static=False, mode=mode, user=0, group=0)
    assert cause == program.cause(user, user, gains=gains)


def test_capabilities_of_a_file_are_no_gain_to_root():
    program = Program("x86_64", static=False, capable=True)
    assert ["secure_exec", None] == [program.cause(user, user) for user in (1000, 0)]


def test_a_relative_path_starts_at_the_working_directory(root):
    assert "x86_64" == ask(root, "bin/x", directory="/usr")
    assert ask(root, "bin/x", directory="/etc") is None


def test_links_are_followed_within_the_root(root, tmp_path):
    (root / "usr/bin/absolute").symlink_to("/bin/arm")
    (root / "usr/bin/out").symlink_to(tmp_path / "outside")
    (root / "usr/bin/up").symlink_to("../../../../../../../../../../usr/bin/arm")
    (root / "usr/bin/loop").symlink_to("loop")

    assert ["aarch64", None, "aarch64", None] == [ask(root, name) for name in ("absolute", "out", "up", "loop")]


def test_what_is_no_regular_file_is_not_opened(root):
    os.mkfifo(root / "usr/bin/fifo")

    assert ask(root, "fifo") is None


def test_scripts_that_are_each_others_interpreters_end(root):
    (root / "usr/bin/one").write_bytes(b"#!/bin/two\n")
    (root / "usr/bin/two").write_bytes(b"#!/bin/one\n")

    assert ask(root, "one") is None


@pytest.fixture
def volume(tmp_path):
    """A directory of the host that is to be mounted."""
    made = tmp_path / "volume"
    (made / "bin").mkdir(parents=True)
    (made / "bin/own").write_bytes(elf(243))
    (made / "bin/x").write_bytes(elf(22, big=True))
    (made / "out").symlink_to(tmp_path / "outside")
    (made / "back").symlink_to("../usr/bin/arm")
    (made / "root").symlink_to("/usr/bin/arm")
    return made


@pytest.mark.parametrize(
    ("destination", "program", "machine"),
    [
        ("/opt", "/opt/bin/own", "riscv64"),
        ("/opt/", "/usr/../opt/./bin/own", "riscv64"),
        ("/bin", "/usr/bin/bin/own", "riscv64"),  # /bin is a link in the image
        ("/usr", "/bin/own", "riscv64"),
        ("/usr", "/bin/x", "s390x"),
        ("/usr", "/bin/arm", None),
        ("/opt", "/opt/out", None),
        ("/opt", "/opt/back", "aarch64"),
        ("/opt", "/opt/root", "aarch64"),
        ("/opt", "/opt", None),
        ("/new/place", "/new/place/bin/own", "riscv64"),
    ],
)
def test_a_program_of_a_volume_is_looked_at_there(root, volume, destination, program, machine):
    (root / "opt").mkdir()
    (root / "new/place").mkdir(parents=True)
    found = program_of(Tree(str(root), [Over(destination, str(volume))]), program, "/bin", "/")

    assert machine == (found and found.machine)


def test_a_single_file_may_be_mounted_and_what_is_mounted_last_counts(root, volume):
    over = [Over("/usr/bin/x", str(volume / "bin/own")), Over("/usr", str(volume)), Over("/usr/bin/x", "/missing")]

    machines = [program_of(Tree(str(root), over[:count]), "/bin/x", None, "/") for count in range(4)]
    assert ["x86_64", "riscv64", "s390x", None] == [found and found.machine for found in machines]


def test_a_file_system_of_its_own_hides_what_is_below(root):
    assert program_of(Tree(str(root), [Over("/usr", None)]), "/usr/bin/x", None, "/") is None


def test_what_is_no_regular_file_of_a_volume_is_not_opened(root, volume):
    import os

    os.mkfifo(volume / "fifo")
    (root / "opt").mkdir()
    for over in (Over("/opt", str(volume)), Over("/opt/fifo", str(volume / "fifo")), Over("/opt/fifo", "/dev/tty")):
        assert program_of(Tree(str(root), [over]), "/opt/fifo", None, "/") is None


def endless(root, kind):
    """A program, and a PATH, that take more steps to look for than anybody has time for."""
    folder = root / "e"
    folder.mkdir()
    if kind == "path":
        return "nothing", ":".join(["/usr/bin"] * 10_000)
    if kind == "dots":
        return "/" + "./" * 10_000 + "usr/bin/x", None
    for number in range(39):
        (folder / f"l{number}").symlink_to(f"{'./' * 1000}l{number + 1}")
    (folder / "l39").symlink_to("nothing")
    if kind == "links":
        return "l0", ":".join(["/e"] * 100)
    (folder / "s").write_bytes(b"#!/e/t\n")
    (folder / "t").symlink_to("./" * 2000 + "s")
    return "/e/s", None


@pytest.mark.parametrize("kind", ["path", "dots", "links", "scripts"])
def test_look_ups_together_end(root, kind):
    program, path = endless(root, kind)
    tree = Tree(str(root), ())
    with pytest.raises(EndlessError):
        program_of(tree, program, path, "/")
    with pytest.raises(EndlessError):
        tree.file("/usr/bin/x")


def test_mounts_are_looked_up_in_the_same_steps_and_their_places_are_known_all_the_same(root, volume):
    over = [Over("/" + "./" * 3000 + "opt", str(volume)), Over("/" + "./" * 3000 + "a//b", str(volume))]
    tree = Tree(str(root), over)

    assert {"/opt", "/a/b"} == tree.mounted
    with pytest.raises(EndlessError):
        tree.file("/usr/bin/x")


@pytest.mark.parametrize(
    ("destination", "left"),
    [
        ("/dev", "interpose"),
        ("/dev/", "interpose"),
        ("/link", "interpose"),  # which leads to /dev
        ("/dev/interpose", None),
        ("/dev/interpose/spool", None),
        ("/dev/pts", None),
        ("/opt", None),
    ],
)
def test_what_a_mount_would_leave_on_the_host_is_known(root, volume, destination, left):
    (root / "dev").mkdir()
    (root / "link").symlink_to("opt/../dev")
    (root / "opt").mkdir()
    over = [Over("/dev", None), Over(destination, str(volume))]

    assert (left and f"{volume}/{left}") == Tree(str(root), over).left_on_host("/dev/interpose")
    assert Tree(str(root), [*over, Over("/dev", None)]).left_on_host("/dev/interpose") is None
    if left:
        (volume / left).mkdir(parents=True)
        assert Tree(str(root), over).left_on_host("/dev/interpose") is None
        (volume / left).rmdir()
        (volume / left).symlink_to("other")
        assert Tree(str(root), over).left_on_host("/dev/interpose") == f"{volume}/other"
