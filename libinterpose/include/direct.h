/* System call instructions in an object's own code: what they do passes no wrapper. */
#ifndef IP_DIRECT_H
#define IP_DIRECT_H

#include <stdint.h>

/* How many there are, by what their numbers mean. */
struct ip_direct {
    uint32_t rings;                /* io_uring's */
    uint32_t told;                 /* those of which this library would tell */
    uint32_t others;               /* they concern nobody but the thread or its memory, as a lock's */
    uint32_t unknown;              /* known only when the call is made */
};

/* Counts those in the code from `first` up to `last`, which can be read. */
void ip_direct_in(const uint8_t *first, const uint8_t *last, struct ip_direct *found);
/* Adds one of this number, of which a negative one is not known. */
void ip_direct_count(struct ip_direct *found, long number);

#endif
