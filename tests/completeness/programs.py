"""The real programs that are looked at."""

import os
import shutil
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


def _numbers(folder: Path) -> None:
    (folder / "numbers").write_text("".join(f"{(n * 7919) % 100003}\n" for n in range(60000)), encoding="ascii")


def _java(folder: Path) -> None:
    (folder / "Hello.java").write_text(
        "import java.nio.file.*; public class Hello { public static void main(String[] a) throws Exception"
        ' { Files.writeString(Path.of("out.txt"), "hello");'
        ' System.out.println(Files.readString(Path.of("out.txt"))); } }',
        encoding="ascii",
    )


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
        "gcc @libinterpose/flags -Ilibinterpose/include -Igenerated -o wire.so wire.o libinterpose/memory.c",
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
        "curl -s http://127.0.0.1:18099/page | md5sum; kill $(cat nginx.pid); wait",
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
        'psql -h "$PWD" -Atc "select sum(n) from t" postgres; pg_ctl -D data -w -m fast stop >/dev/null\'',
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
        "git init -q repo && cd repo && cp ../numbers . && git add . && "
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
        "openssl genrsa -out key 2048 && openssl rsa -in key -pubout -out pub && openssl dgst -sha256 numbers",
        ("openssl",),
        _numbers,
    ),
]
