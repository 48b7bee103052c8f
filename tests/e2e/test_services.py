"""The helper that runs our services for tests: whatever ends a test, nothing of it stays to disturb the next one."""

import pytest

from support.services import sidecar


def test_a_test_that_is_skipped_while_a_service_runs_leaves_nothing_open(interpose):
    with pytest.raises(pytest.skip.Exception), sidecar(interpose) as service:
        pytest.skip("as where something is missing")
    assert service.process.stderr.closed
    assert service.process.returncode is not None
