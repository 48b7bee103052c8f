#include "records.h"

#include "export.h"
#include "spool.h"

#define MORE 0x00808080u /* what a length of four bytes has beside its digits */

/* The whole length of the record with this head; 0 if it is none. */
static uint64_t length_of(const uint8_t *head)
{
    uint32_t word;

    __builtin_memcpy(&word, head + 1, sizeof word);
    uint32_t length = (word & 0x7F) | (word >> 1 & 0x3F80) | (word >> 2 & 0x1FC000) | (word >> 3 & 0xFE00000);
    length += IP_RECORD_HEAD;
    return (word & 0x80808080u) == MORE && length % 8 == 0 ? length : 0;
}

/* The head of an event begins with its tag and goes on with the event's time, or with a blank. */
static int looks_so(const uint8_t *at, const uint8_t *end)
{
    return end - at > IP_RECORD_HEAD && at[0] == IP_TAG_EVENT && (at[1] & at[2] & at[3]) >= 0x80 && at[4] < 0x80 &&
           (at[5] == 0x09 || (end - at > IP_RECORD_HEAD + 1 && at[5] == 0xFA && at[6] == 0x07));
}

EXPORT int ip_scan(struct ip_records *records)
{
    while (records->size - records->at >= IP_RECORD_HEAD) {
        const uint8_t *head = records->data + records->at;
        uint64_t length = length_of(head);

        if (head[0] == 0)
            return IP_END_EMPTY;
        if (!length || length > records->size - records->at ||
            (head[0] != IP_TAG_EVENT && head[0] != IP_TAG_UNFINISHED && head[0] != IP_TAG_SEALED))
            return IP_END_CORRUPT;
        if (records->event_count == IP_MOST_RECORDS || records->unfinished_count == IP_MOST_RECORDS)
            return IP_END_FULL;
        if (head[0] == IP_TAG_EVENT)
            records->events[records->event_count++] = records->at;
        if (head[0] == IP_TAG_UNFINISHED)
            records->unfinished[records->unfinished_count++] = records->at;
        for (const uint8_t *at = head + 8; at < head + length; at += 8)
            records->hidden += looks_so(at, head + length);
        records->at += length;
        if (head[0] == IP_TAG_SEALED)
            return IP_END_SEALED;
    }
    return records->at < records->size ? IP_END_CORRUPT : IP_END_BYTES;
}
