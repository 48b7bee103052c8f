/* The records of a journal, as libinterpose/include/spool.h describes them. */
#ifndef IP_RECORDS_H
#define IP_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#define IP_MOST_RECORDS 8192

enum ip_end {
    IP_END_BYTES,   /* between two records */
    IP_END_EMPTY,   /* no record has been begun here */
    IP_END_SEALED,  /* the owner went on in another journal */
    IP_END_CORRUPT, /* what stands here is no record, or one that does not end within the bytes */
    IP_END_FULL,    /* of room: take the places, and go on */
};

/* The memory is the caller's; interpose.sidecar.journal knows the layout. */
struct ip_records {
    const uint8_t *data;
    uint64_t size;
    uint64_t at; /* where the next record begins */
    /* Event heads within records where none begins: one of them may have swallowed others. */
    uint64_t hidden;
    uint64_t event_count, unfinished_count; /* the caller sets them to zero when it has taken the places */
    uint64_t events[IP_MOST_RECORDS];       /* where in `data` they stand */
    uint64_t unfinished[IP_MOST_RECORDS];
};

/* Goes through the records from `at` on, and says why it stopped. */
int ip_scan(struct ip_records *records);

#endif
