#include "protobuf.h"

#include "fields.h"

enum wire { VARINT = 0, EIGHT_BYTES = 1, BYTES = 2, GROUP = 3, GROUP_END = 4, FOUR_BYTES = 5 };

static bool read_varint(struct ip_span *bytes, int most, uint64_t *value)
{
    uint64_t sum = 0;

    for (int i = 0; i < most && bytes->at < bytes->end; i++) {
        uint8_t byte = *bytes->at++;
        sum |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false;
}

static bool read_any_key(struct ip_span *bytes, uint32_t *key)
{
    uint64_t value;

    if (!read_varint(bytes, 5, &value) || value > UINT32_MAX)
        return false;
    *key = (uint32_t)value;
    return true;
}

bool ip_read_key(struct ip_span *bytes, uint32_t *key)
{
    return read_any_key(bytes, key) && *key >> 3;
}

static bool pass(struct ip_span *bytes, uint64_t size)
{
    if ((uint64_t)(bytes->end - bytes->at) < size)
        return false;
    bytes->at += size;
    return true;
}

bool ip_read_bytes(struct ip_span *bytes, struct ip_span *content)
{
    uint64_t size;

    if (!read_varint(bytes, 5, &size) || size > INT32_MAX)
        return false;
    content->at = bytes->at;
    if (!pass(bytes, size))
        return false;
    content->end = bytes->at;
    return true;
}

static bool pass_field(struct ip_span *bytes, uint32_t key, int nested)
{
    struct ip_span content;
    uint64_t value;
    uint32_t inner;

    switch (key & 7) {
    case VARINT:
        return read_varint(bytes, 10, &value);
    case EIGHT_BYTES:
        return pass(bytes, 8);
    case BYTES:
        return ip_read_bytes(bytes, &content);
    case GROUP:
        while (nested && read_any_key(bytes, &inner)) { /* where nobody minds a field 0 */
            if ((inner & 7) == GROUP_END)
                return inner >> 3 == key >> 3;
            if (!pass_field(bytes, inner, nested - 1))
                return false;
        }
        return false;
    case FOUR_BYTES:
        return pass(bytes, 4);
    }
    return false;
}

/* UTF-8 without surrogates, each character in its shortest form. */
static bool is_text(struct ip_span text)
{
    while (text.at < text.end) {
        uint8_t first = *text.at++;
        if (first < 0x80)
            continue;
        int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        if (first < 0xC2 || first > 0xF4 || text.end - text.at < more)
            return false;
        uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        for (; more--; low = 0x80, high = 0xBF) {
            uint8_t next = *text.at++;
            if (next < low || next > high)
                return false;
        }
    }
    return true;
}

static uint64_t of_kind(uint64_t value, uint32_t kind)
{
    switch (kind) {
    case IP_KIND_BOOL:
        return value != 0;
    case IP_KIND_INT32:
        return (uint64_t)(int64_t)(int32_t)(uint32_t)value;
    case IP_KIND_UINT32:
        return (uint32_t)value;
    }
    return value;
}

static bool read_number(struct ip_span *bytes, uint32_t kind, struct ip_value *value)
{
    uint64_t number;

    if (kind == IP_KIND_FIXED64) {
        if (bytes->end - bytes->at < 8)
            return false;
        __builtin_memcpy(&number, bytes->at, 8);
        bytes->at += 8;
    } else if (!read_varint(bytes, 10, &number)) {
        return false;
    }
    if (value)
        *value = (struct ip_value){of_kind(number, kind), NULL};
    return true;
}

static bool read_content(struct ip_span *bytes, uint32_t kind, struct ip_value *value)
{
    struct ip_span content;

    if (!ip_read_bytes(bytes, &content) || (kind == IP_KIND_STRING && !is_text(content)))
        return false;
    if (value)
        *value = (struct ip_value){(uint64_t)(content.end - content.at), content.at};
    return true;
}

static uint32_t wire_of(uint32_t kind)
{
    return kind >= IP_KIND_BYTES ? BYTES : kind == IP_KIND_FIXED64 ? EIGHT_BYTES : VARINT;
}

bool ip_read_message(struct ip_span bytes, uint32_t message, int nested, struct ip_value *values, ip_place *place,
                     void *context)
{
    const struct ip_message *shape = &ip_messages[message];

    while (bytes.at < bytes.end) {
        struct ip_span content;
        uint32_t key;
        if (!ip_read_key(&bytes, &key))
            return false;
        uint32_t number = key >> 3;
        const struct ip_field *field = number < shape->count ? &shape->fields[number] : NULL;
        bool ok;
        if (!field || field->kind == IP_KIND_UNKNOWN || (key & 7) != wire_of(field->kind)) {
            ok = pass_field(&bytes, key, nested);
        } else if (field->kind == IP_KIND_MESSAGE) {
            struct ip_value *inner = values ? place(context, message, number, field) : NULL;
            ok = nested && ip_read_bytes(&bytes, &content) &&
                 ip_read_message(content, field->message, nested - 1, inner, place, context);
        } else if (field->kind >= IP_KIND_BYTES) {
            ok = read_content(&bytes, field->kind, values ? &values[number] : NULL);
        } else {
            ok = read_number(&bytes, field->kind, values ? &values[number] : NULL);
        }
        if (!ok)
            return false;
    }
    return true;
}
