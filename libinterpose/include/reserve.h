/* Journals that a process has claimed and mapped ahead. What it does next may take the spool out of its reach for good: another
 * root, other mounts, another user. It keeps no descriptor for that; a mapping is all that is needed. */
#ifndef IP_RESERVE_H
#define IP_RESERVE_H

#include "spool.h"

#define IP_RESERVE_MOST 16u

/* Shared with the children that are forked later, which take from it, too. */
struct ip_reserve {
    uint32_t next;                 /* atomic; how many are taken */
    uint32_t count;
    struct ip_journal *journals[IP_RESERVE_MOST];
    uint64_t numbers[IP_RESERVE_MOST];
};

/* Claims the process's first journal, and fills the reserve unless it has one. */
void ip_reserve_make(void);
/* The same if another user could not reach the spool. */
void ip_reserve_make_for_others(void);
/* One of it, locked and empty; NULL if there is none. */
struct ip_journal *ip_reserve_take(uint64_t *number);
int ip_reserve_left(void);
/* After a restore from a checkpoint the mappings are over other files, without locks. */
void ip_reserve_forget(void);

#endif
