/* Protobuf's wire format, field by field: sizes first, then bytes into space that was claimed for them. */
#ifndef IP_ENCODE_H
#define IP_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "memory.h"

struct ip_bytes {
    const void *data;
    size_t size;
};

/* An argument vector, each item ended by zero. */
struct ip_strings {
    char *const *items;
    size_t count;
};

/* Never writes beyond `end`; `overflow` then says that what was encoded is not what was measured. */
struct ip_writer {
    uint8_t *at, *end;
    int overflow;
};

static inline struct ip_bytes ip_text(const char *text)
{
    return (struct ip_bytes){text, text ? strlen(text) : 0};
}

static inline size_t ip_size_raw(uint64_t value)
{
    size_t bits = 64 - (size_t)__builtin_clzll(value | 1);
    return (bits * 9 + 64) / 64; /* ceil(bits / 7) for 1 to 64 bits */
}

static inline void ip_put_raw(struct ip_writer *writer, uint64_t value)
{
    while (writer->at < writer->end) {
        uint8_t byte = value & 0x7f;
        value >>= 7;
        *writer->at++ = value ? byte | 0x80 : byte;
        if (!value)
            return;
    }
    writer->overflow = 1;
}

static inline void ip_put_data(struct ip_writer *writer, const void *data, size_t size)
{
    if (size > (size_t)(writer->end - writer->at)) {
        writer->overflow = 1;
        return;
    }
    memcpy(writer->at, data, size);
    writer->at += size;
}

static inline size_t ip_size_varint(uint32_t tag, uint64_t value)
{
    return value ? ip_size_raw(tag) + ip_size_raw(value) : 0;
}

static inline void ip_put_varint(struct ip_writer *writer, uint32_t tag, uint64_t value)
{
    if (!value)
        return;
    ip_put_raw(writer, tag);
    ip_put_raw(writer, value);
}

/* int32 and int64: a negative one takes ten bytes. */
static inline size_t ip_size_varint_signed(uint32_t tag, int64_t value)
{
    return ip_size_varint(tag, (uint64_t)value);
}

static inline void ip_put_varint_signed(struct ip_writer *writer, uint32_t tag, int64_t value)
{
    ip_put_varint(writer, tag, (uint64_t)value);
}

static inline size_t ip_size_fixed64(uint32_t tag, uint64_t value)
{
    return value ? ip_size_raw(tag) + 8 : 0;
}

static inline void ip_put_fixed64(struct ip_writer *writer, uint32_t tag, uint64_t value)
{
    if (!value)
        return;
    ip_put_raw(writer, tag);
    ip_put_data(writer, &value, 8); /* all that we run on is little-endian */
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fixed64 and the journal's words are stored as they are");

static inline size_t ip_size_fixed64_signed(uint32_t tag, int64_t value)
{
    return ip_size_fixed64(tag, (uint64_t)value);
}

static inline void ip_put_fixed64_signed(struct ip_writer *writer, uint32_t tag, int64_t value)
{
    ip_put_fixed64(writer, tag, (uint64_t)value);
}

static inline size_t ip_size_nested(uint32_t tag, size_t size)
{
    return ip_size_raw(tag) + ip_size_raw(size) + size;
}

static inline void ip_put_nested(struct ip_writer *writer, uint32_t tag, size_t size)
{
    ip_put_raw(writer, tag);
    ip_put_raw(writer, size);
}

static inline size_t ip_size_bytes(uint32_t tag, struct ip_bytes bytes)
{
    return bytes.size ? ip_size_nested(tag, bytes.size) : 0;
}

static inline void ip_put_bytes(struct ip_writer *writer, uint32_t tag, struct ip_bytes bytes)
{
    if (!bytes.size)
        return;
    ip_put_nested(writer, tag, bytes.size);
    ip_put_data(writer, bytes.data, bytes.size);
}

static inline size_t ip_size_strings(uint32_t tag, struct ip_strings strings)
{
    size_t total = 0;

    for (size_t i = 0; i < strings.count; i++)
        total += ip_size_nested(tag, strlen(strings.items[i]));
    return total;
}

static inline void ip_put_strings(struct ip_writer *writer, uint32_t tag, struct ip_strings strings)
{
    for (size_t i = 0; i < strings.count; i++) {
        size_t size = strlen(strings.items[i]);
        ip_put_nested(writer, tag, size);
        ip_put_data(writer, strings.items[i], size);
    }
}

#endif
