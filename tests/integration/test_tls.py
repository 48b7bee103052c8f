"""Mutual TLS between sidecars and collectors, with certificates that are replaced while they serve."""

import os
import shutil
import sqlite3

import grpc
import pytest

from interpose.sidecar import forward
from interpose.sidecar.central import Central
from interpose.sidecar.endpoint import Tcp, TlsFiles, parse
from interpose.sidecar.errors import EndpointError
from interpose.sidecar.forward import Forwarding
from interpose.sidecar.service import RunInfo, Sidecar
from interpose.v1.capture_pb2 import Acknowledgement, Batch, Forwarded, Run
from support.certificates import Authority
from support.journals import Writer, origin
from support.rows import rows
from support.waiting import soon

SPOOL = bytes(16)
SERVER = "IP:127.0.0.1"
BATCH = Batch(forwarded=Forwarded(spool=SPOOL, run=Run(id="mine", started=5))).SerializeToString()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def collector(tmp_path, authority):
    """A collector on a free port, and the files that it reads its certificate from."""
    files = copied(authority.certify("collector", SERVER), tmp_path / "tls")
    central = Central.start([Tcp("127.0.0.1", 0)], f"sqlite:///{tmp_path}/central", tls=files)
    central.files, central.database = files, tmp_path / "central"
    yield central
    assert central.stop() is None


def copied(files, folder):
    """The same contents in files of their own; over others, as a rotation does: each file replaced in one step."""
    folder.mkdir(exist_ok=True)
    target = TlsFiles(folder / "cert", folder / "key", folder / "ca")
    for name in ("certificate", "key", "authorities"):
        shutil.copy(getattr(files, name), folder / "next")
        os.rename(folder / "next", getattr(target, name))
    return target


def ask(central, files, *, trusted=None, message=BATCH):
    """The answers to one batch from who has these files, or the status of the failure."""
    ours = None if files is None else files.read()
    credentials = grpc.ssl_channel_credentials(
        (trusted or files.authorities).read_bytes(), ours and ours.key, ours and ours.certificate
    )
    with grpc.secure_channel(f"127.0.0.1:{central.ports[0]}", credentials) as channel:
        stream = channel.stream_stream("/interpose.v1.Capture/Stream", response_deserializer=Acknowledgement.FromString)
        try:
            return len(list(stream(iter([message]), timeout=10)))
        except grpc.RpcError as error:
            return error.code()


def peers(central):
    return [run for (run,) in _select(central.database, "SELECT peer FROM runs")]


def _select(database, query):
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("names", "identity"),
    [
        (["URI:spiffe://example.org/node/a"], "spiffe://example.org/node/a"),
        (["DNS:b.example.org", "DNS:a.example.org"], "a.example.org,b.example.org"),
        ([], "CN=sidecar,O=tests"),
    ],
)
def test_a_run_is_recorded_with_the_identity_of_who_forwarded_it(collector, authority, names, identity):
    assert 1 == ask(collector, authority.certify("sidecar", *names))
    assert [identity] == peers(collector)


def test_a_run_belongs_to_the_peer_that_it_first_came_from(collector, authority):
    first, second = authority.certify("first", "DNS:first"), authority.certify("second", "DNS:second")
    other = Batch(forwarded=Forwarded(spool=SPOOL)).SerializeToString()

    assert 1 == ask(collector, first)
    assert grpc.StatusCode.PERMISSION_DENIED == ask(collector, second)
    assert grpc.StatusCode.PERMISSION_DENIED == ask(collector, second, message=other)
    assert 1 == ask(collector, authority.certify("renewed", "DNS:first"), message=other)
    assert ["first"] == peers(collector)


def test_who_has_no_certificate_or_anothers_is_not_served(collector, authority, tmp_path):
    stranger = Authority(tmp_path / "stranger", "stranger").certify("sidecar", "DNS:first")

    assert grpc.StatusCode.UNAVAILABLE == ask(collector, None, trusted=authority.certificate)
    assert grpc.StatusCode.UNAVAILABLE == ask(collector, stranger, trusted=authority.certificate)
    assert [] == peers(collector)


