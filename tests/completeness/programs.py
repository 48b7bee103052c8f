"""The real programs that are looked at."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROGRAMS", "Program"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Program:
    """A shell script, run in an empty folder; `needs` are the commands that it cannot do without."""

    name: str
    script: str
    needs: tuple[str, ...]
    prepare: Callable[[Path], None] = lambda _: None


def _sources(folder: Path) -> None:
    shutil.copytree(ROOT / "libinterpose", folder / "libinterpose")
    shutil.copytree(ROOT / "build/generated", folder / "generated")


def _tree(folder: Path) -> None:
    for number in range(20):
        file = folder / f"tree/{number % 4}/file{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * 100, encoding="ascii")
    os.symlink("file0", folder / "tree/0/link")
    os.link(folder / "tree/0/file0", folder / "tree/0/hard")
    os.mkfifo(folder / "tree/0/fifo")
    for path in [*folder.rglob("*"), folder]:  # compressed archives of it are to be of one length
        os.utime(path, (1e9, 1e9), follow_symlinks=False)


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="ascii")


def _numbers(folder: Path) -> None:
    _text(folder / "numbers", "".join(f"{(n * 7919) % 100003}\n" for n in range(60000)))
    os.utime(folder / "numbers", (1e9, 1e9))  # git looks twice at files that are as new as its index


def _java(folder: Path) -> None:
    (folder / "Hello.java").write_text(
        "import java.nio.file.*; public class Hello { public static void main(String[] a) throws Exception"
        ' { Files.writeString(Path.of("out.txt"), "hello");'
        ' System.out.println(Files.readString(Path.of("out.txt"))); } }',
        encoding="ascii",
    )


def _makefile(folder: Path) -> None:
    for name in "abcdef":
        _text(folder / f"{name}.in", f"{name}\n" * 100)
    _text(
        folder / "Makefile",
        "all: total\n%.out: %.in\n\tsort $< | uniq -c >$@\n"
        "total: a.out b.out c.out d.out e.out f.out\n\tcat $^ >$@\nclean:\n\trm *.out total\n",
    )


def _tcl(folder: Path) -> None:
    _text(folder / "given", "given\n" * 500)
    _text(
        folder / "script.tcl",
        "set in [open given]; set text [read $in]; close $in\n"
        "set out [open made w]; puts $out $text; close $out\n"
        "file rename made moved; file copy moved copied; file attributes copied -permissions 0600\n"
        "set got [exec sort copied | uniq -c]; file mkdir folder; file delete -force folder copied\n"
        "puts [glob *]\n",
    )


def _package(folder: Path) -> None:
    _text(
        folder / "package/DEBIAN/control", "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: a\n"
    )
    _text(folder / "package/usr/share/a/file", "content\n" * 100)


def _passing(folder: Path) -> None:
    _numbers(folder)
    _text(
        folder / "script.py",
        """\
import mmap, os, socket, threading

def answer(connection, file):
    with connection, file:
        connection.sendfile(file)

server = socket.create_server(("localhost", 18098))
client = socket.create_connection(("localhost", 18098))
answering = threading.Thread(target=answer, args=(server.accept()[0], open("numbers", "rb")))
with open("got", "wb") as got:
    answering.start()
    while text := client.recv(65536):
        got.write(text)
answering.join()

ours, theirs = socket.socketpair()
if not os.fork():
    _, (received,), _, _ = socket.recv_fds(theirs, 10, 1)
    os.write(received, os.read(received, 100))
    os._exit(0)
file = os.open("numbers", os.O_RDWR)
socket.send_fds(ours, [b"one"], [file])
os.wait()

memory = os.memfd_create("memory")
os.ftruncate(memory, 4096)
with mmap.mmap(memory, 4096) as shared:
    shared[:5] = b"given"
os.posix_fallocate(memory, 0, 8192)
with open("mapped", "wb+") as file:
    file.truncate(4096)
    with mmap.mmap(file.fileno(), 4096) as shared:
        shared[:5] = b"given"
