"""What several kinds of tests share."""

import os
import subprocess

import pytest

from support.databases import SQLite
from support.postgresql import server
from support.programs import Programs
from support.tiers import is_matrix

for told_by_make in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(told_by_make, None)  # a make that tests start is not one of those who started the tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks what only `make test-all` runs, before a -m chooses."""
    for item in items:
        if is_matrix(item.path, item.callspec.params if hasattr(item, "callspec") else {}):
            item.add_marker(pytest.mark.matrix)


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server; a test that stops it makes one of its own."""
    with server() as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request, tmp_path_factory):
    """What stores and asks is tested on both: support.databases.Databases."""
    if request.param == "sqlite":
        return SQLite(tmp_path_factory.mktemp("databases"))
    return request.getfixturevalue("postgresql")


@pytest.fixture
def database(databases):
    """The URL of an empty database."""
    url = databases.database()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Programs:
    """Test programs, compiled once for each target that is asked for."""
    folder = tmp_path_factory.mktemp("programs")
    folder.chmod(0o755)
    for parent in folder.parents:  # what runs as another user, or in another root, reaches it
        if parent.name.startswith("pytest-"):
            subprocess.run(["chmod", "a+x", str(parent)], check=True)
    return Programs(folder)
