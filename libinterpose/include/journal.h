/* Appending events to the process's journal. */
#ifndef IP_JOURNAL_H
#define IP_JOURNAL_H

#include "state.h"
#include "wire.h"

/* An event of now, by this thread. `error` is an errno. */
struct ip_wire_Event ip_event(const char *function, int error);
/* Appends it, or counts it as lost. */
void ip_append_event(const struct ip_wire_Event *event);
/* The same for the Io of a descriptor whose `record` this thread holds: the record's name takes the holder's place when it is
 * whole, and only then it counts. Returns the name; 0 if there is no record, or nobody waits for it any more. */
uint64_t ip_append_io(const struct ip_wire_Event *event, uint64_t *record);
/* The same without a system call: in the journal that is there. */
void ip_append_quietly(const struct ip_wire_Event *event);
/* Appends it to a journal, as what its owner tells; whether there was room. */
int ip_append_to(struct ip_journal *journal, const struct ip_wire_Event *event);
/* The same, and sends what is due. */
void ip_emit(const struct ip_wire_Event *event);
/* An event of a wrapped call, with one message. */
#define IP_EMIT(call, NUMBER, member, message)                              \
    do {                                                                    \
        struct ip_wire_Event ip_now_event = ip_event((call)->function, (call)->error); \
        ip_now_event.effect = IP_EVENT_##NUMBER;                            \
        ip_now_event.member = (message);                                    \
        ip_emit(&ip_now_event);                                             \
    } while (0)
/* Counts one event, or what a hook would have told, as lost. */
void ip_count_skipped(void);
/* The process's first journal, claimed at need; NULL if there is none to be had. */
struct ip_journal *ip_home(void);
/* The same if it is already there. */
static inline struct ip_journal *ip_home_if_any(void)
{
    return atomic_load_explicit(&ip_state.home, memory_order_acquire);
}
/* Whether it still is the process's: see spool.h. */
static inline int ip_is_ours(const struct ip_journal *journal)
{
    return __atomic_load_n(&journal->owner, __ATOMIC_RELAXED) == atomic_load_explicit(&ip_state.owner, memory_order_relaxed);
}
/* Whether this process, and what it executes, may claim journals. */
int ip_spool_is_in_reach(void);
/* How many journals may be claimed, and the next one of the spool, locked and mapped: its number, or NULL. */
uint64_t ip_spool_free(void);
struct ip_journal *ip_spool_map_next(uint64_t *number);
/* In a forked child: lets go of the parent's journals. */
void ip_journals_drop(void);
/* Lets go of those that are not ours; whether this thread took the home journal away. */
int ip_journals_leave(int same_spool);

/* spool.c */
int ip_spool_open(const char *program); /* maps the control page, or leaves a mark that it could not be for `program`; 0 or -1 */
int ip_spool_reopen(int *same);    /* another page may be mapped there by now: 0 if it serves as the former did, else -1 */
struct ip_journal *ip_spool_claim(enum ip_journal_kind kind, enum ip_wire_Gap_Cause *cause);
void ip_spool_unmap(struct ip_journal *journal);

/* origin.c */
void ip_append_origin(struct ip_journal *journal, enum ip_wire_Origin_Reason reason, uint64_t previous);

#endif
