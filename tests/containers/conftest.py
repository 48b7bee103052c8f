"""What the tests with a real Docker Engine share: one Engine with the runtime installed, and one host service.

It is this machine's Engine, or, with INTERPOSE_TEST_ENGINE=trixie (or sid) in the environment, that Debian release's.
"""

import os
from collections.abc import Iterator

import pytest

from support.engine import Engine, running
from support.roots import library
from support.site import Site, installed


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One for all tests that leave it as it was."""
    library()
    with running(Engine(release=os.environ.get("INTERPOSE_TEST_ENGINE") or None)) as started:
        yield started


@pytest.fixture(scope="session")
def bookworm(engine) -> str:
    """The image in which most tests run."""
    return engine.import_release("bookworm")


@pytest.fixture(scope="session")
def site(engine, bookworm, tmp_path_factory) -> Iterator[Site]:
    """The Engine with the runtime installed, and a host service that stores what is captured."""
    with installed(engine, tmp_path_factory.mktemp("site") / "interpose.db") as made:
        yield made
