/* Generated from protos/interpose/v1: messages as structs, and their encoders. */
#ifndef IP_WIRE_H
#define IP_WIRE_H

#include "encode.h"

enum ip_wire_Event_Kind {
    IP_EVENT_KIND_KIND_UNSPECIFIED = 0,
    IP_EVENT_KIND_KIND_OTHER = 1,
};

struct ip_wire_Inner {
    int64_t value;
};
struct ip_wire_Inner_list {
    const struct ip_wire_Inner *items;
    size_t count;
};
size_t ip_wire_size_Inner(const struct ip_wire_Inner *message);
void ip_wire_put_Inner(struct ip_writer *writer, const struct ip_wire_Inner *message);

struct ip_wire_Outer {
    const struct ip_wire_Inner *inner;
};
struct ip_wire_Outer_list {
    const struct ip_wire_Outer *items;
    size_t count;
};
size_t ip_wire_size_Outer(const struct ip_wire_Outer *message);
void ip_wire_put_Outer(struct ip_writer *writer, const struct ip_wire_Outer *message);

enum ip_wire_Event_effect {
    IP_EVENT_FIRST = 16,
    IP_EVENT_SECOND = 17,
};

struct ip_wire_Event {
    uint64_t time;
    uint32_t small;
    uint64_t large;
    int32_t negative;
    uint32_t flag;
    uint32_t kind;
    struct ip_bytes text;
    struct ip_bytes data;
    struct ip_strings list;
    int64_t offset;
    const struct ip_wire_Inner *inner;
    struct ip_wire_Inner_list many;
    enum ip_wire_Event_effect effect;
    union {
        const struct ip_wire_Inner *first;
        const struct ip_wire_Outer *second;
    };
};
struct ip_wire_Event_list {
    const struct ip_wire_Event *items;
    size_t count;
};
size_t ip_wire_size_Event(const struct ip_wire_Event *message);
void ip_wire_put_Event(struct ip_writer *writer, const struct ip_wire_Event *message);

#endif
