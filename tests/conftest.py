"""What several kinds of tests share."""

import subprocess

import pytest

from support.programs import Programs


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> Programs:
    """Test programs, compiled once for each target that is asked for."""
    folder = tmp_path_factory.mktemp("programs")
    folder.chmod(0o755)
    for parent in folder.parents:  # what runs as another user, or in another root, reaches it
        if parent.name.startswith("pytest-"):
            subprocess.run(["chmod", "a+x", str(parent)], check=True)
    return Programs(folder)
