/* Generated from protos/interpose/v1: how messages are encoded. */
#include "wire.h"

size_t ip_wire_size_Inner(const struct ip_wire_Inner *message)
{
    size_t total = 0;
    total += ip_size_varint_signed(8u, message->value);
    return total;
}

void ip_wire_put_Inner(struct ip_writer *writer, const struct ip_wire_Inner *message)
{
    ip_put_varint_signed(writer, 8u, message->value);
}

static void nest_Inner(struct ip_writer *writer, uint32_t tag, const struct ip_wire_Inner *message)
{
    if (!message)
        return;
    ip_put_nested(writer, tag, ip_wire_size_Inner(message));
    ip_wire_put_Inner(writer, message);
}

size_t ip_wire_size_Outer(const struct ip_wire_Outer *message)
{
    size_t total = 0;
    total += message->inner ? ip_size_nested(10u, ip_wire_size_Inner(message->inner)) : 0;
    return total;
}

void ip_wire_put_Outer(struct ip_writer *writer, const struct ip_wire_Outer *message)
{
    nest_Inner(writer, 10u, message->inner);
}

static void nest_Outer(struct ip_writer *writer, uint32_t tag, const struct ip_wire_Outer *message)
{
    if (!message)
        return;
    ip_put_nested(writer, tag, ip_wire_size_Outer(message));
    ip_wire_put_Outer(writer, message);
}

size_t ip_wire_size_Event(const struct ip_wire_Event *message)
{
    size_t total = 0;
    total += ip_size_fixed64(9u, message->time);
    total += ip_size_varint(16u, message->small);
    total += ip_size_varint(24u, message->large);
    total += ip_size_varint_signed(32u, message->negative);
    total += ip_size_varint(40u, message->flag);
    total += ip_size_varint(48u, message->kind);
    total += ip_size_bytes(58u, message->text);
    total += ip_size_bytes(66u, message->data);
    total += ip_size_strings(74u, message->list);
    total += ip_size_fixed64_signed(81u, message->offset);
    total += message->inner ? ip_size_nested(90u, ip_wire_size_Inner(message->inner)) : 0;
    for (size_t i = 0; i < message->many.count; i++)
        total += ip_size_nested(98u, ip_wire_size_Inner(&message->many.items[i]));
    switch (message->effect) {
    case IP_EVENT_FIRST:
        total += message->first ? ip_size_nested(130u, ip_wire_size_Inner(message->first)) : 0;
        break;
    case IP_EVENT_SECOND:
        total += message->second ? ip_size_nested(138u, ip_wire_size_Outer(message->second)) : 0;
        break;
    }
    return total;
}

void ip_wire_put_Event(struct ip_writer *writer, const struct ip_wire_Event *message)
{
    ip_put_fixed64(writer, 9u, message->time);
    ip_put_varint(writer, 16u, message->small);
    ip_put_varint(writer, 24u, message->large);
    ip_put_varint_signed(writer, 32u, message->negative);
    ip_put_varint(writer, 40u, message->flag);
    ip_put_varint(writer, 48u, message->kind);
    ip_put_bytes(writer, 58u, message->text);
    ip_put_bytes(writer, 66u, message->data);
    ip_put_strings(writer, 74u, message->list);
    ip_put_fixed64_signed(writer, 81u, message->offset);
    nest_Inner(writer, 90u, message->inner);
    for (size_t i = 0; i < message->many.count; i++)
        nest_Inner(writer, 98u, &message->many.items[i]);
    switch (message->effect) {
    case IP_EVENT_FIRST:
        nest_Inner(writer, 130u, message->first);
        break;
    case IP_EVENT_SECOND:
        nest_Outer(writer, 138u, message->second);
        break;
    }
}

