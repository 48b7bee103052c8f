/* Generated from protos/interpose/v1: the fields that messages have, for who reads them. */
#ifndef IP_FIELDS_H
#define IP_FIELDS_H

#include "protobuf.h"

enum ip_message_number {
    IP_MESSAGE_INNER,
    IP_MESSAGE_OUTER,
    IP_MESSAGE_EVENT,
};

#define IP_MOST_FIELDS 11 /* of a message, those that are messages left out */

enum ip_field_of_Inner {
    IP_FIELD_INNER_VALUE = 1,
};

enum ip_field_of_Outer {
    IP_FIELD_OUTER_INNER = 1,
};

enum ip_field_of_Event {
    IP_FIELD_EVENT_TIME = 1,
    IP_FIELD_EVENT_SMALL = 2,
    IP_FIELD_EVENT_LARGE = 3,
    IP_FIELD_EVENT_NEGATIVE = 4,
    IP_FIELD_EVENT_FLAG = 5,
    IP_FIELD_EVENT_KIND = 6,
    IP_FIELD_EVENT_TEXT = 7,
    IP_FIELD_EVENT_DATA = 8,
    IP_FIELD_EVENT_LIST = 9,
    IP_FIELD_EVENT_OFFSET = 10,
    IP_FIELD_EVENT_INNER = 11,
    IP_FIELD_EVENT_MANY = 12,
    IP_FIELD_EVENT_FIRST = 16,
    IP_FIELD_EVENT_SECOND = 17,
};

#define IP_SMALLEST_EVENT_EFFECT 16
#define IP_LARGEST_EVENT_EFFECT 17

extern const struct ip_message ip_messages[];

#endif
