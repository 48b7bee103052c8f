/* Generated from protos/interpose/v1. */
#include "fields.h"

static const struct ip_field fields_of_Inner[] = {
    [1] = {IP_KIND_UINT64, 0},
};
static const struct ip_field fields_of_Outer[] = {
    [1] = {IP_KIND_MESSAGE, IP_MESSAGE_INNER},
};
static const struct ip_field fields_of_Event[] = {
    [1] = {IP_KIND_FIXED64, 0},
    [2] = {IP_KIND_UINT32, 0},
    [3] = {IP_KIND_UINT64, 0},
    [4] = {IP_KIND_INT32, 0},
    [5] = {IP_KIND_BOOL, 0},
    [6] = {IP_KIND_INT32, 0},
    [7] = {IP_KIND_STRING, 0},
    [8] = {IP_KIND_BYTES, 0},
    [9] = {IP_KIND_BYTES, 0},
    [10] = {IP_KIND_FIXED64, 0},
    [11] = {IP_KIND_MESSAGE, IP_MESSAGE_INNER},
    [12] = {IP_KIND_MESSAGE, IP_MESSAGE_INNER},
    [16] = {IP_KIND_MESSAGE, IP_MESSAGE_INNER},
    [17] = {IP_KIND_MESSAGE, IP_MESSAGE_OUTER},
};

const struct ip_message ip_messages[] = {
    [IP_MESSAGE_INNER] = {fields_of_Inner, sizeof fields_of_Inner / sizeof *fields_of_Inner},
    [IP_MESSAGE_OUTER] = {fields_of_Outer, sizeof fields_of_Outer / sizeof *fields_of_Outer},
    [IP_MESSAGE_EVENT] = {fields_of_Event, sizeof fields_of_Event / sizeof *fields_of_Event},
};
