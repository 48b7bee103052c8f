"""CPython's regression tests, as Debian ships them: a suite for each module."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from equivalence.suites import SOURCES, Step, Suite

__all__ = ["SUITES", "read_junit"]

_PYTHON = Path("/usr/bin/python3.11")
_TESTS = Path("/usr/lib/python3.11/test")
_SQLITE = SOURCES / "python3.11/Lib/test/test_sqlite3"
"""Debian leaves it out of the package with the tests."""
_REPORT = "junit.xml"
_RESOURCES = "all,-network,-urlfetch,-audio,-gui,-largefile"
_SECONDS = 900
_IGNORED = ("test.test_socket.ThreadedVSOCKSocketStreamTest.*",)
"""Waits without end for a host that answers, where the machine has virtual sockets and no such host."""

_MODULES = (
    "test_os test_posix test_subprocess test_signal test_threading test_thread test_fork1 test_io test_fileio"
    " test_socket test_select test_selectors test_asyncio test_multiprocessing_fork test_multiprocessing_forkserver"
    " test_multiprocessing_spawn test_concurrent_futures test_tempfile test_shutil test_pathlib test_mmap test_fcntl"
    " test_pty test_popen test_wait3 test_wait4 test_faulthandler test_resource test_dbm"
    " test_asyncore test_atexit test_c_locale_coercion test_cmd_line test_ctypes test_dbm_gnu test_dbm_ndbm test_eintr"
    " test_epoll test_file test_getpass test_gettext test_glob test_grp test_import test_locale"
    " test_multiprocessing_main_handling test_openpty test_pipes test_poll test_pwd test_queue test_site"
    " test_stat test_sys test_syslog test_tarfile test_threadedtempfile test_threading_local"
    " test_threadsignals test_time test_tracemalloc test_zipfile"
).split()


def read_junit(report: str) -> Mapping[str, str]:
    """The verdict of each test in the report that regrtest writes; none if it could not write it."""
    try:
        root = ET.fromstring(report)
    except ET.ParseError:
        return {}
    verdicts: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for case in root.iter("testcase"):
        name = case.get("name", "?")
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name} #{seen[name]}"
        found = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        verdicts[name] = found[0] if found else "passed"
    return verdicts


def _steps(module: str, variables: Mapping[str, str]) -> list[Step]:
    ignored = (argument for pattern in _IGNORED for argument in ("--ignore", pattern))
    options = ("-v", "-u", _RESOURCES, "--junit-xml", _REPORT, *ignored)
    command = (str(_PYTHON), "-m", "test", *options, module)
    return [Step(module, command, read_junit, report=_REPORT, seconds=_SECONDS, variables=variables)]


def _suite(module: str) -> Suite:
    return Suite(f"cpython/{module}", _PYTHON, (_TESTS / "regrtest.py",), lambda: _steps(module, {}))


def _join_packages(folder: Path) -> None:
    """The installed tests and test_sqlite3 as one package."""
    package = folder / "python/test"
    package.mkdir(parents=True)
    for entry in [*_TESTS.iterdir(), _SQLITE]:
        (package / entry.name).symlink_to(entry)


_SQLITE_SUITE = Suite(
    "cpython/test_sqlite3",
    _PYTHON,
    (_TESTS / "regrtest.py", _SQLITE),
    lambda: _steps("test_sqlite3", {"PYTHONPATH": "python"}),
    _join_packages,
)

SUITES = (*map(_suite, _MODULES), _SQLITE_SUITE)