def test_files_that_are_replaced_are_used_without_a_restart(collector, authority, tmp_path):
    old = authority.certify("old", "DNS:old")
    later = Authority(tmp_path / "later", "later")
    new = later.certify("new", "DNS:new")
    assert 1 == ask(collector, old)
    copied(later.certify("collector", SERVER), collector.files.key.parent)

    assert grpc.StatusCode.UNAVAILABLE == ask(collector, old)
    message = Batch(forwarded=Forwarded(spool=b"x" * 16, run=Run(id="other"))).SerializeToString()
    assert 1 == ask(collector, new, message=message)


def test_files_that_make_no_sense_leave_the_former_ones_in_use(collector, authority):
    ours = authority.certify("sidecar", "DNS:a")
    for file in (collector.files.certificate, collector.files.key, collector.files.authorities):
        kept = file.read_bytes()
        file.write_text("nonsense")
        assert 1 == ask(collector, ours)
        file.unlink()
        assert 1 == ask(collector, ours)
        file.write_bytes(kept)
    copied(authority.certify("another", SERVER), collector.files.key.parent)
    assert 1 == ask(collector, ours)


def test_a_sidecar_forwards_over_tls_and_reads_its_files_anew(collector, authority, tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "_PAUSES", (0.05,))
    files = copied(authority.certify("sidecar", "URI:spiffe://node/a"), tmp_path / "sidecar")
    endpoint = parse(f"127.0.0.1:{collector.ports[0]}")
    sidecar = Sidecar.start(
        tmp_path / "spool",
        f"sqlite:///{tmp_path}/db",
        RunInfo("run", ("make",), 5),
        forward=Forwarding(endpoint, files),
    )
    stranger = Authority(tmp_path / "later", "later")
    writer = Writer(tmp_path / "spool", 10, 100)
    writer.append([origin(10, 100, 1000)])
    assert soon(lambda: len(rows(collector.database)["events"]) == 1)
    copied(stranger.certify("collector", SERVER), collector.files.key.parent)
    copied(stranger.certify("sidecar", "URI:spiffe://node/a"), tmp_path / "sidecar")
    writer.append([origin(10, 100, 1001)])
    writer.die()

    assert sidecar.stop(ended=7).problem is None
    assert rows(tmp_path / "db") == rows(collector.database)
    assert ["spiffe://node/a"] == peers(collector)


def test_a_tcp_endpoint_without_tls_is_refused(tmp_path):
    with pytest.raises(EndpointError, match=r"^127\.0\.0\.1:0 is not served without mutual TLS: [^\n]*$"):
        Central.start([Tcp("127.0.0.1", 0)], f"sqlite:///{tmp_path}/db")


def test_a_port_that_is_taken_is_one_line(collector, tmp_path):
    with pytest.raises(EndpointError, match=r"^cannot listen on 127\.0\.0\.1:[0-9]+: [^\n]*$"):
        Central.start([Tcp("127.0.0.1", collector.ports[0])], f"sqlite:///{tmp_path}/db", tls=collector.files)


@pytest.mark.parametrize("spoiled", ["certificate", "key", "authorities"])
def test_files_that_do_not_belong_together_are_one_line(authority, tmp_path, spoiled):
    files = copied(authority.certify("collector", SERVER), tmp_path / "tls")
    other = Authority(tmp_path / "other", "other").certify("collector", SERVER)
    shutil.copy(getattr(other, "key" if spoiled == "authorities" else spoiled), getattr(files, spoiled))

    with pytest.raises(EndpointError) as caught:
        Central.start([Tcp("127.0.0.1", 0)], f"sqlite:///{tmp_path}/db", tls=files)
    assert "\n" not in str(caught.value)
    assert str(getattr(files, spoiled)) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "unix:", "host", "host:", "host:x", "host:65536", ":7", "a:b:7", "[::1]", "tcp://host:7"]
)
def test_what_is_no_endpoint(text):
    with pytest.raises(EndpointError, match=r"^not an endpoint: "):
        parse(text)


@pytest.mark.parametrize("text", ["unix:/a/b", "host:7", "[::1]:65535", "10.0.0.1:1"])
def test_an_endpoint_is_written_as_it_is_read(text):
    assert text == str(parse(text))
