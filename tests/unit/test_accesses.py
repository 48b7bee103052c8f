"""The part in C reads of any bytes what protobuf's own reader does."""

from itertools import accumulate

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interpose.sidecar.accesses import LONGEST_NAME, Accesses
from interpose.sidecar.journal import EVENT, head
from interpose.v1 import event_pb2 as pb
from support.said import WANTED, as_protobuf_reads, as_read

READER = Accesses(WANTED)
F = FieldDescriptor
U64 = st.one_of(st.integers(0, 3), st.integers(0, (1 << 64) - 1))
I64 = st.one_of(st.integers(-2, 2), st.integers(-1 << 63, (1 << 63) - 1))
SCALARS = {
    F.TYPE_UINT32: st.integers(0, (1 << 32) - 1),
    F.TYPE_UINT64: U64,
    F.TYPE_INT32: st.sampled_from([0, 1, 115, -1, -1 << 31]),
    F.TYPE_INT64: I64,
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_ENUM: st.integers(-1 << 31, (1 << 31) - 1),
    F.TYPE_FIXED64: U64,
    F.TYPE_SFIXED64: I64,
    F.TYPE_STRING: st.text(max_size=4),
    F.TYPE_BYTES: st.one_of(st.sampled_from([b"", b"/", b"/a", b"a"]), st.binary(max_size=6)),
}
EFFECTS = list(pb.Event.DESCRIPTOR.oneofs_by_name["effect"].fields)
MOST_SAID = [field for field in EFFECTS if "file" in field.message_type.fields_by_name or field.name == "origin"]


@st.composite
def messages(draw, descriptor):
    """A message with some of its fields."""
    message = descriptor._concrete_class()
    for field in descriptor.fields:
        if field.containing_oneof is None and draw(st.booleans()):
            _set(draw, message, field)
    if descriptor.name == "Event":
        _set(draw, message, draw(st.one_of(st.sampled_from(MOST_SAID), st.sampled_from(EFFECTS))))
    return message


def _set(draw, message, field):
    content = messages(field.message_type) if field.message_type else SCALARS[field.type]
    if field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(content, max_size=2)))
    elif field.message_type:
        getattr(message, field.name).CopyFrom(draw(content))
    else:
        setattr(message, field.name, draw(content))


EVENTS = messages(pb.Event.DESCRIPTOR).map(lambda event: event.SerializeToString())
ODD = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"\x28" + b"\xff" * 9 + b"\x7f",
            b"\x28" + b"\xff" * 10 + b"\x01",
            b"\xa8\x80\x80\x80\x00\x01",
            b"\xa8\x80\x80\x80\x80\x00\x01",
            b"\xa8\x80\x80\x80\x10\x01",
            b"\x22\x81\x80\x80\x80\x00a",
            b"\x22\x03\xed\xa0\x80",
            b"\x22\x04\xf4\x90\x80\x80",
            b"\x22\x02\xc0\x80",
            b"\x0b" * 100 + b"\x0c" * 100,
            b"\x0b" * 101 + b"\x0c" * 101,
            b"\x0b\x14",
            b"\x0b\x00\x00\x0c",
            b"\x0b\x03\x04\x0c",
            b"\x03\x04",
            b"\x2d1234",
            b"\x09\x00",
            b"\x00\x01",
            b"\xfa\x07\x00",
        ]
    ),
)


@st.composite
def bodies(draw):
    """An event's bytes, or several at once, which is one, or what somebody else made of them."""
    body = b"".join(draw(st.lists(st.one_of(EVENTS, EVENTS, ODD), min_size=1, max_size=3)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=2)) + body[place + draw(st.integers(0, 2)) :]
    return body


def framed(bodies):
    """Records, and where the bodies stand in them."""
    records = [head(EVENT, len(body)) + body for body in bodies]
    ends = accumulate(map(len, records))
    return b"".join(records), [end - len(body) for end, body in zip(ends, bodies, strict=True)]


def check(found, shift=0):
    records, places = framed(found)
    assert as_protobuf_reads(found, shift) == as_read(READER, records, places, shift)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(bodies(), max_size=8), I64)
def test_what_is_read_is_what_protobuf_reads(found, shift):
    check(found, shift)


def test_any_number_of_files_and_names_is_read():
    events = [
        pb.Event(time=n + 1, open=pb.Open(name=pb.Name(path=b"/%d" % (n % 30_000)), file=pb.File(inode=n % 9000 + 1)))
        for n in range(40_000)
    ]
    check([event.SerializeToString() for event in events])


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("size", [LONGEST_NAME, LONGEST_NAME + 1, 1 << 20])
def test_names_are_left_out_where_they_are_too_long(absolute, size):
    path = b"/".ljust(size, b"n") if absolute else b"n" * (size - 100)
    names = [pb.Name(path=path, base=b"b" * 100), pb.Name(path=b"n"), pb.Name(base=path)]
    events = [pb.Event(time=1, chmod=pb.Chmod(name=name, file=pb.File(inode=1))) for name in names * 2]
    check([event.SerializeToString() for event in events])


def test_an_event_before_the_origin_has_the_other_clock():
    early = pb.Event(time=5, unlink=pb.Unlink(file=pb.File(inode=1)))
    origin = pb.Event(time=6, origin=pb.Origin(realtime_offset=1000))
    check([event.SerializeToString() for event in (early, origin, early)], shift=7)
