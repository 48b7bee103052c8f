"""Programs that confine, watch or serve others: what each says, and how it ends. One suite for each kind."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from equivalence.suites import Step, Suite

__all__ = ["SUITES", "read_output"]

_SHELL = Path("/usr/bin/dash")
_SOURCES = Path(__file__).parent
_GCC = Path("/usr/bin/gcc")
_SECONDS = 180
_MASKS = (
    (re.compile(r"[^\s'\":=]*/(?:bare|held)/side\b"), "SIDE"),
    (re.compile(r"(?m)^(==|--)\d+\1"), r"\1PID\1"),
    (re.compile(r"\b0x[0-9A-Fa-f]+\b"), "ADDRESS"),
    (re.compile(r"\(suppressed: \d+ from \d+\)"), "(suppressed)"),
)
"""What differs between any two runs: the side's folder, valgrind's process, addresses, counts of suppressed errors."""
_SHOWN = 400
"""How many characters of what was said stand in a verdict; the digest is of all."""


def read_output(name: str, output: str) -> Mapping[str, str]:
    """All that a step said is a verdict; how it ended is another."""
    for mask, instead in _MASKS:
        output = mask.sub(instead, output)
    said = " | ".join(line.rstrip() for line in output.splitlines())
    if len(said) > _SHOWN:
        said = f"{said[:_SHOWN]}... (sha256 {sha256(said.encode()).hexdigest()[:16]})"
    return {f"{name}: output": said} if said else {}


def _steps(scripts: Mapping[str, str]) -> Sequence[Step]:
    """Each script ends with its status as the last thing that it says, so that none says nothing."""
    return [
        Step(name, ("sh", "-c", f'{script}\necho "status $?"'), partial(read_output, name), seconds=_SECONDS)
        for name, script in scripts.items()
    ]


def _suite(
    name: str,
    needs: Sequence[str],
    scripts: Mapping[str, str],
    prepare: Callable[[Path], None] = lambda _: None,
) -> Suite:
    files = [Path(need) for need in needs]
    return Suite(f"programs/{name}", _SHELL, files, lambda: _steps(scripts), prepare)


def _compile(folder: Path, *programs: str, options: Sequence[str] = ()) -> None:
    for program in programs:
        command = [_GCC, "-O1", "-g", "-pthread", "-o", folder / program, _SOURCES / f"{program}.c", *options]
        subprocess.run(command, check=True)


_TMUX = {
    "a session": """
        export TMUX_TMPDIR=$PWD; tmux() { command tmux -f /dev/null "$@"; }
        shown() { tmux capture-pane -p | grep -c "$1" | grep -q "$2"; }
        until_shown() { for try in $(seq 100); do shown "$@" && break; sleep 0.1; done; }
        tmux new-session -d -x 80 -y 24 'echo from a session; exec cat'; until_shown session 1
        tmux send-keys typed Enter; until_shown typed 2
        tmux capture-pane -p | grep .
        tmux split-window 'exec sleep 60'; tmux list-panes -F '#{pane_index} #{pane_width} #{pane_current_command}'
        tmux kill-server""",
    "a program that ends": """
        export TMUX_TMPDIR=$PWD
        tmux -f /dev/null new-session -d 'echo done > ended; exit 3'
        for try in $(seq 100); do tmux list-sessions >/dev/null 2>&1 || break; sleep 0.1; done
        cat ended""",
}

_QUIET = ("cachegrind", "callgrind", "massif", "dhat", "lackey", "none")
_PROFILE = {"cachegrind": "cachegrind-out-file", "callgrind": "callgrind-out-file", "dhat": "dhat-out-file"}


def _valgrind(tool: str, program: str, *options: str) -> str:
    out = _PROFILE.get(tool, f"{tool}-out-file")
    given = [f"--{out}=/dev/null"] if tool in (*_PROFILE, "massif") else []
    log = ["--log-file=/dev/null"] if tool in _QUIET else []
    errors = [] if tool in _QUIET else ["--error-exitcode=9"]
    return " ".join(["valgrind", f"--tool={tool}", *given, *log, *errors, *options, program])


_VALGRIND = {
    **{f"{tool} of a small program": _valgrind(tool, "./heap") for tool in _QUIET},
    "memcheck of a small program": _valgrind("memcheck", "./heap", "--leak-check=full"),
    "memcheck of a leak": _valgrind("memcheck", "./heap leak", "-q", "--leak-check=full"),
    "memcheck of descriptors": _valgrind("memcheck", "./heap", "--track-fds=yes"),
    "memcheck of children": _valgrind("memcheck", "sh -c './heap; ./heap'", "--trace-children=yes", "-q"),
    "memcheck of ls": _valgrind("memcheck", "ls heap.c", "-q"),
    "memcheck of cat": _valgrind("memcheck", "cat /etc/hostname", "-q"),
    "memcheck of curl": _valgrind("memcheck", "curl --version >/dev/null", "-q"),
    "memcheck of Python": _valgrind("memcheck", "python3.11 -c 'print(open(\"heap.c\").read(2))'", "-q"),
}
_HELGRIND = {
    f"{tool} of {what}": _valgrind(tool, f"./heap {what}", "-q")
    for tool in ("helgrind", "drd")
    for what in ("locks", "forks")
}

_CONFINED = {
    "an allow-list, and cat": "./confined allow kill cat heap.c 2>&1 | head -n 1; ./confined allow kill true",
    "an allow-list that traps": "./confined allow trap true",
    "an allow-list that refuses": "./confined allow errno cat heap.c | head -n 1",
    **{
        f"{call}: {action}": f"./confined {call} {action} sh -c 'head -n 1 heap.c; echo more >>{call}-{action}; ls *-*'"
        for call in ("statx", "socket", "readlinkat")
        for action in ("kill", "trap", "errno")
    },
    "a worker": "./confined worker kill; cat worked",
    "a strict worker": "./confined strict kill; cat worked",
}

_BWRAP = {
    "a root that is only read": """
        bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all --die-with-parent \
            sh -c 'echo $$; id -u; touch /made || echo refused; ls /proc | grep -c "^[0-9]"; exit 5'""",
    "a root of its own": """
        bwrap --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 \
            --bind . /work --chdir /work sh -c 'echo made > file; cat file; ls /'""",
    "no environment": """
        bwrap --ro-bind / / --dev /dev --bind . $PWD --clearenv sh -c 'env; echo more >> file'; cat file""",
    "a filter": """
        ./confined filter >filter
        bwrap --ro-bind / / --dev /dev --seccomp 9 sh -c 'ls heap.c; exit 4' 9<filter""",
}

_RING = {"a ring": "./ring && cat ring-made", "a ring in a child": "sh -c './ring & wait $!' && cat ring-made"}

_NAMED = {
    "named": r"""
        mkdir -p jail/etc jail/run && cd jail/etc
        printf '%s\n' 'options { directory "/"; listen-on port 5300 { 127.0.0.1; }; listen-on-v6 { none; };' \
            'recursion no; pid-file none; session-keyfile none; dnssec-validation no; };' 'controls { };' \
            'zone "example.test" { type primary; file "/etc/zone"; };' >named.conf
        printf '%s\n' '$TTL 60' '@ SOA ns.example.test. me.example.test. 1 60 60 60 60' '@ NS ns' 'ns A 127.0.0.1' \
            'host A 192.0.2.7' 'host TXT "said"' >zone
        cd ../..; chown -R bind jail
        named -g -n 1 -t "$PWD/jail" -u bind -c /etc/named.conf >named.log 2>&1 & named=$!
        ask() { dig @127.0.0.1 -p 5300 +time=5 +tries=1 +short "$@"; }
        for try in $(seq 100); do ask host.example.test >/dev/null && break; sleep 0.1; done
        ask host.example.test A; ask host.example.test TXT; ask example.test SOA; ask none.example.test
        ask +tcp example.test AXFR | sort
        exec 2>/dev/null; kill $named; wait $named""",
}
_HAPROXY = {
    "haproxy": r"""
        mkdir -p jail
        printf '%s\n' 'global' "  chroot $PWD/jail" '  user haproxy' '  group haproxy' '  maxconn 50' \
            'defaults' '  mode http' \
            '  timeout client 5s' '  timeout server 5s' '  timeout connect 5s' 'frontend one' '  bind 127.0.0.1:8080' \
            '  http-request return status 200 content-type text/plain lf-string "served %[path]" if { path_beg /s }' \
            '  default_backend none' 'backend none' '  server gone 127.0.0.1:8089' >haproxy.cfg
        haproxy -db -f haproxy.cfg >haproxy.log 2>&1 & haproxy=$!
        ask() { curl -s -o answer -w '%{http_code}\n' "http://127.0.0.1:8080$1"; cat answer; echo; }
        for try in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8080/s && break; sleep 0.1; done
        ask /s1; ask /s2; ask /gone | head -n 1
        exec 2>/dev/null; kill $haproxy; wait $haproxy""",
}
_SSHD = {
    "sshd": r"""
        mkdir -p /run/sshd; rm -f key* host*
        ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub authorized
        printf '%s\n' "HostKey $PWD/host" "AuthorizedKeysFile $PWD/authorized" 'StrictModes no' 'UsePAM no' \
            'PermitRootLogin yes' 'PidFile none' 'ListenAddress 127.0.0.1' 'Port 2222' >sshd.cfg
        /usr/sbin/sshd -D -e -f sshd.cfg >sshd.log 2>&1 & sshd=$!
        ask() { ssh -q -i key -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes \
            root@127.0.0.1 "$@"; }
        for try in $(seq 100); do ask true && break; sleep 0.1; done
        ask 'echo from inside; id -u; exit 7'; echo $?; echo typed | ask cat; ask 'cat /nowhere' 2>&1; echo $?
        exec 2>/dev/null; kill $sshd; wait $sshd""",
}


def _small(folder: Path) -> None:
    _compile(folder, "heap")
    (folder / "heap.c").write_text("/* read by the steps */\n", encoding="utf-8")


def _confinable(folder: Path) -> None:
    _small(folder)
    _compile(folder, "confined")


def _jail(_: Path) -> None:
    if os.geteuid() != 0:
        raise PermissionError("only root starts what changes its root")


SUITES = (
    _suite("tmux", ["/usr/bin/tmux"], _TMUX),
    _suite("valgrind", ["/usr/bin/valgrind", str(_GCC)], _VALGRIND, _small),
    _suite("helgrind", ["/usr/bin/valgrind", str(_GCC)], _HELGRIND, _small),
    _suite("seccomp", [str(_GCC)], _CONFINED, _confinable),
    _suite("bwrap", ["/usr/bin/bwrap", str(_GCC)], _BWRAP, _confinable),
    _suite(
        "liburing",
        [str(_GCC), "/usr/include/liburing.h"],
        _RING,
        lambda folder: _compile(folder, "ring", options=["-luring"]),
    ),
    _suite("named", ["/usr/sbin/named", "/usr/bin/dig"], _NAMED, _jail),
    _suite("haproxy", ["/usr/sbin/haproxy", "/usr/bin/curl"], _HAPROXY, _jail),
    _suite("sshd", ["/usr/sbin/sshd", "/usr/bin/ssh"], _SSHD, _jail),
)
