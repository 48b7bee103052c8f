"""Compiled protos -> the messages that the C encoders are generated from."""

from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

__all__ = ["WireEnum", "WireField", "WireMessage", "WireModel", "build_wire"]

_F = FieldDescriptorProto
_SCALARS = {
    _F.TYPE_UINT32: ("uint32_t", "varint"),
    _F.TYPE_UINT64: ("uint64_t", "varint"),
    _F.TYPE_INT32: ("int32_t", "varint_signed"),
    _F.TYPE_INT64: ("int64_t", "varint_signed"),
    _F.TYPE_BOOL: ("uint32_t", "varint"),
    _F.TYPE_ENUM: ("uint32_t", "varint"),
    _F.TYPE_FIXED64: ("uint64_t", "fixed64"),
    _F.TYPE_SFIXED64: ("int64_t", "fixed64_signed"),
    _F.TYPE_BYTES: ("struct ip_bytes", "bytes"),
    _F.TYPE_STRING: ("struct ip_bytes", "bytes"),
}
_KINDS = {
    _F.TYPE_UINT32: "uint32",
    _F.TYPE_UINT64: "uint64",
    _F.TYPE_INT32: "int32",
    _F.TYPE_INT64: "uint64",
    _F.TYPE_BOOL: "bool",
    _F.TYPE_ENUM: "int32",
    _F.TYPE_FIXED64: "fixed64",
    _F.TYPE_SFIXED64: "fixed64",
    _F.TYPE_BYTES: "bytes",
    _F.TYPE_STRING: "string",
    _F.TYPE_MESSAGE: "message",
}
_WIRE_TYPES = {"fixed64": 1, "fixed64_signed": 1, "bytes": 2, "strings": 2, "message": 2, "messages": 2}


@dataclass(frozen=True)
class WireField:
    """A field.

    `coding` names the pair of functions ip_size_<coding> and ip_put_<coding> of libinterpose/include/encode.h, `kind`
    the IP_KIND_<kind> of sidecar/native/protobuf.h.
    """

    name: str
    number: int
    type: str
    coding: str
    kind: str
    message: str = ""

    @property
    def tag(self) -> int:
        """The field's key on the wire."""
        return self.number << 3 | _WIRE_TYPES.get(self.coding, 0)


@dataclass(frozen=True)
class WireMessage:
    """A message; the members of its oneof, if it has one, are in `choices` and not in `fields`."""

    name: str
    fields: tuple[WireField, ...]
    choice: str
    choices: tuple[WireField, ...]
    nested: bool
    """Whether another message holds it."""


@dataclass(frozen=True)
class WireEnum:
    """An enum: C names with their values."""

    name: str
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class WireModel:
    """All messages, each after those that it contains."""

    messages: tuple[WireMessage, ...]
    enums: tuple[WireEnum, ...]

    @property
    def most_fields(self) -> int:
        """More than the largest number of a field that is no message."""
        numbers = (
            field.number for message in self.messages for field in message.fields + message.choices if not field.message
        )
        return max(numbers, default=0) + 1


def build_wire(files: FileDescriptorSet) -> WireModel:
    """The wire model of every message in `files`."""
    descriptors = {message.name: message for file in files.file for message in file.message_type}
    ordered: dict[str, WireMessage] = {}

    contained = _contained(descriptors, "Event")

    def add(name: str) -> None:
        if name in ordered:
            return
        message = _message(descriptors[name], nested=name in contained)
        for member in (*message.fields, *message.choices):
            if member.message:
                add(member.message)
        ordered[name] = message

    for name in descriptors:
        if name == "Event" or name in contained:
            add(name)
    enums = tuple(
        WireEnum(f"{message.name}_{enum.name}", tuple((value.name, value.number) for value in enum.value))
        for message in descriptors.values()
        for enum in message.enum_type
    )
    return WireModel(tuple(ordered.values()), enums)


def _contained(descriptors: dict[str, DescriptorProto], name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for member in descriptors[waiting.pop()].field:
            if member.type == _F.TYPE_MESSAGE:
                child = member.type_name.rsplit(".", 1)[1]
                if child not in found:
                    found.add(child)
                    waiting.append(child)
    return found


def _message(descriptor: DescriptorProto, *, nested: bool) -> WireMessage:
    fields = [(member, _field(member)) for member in sorted(descriptor.field, key=lambda member: member.number)]
    return WireMessage(
        name=descriptor.name,
        fields=tuple(field for member, field in fields if not member.HasField("oneof_index")),
        choice=descriptor.oneof_decl[0].name if descriptor.oneof_decl else "",
        choices=tuple(field for member, field in fields if member.HasField("oneof_index")),
        nested=nested,
    )


def _field(member: FieldDescriptorProto) -> WireField:
    kind, repeated = _KINDS[member.type], member.label == _F.LABEL_REPEATED
    message = member.type_name.rsplit(".", 1)[1] if member.type == _F.TYPE_MESSAGE else ""
    if message and repeated:
        type_, coding = f"struct ip_wire_{message}_list", "messages"
    elif message:
        type_, coding = f"const struct ip_wire_{message} *", "message"
    elif repeated:
        type_, coding = "struct ip_strings", "strings"
    else:
        type_, coding = _SCALARS[member.type]
    return WireField(member.name, member.number, type_, coding, kind, message)