with open("copy", "wb") as copy, open("numbers", "rb") as file:
    os.copy_file_range(file.fileno(), copy.fileno(), 1000)
    read, write = os.pipe()
    os.splice(file.fileno(), write, 500)
    os.splice(read, copy.fileno(), 500)
""",
    )


def _musl(folder: Path) -> None:
    _numbers(folder)
    command = ["musl-gcc", "-O1", "-o", str(folder / "musl"), str(Path(__file__).with_name("musl.c"))]
    subprocess.run(command, check=True)


NGINX = """\
daemon off; pid {0}/nginx.pid; error_log {0}/error.log; worker_processes 1; events {{}}
http {{ access_log {0}/access.log; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; server {{ listen 127.0.0.1:18099; root {0}; }} }}
"""


POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/usr/lib/postgresql/bin"))


def _postgres(folder: Path) -> None:
    shutil.chown(folder, "postgres")


def _nginx(folder: Path) -> None:
    (folder / "nginx.conf").write_text(NGINX.format(folder), encoding="ascii")
    (folder / "page").write_text("page\n" * 1000, encoding="ascii")
    folder.chmod(0o755)


PROGRAMS = [
    Program(
        "gcc build",
        "gcc @libinterpose/flags -Ilibinterpose/include -Igenerated -c -o wire.o generated/wire.c && "
        "gcc @libinterpose/flags @libinterpose/link -Ilibinterpose/include -Igenerated -o wire.so wire.o "
        "libinterpose/memory.c",
        ("gcc",),
        _sources,
    ),
    Program("tar", "tar cf a.tar tree && mkdir x && tar xf a.tar -C x && tar czf a.tgz tree", ("tar", "gzip"), _tree),
    Program(
        "cp -a", "cp -a tree copy && cp -r --preserve=mode tree/1 one && mv copy moved && rm -r moved", ("cp",), _tree
    ),
    Program("find", "find tree -name 'file*' -size -2 -exec cat {} + -newer tree/0/file0 > found", ("find",), _tree),
    Program(
        "perl",
        'perl -MFile::Copy -e \'copy("numbers", "copied"); open F, "copied"; $n += $_ while <F>; '
        'open O, ">sum"; print O $n; close O; rename "sum", "total"; unlink "copied"; print `cat total`\'',
        ("perl",),
        _numbers,
    ),
    Program(
        "python",
        "/usr/bin/python3 -S -c 'import json, subprocess, tempfile, os\n"
        'd = tempfile.mkdtemp(dir="."); json.dump([1, 2], open(d + "/f", "w"))\n'
        'print(json.load(open(d + "/f")), subprocess.run(["cat", d + "/f"], capture_output=True).stdout)\n'
        'os.chmod(d + "/f", 0o600); os.utime(d + "/f", (1, 2)); os.remove(d + "/f"); os.rmdir(d)\'',
        ("/usr/bin/python3",),
    ),
    Program(
        "python and what passes between processes", "/usr/bin/python3 -S script.py", ("/usr/bin/python3",), _passing
    ),
    Program(
        "bash pipelines",
        "bash -c 'for i in 1 2 3; do cat numbers | head -n $((i * 10)) | tail -n 1; done > out; "
        "wc -l < numbers >> out; (cd / && ls) | sort | tee all | wc -l; x=$(grep -c 1 numbers); "
        "echo $x > x; diff x out >d || true'",
        ("bash",),
        _numbers,
    ),
    Program(
        "curl and nginx",
        "nginx -c $PWD/nginx.conf & until [ -s nginx.pid ]; do :; done; curl -s -o got http://127.0.0.1:18099/page; "
        "curl -s http://localhost:18099/page | md5sum; kill $(cat nginx.pid); wait",
        ("nginx", "curl"),
        _nginx,
    ),
    Program(
        "java",
        "javac -J-XX:-UsePerfData Hello.java && java -Xshare:auto -XX:-UsePerfData Hello",
        ("javac", "java"),
        _java,
    ),
    Program(
        "postgres",
        f"PATH={POSTGRES}:$PATH; export PATH; runuser -u postgres -- sh -ec 'initdb -D data -A trust -N >/dev/null; "
        'pg_ctl -D data -o "-F -k $PWD -c listen_addresses=" -l log -w start >/dev/null; '
        'psql -h "$PWD" -qc "create table t as select generate_series(1, 1000) n" postgres; '
        'psql -h "$PWD" -Atc "select sum(n) from t" postgres; sleep 0.5; pg_ctl -D data -w -m fast stop >/dev/null\'',
        ("runuser", str(POSTGRES / "initdb")),
        _postgres,
    ),
    Program(
        "sort with temporary files",
        "sort -n -S 32k -T . numbers -o sorted && sort -u sorted | wc -l",
        ("sort",),
        _numbers,
    ),
    Program(
        "git",
        "git init -q repo && cd repo && cp -p ../numbers . && git add . && "
        "git -c user.name=a -c user.email=a@b commit -qm one && "
        "git log --oneline | cat && git gc -q && git status --short",
        ("git",),
        _numbers,
    ),
    Program(
        "sed and awk",
        "sed -i s/1/2/ numbers && awk '{ s += $1; print > \"odd\" } END { print s }' numbers",
        ("sed", "awk"),
        _numbers,
    ),
    Program(
        "xz and zip",
        "xz -k numbers && xz -dc numbers.xz | cmp - numbers && gzip -k numbers && zcat numbers.gz | tail -n 1",
        ("xz",),
        _numbers,
    ),
    Program(
        "sqlite3",
        "sqlite3 db 'create table t(a); insert into t values (1),(2); vacuum;' && sqlite3 db 'select * from t'",
        ("sqlite3",),
    ),
    Program(
        "openssl",
        "openssl genpkey -algorithm ed25519 -out key && openssl pkey -in key -pubout -out pub && "
        "openssl dgst -sha256 numbers && openssl enc -aes-256-cbc -pbkdf2 -pass pass:a -in numbers -out secret",
        ("openssl",),
        _numbers,
    ),
    Program(
        "rsync",
        "rsync -a tree/ copy && rm copy/1/file1 && rsync -a --delete --checksum tree/ copy",
        ("rsync",),
        _tree,
    ),
    Program("make -j", "make -s -j3 && make -s -j3 && make -s clean", ("make",), _makefile),
    Program(
        "ssh-keygen",
        "ssh-keygen -q -t ed25519 -N '' -C who -f key && ssh-keygen -y -f key >pub && ssh-keygen -lf key.pub",
        ("ssh-keygen",),
    ),
    Program(
        "jq",
        "jq -c '.[] | select(.n > 1)' given.json >got && jq -n --slurpfile a got '$a | length'",
        ("jq",),
        lambda folder: _text(folder / "given.json", '[{"n": 1}, {"n": 2}, {"n": 3}]'),
    ),
    Program(
        "find and xargs -P",
        "find tree -type f -print0 | xargs -0 -P 3 -n 4 md5sum | sort -k 2 >sums && md5sum -c --quiet sums",
        ("find", "xargs"),
        _tree,
    ),
    Program("tcl", "tclsh script.tcl", ("tclsh",), _tcl),
    Program(
        "vim",
        "vim.tiny -es -u NONE -i NONE -c '%s/1/2/g' -c wq numbers || true",
        ("vim.tiny",),
        _numbers,
    ),
    Program(
        "diff and patch",
        "cp numbers other && sed -i '7d;s/99/98/' other && diff -u numbers other >change; "
        "patch -s numbers change && cmp numbers other",
        ("diff", "patch"),
        _numbers,
    ),
    Program("zip", "zip -qr a.zip tree && mkdir out && unzip -q a.zip -d out", ("zip", "unzip"), _tree),
    Program(
        "dpkg-deb",
        "dpkg-deb --root-owner-group -Znone -b package a.deb && dpkg-deb -x a.deb out && dpkg-deb -I a.deb",
        ("dpkg-deb",),
        _package,
    ),
    Program("a program of musl", "./musl numbers", ("musl-gcc",), _musl),
]
