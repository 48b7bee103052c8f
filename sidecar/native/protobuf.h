/* Reading protobuf messages that anybody may have written: what protobuf's own readers refuse is refused, and nothing is
 * read outside of the given bytes. */
#ifndef IP_PROTOBUF_H
#define IP_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ip_kind {
    IP_KIND_UNKNOWN,
    IP_KIND_BOOL,
    IP_KIND_INT32,
    IP_KIND_UINT32,
    IP_KIND_UINT64, /* int64 too */
    IP_KIND_FIXED64,
    IP_KIND_BYTES,
    IP_KIND_STRING,
    IP_KIND_MESSAGE,
};

struct ip_field {
    uint8_t kind;
    uint8_t message; /* of IP_KIND_MESSAGE: which */
};

struct ip_message {
    const struct ip_field *fields; /* by number */
    uint32_t count;
};

/* A field that is no message: its number, sign-extended to 64 bits; or its bytes, and how many. */
struct ip_value {
    uint64_t number;
    const uint8_t *bytes;
};

struct ip_span {
    const uint8_t *at, *end;
};

#define IP_MOST_NESTED 100 /* messages within messages */

/* Says where the fields of the message go that stands in this field of `message`: to an array with room for every number, or
 * NULL for nowhere. */
typedef struct ip_value *ip_place(void *context, uint32_t message, uint32_t number, const struct ip_field *field);

/* Reads a whole message, `nested` levels of others within it at most. Fields that stand there go to `values`, by number, the
 * last of each; the others stay as they are. False if the bytes are no such message. */
bool ip_read_message(struct ip_span bytes, uint32_t message, int nested, struct ip_value *values, ip_place *place,
                     void *context);
/* Reads a field's key; false if there is none. */
bool ip_read_key(struct ip_span *bytes, uint32_t *key);
/* Reads the size of what follows, and moves past it; false if it does not stand there to its end. */
bool ip_read_bytes(struct ip_span *bytes, struct ip_span *content);

#endif
