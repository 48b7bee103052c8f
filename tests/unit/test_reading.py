"""A listing sees one state of the database, whatever is written meanwhile."""

from prometheus_client import CollectorRegistry

from interpose.cli.database import reading
from interpose.sidecar.events import stored_events
from interpose.sidecar.service import RunInfo, Sidecar
from interpose.sidecar.store import Store
from support.journals import Writer, origin


def test_events_that_are_deleted_while_they_are_listed_are_listed(tmp_path):
    url = f"sqlite:///{tmp_path}/db"
    sidecar = Sidecar.start(tmp_path / "spool", url, RunInfo("run", None, 5), registry=CollectorRegistry())
    for pid in range(200):
        writer = Writer(tmp_path / "spool", pid, 100)
        writer.append([origin(pid, 100, 1000 + pid)])
        writer.die()
    assert sidecar.drain(10)
    with reading(url) as connection:
        listed = stored_events(connection, "run")
        next(listed)
        store = Store.open(url)
        with store.transaction() as rows:
            rows._cursor.execute("DELETE FROM ranges")
        store.close()
        assert 199 == len(list(listed))
    sidecar.stop()
