/* Inputs that no open tells of: what libc reads inside of itself, the date, randomness. */
#ifndef IP_CONSULT_H
#define IP_CONSULT_H

#include "effects.h"
#include "state.h"

#define IP_CONSULTED_CLOCK 1       /* as Consult.Source */
#define IP_CONSULTED_RANDOM 2
#define IP_CONSULTED_LATER 4       /* the program may have had a file mapped that is looked for when it ends */
#define IP_CONSULTED_ZONE 8        /* the time zone, which may be such a file */

extern _Atomic uint32_t ip_consulted;

void ip_consult(const struct ip_call_consult *call);
/* Once in a process. */
void ip_consult_zone(const char *function);
/* At the program's start: what the loader has read. */
void ip_consult_loader(void);
/* Before the program ends: what its libc has mapped meanwhile. */
void ip_consult_finish(const char *function);
/* Whether a locale of this name comes from files: C and POSIX are built in. */
int ip_is_locale_file(const char *name);

/* The file that sysconf(3) answers from; NULL for those that it knows otherwise. */
const char *ip_sysconf_file(int name);

/* CLOCK_REALTIME, its coarse sister and TAI. */
static inline int ip_tells_the_date(int clock)
{
    return clock == 0 || clock == 5 || clock == 11;
}

static inline void ip_after_consult(const struct ip_call_consult *call)
{
    uint32_t known = atomic_load_explicit(&ip_consulted, memory_order_relaxed);

    if (call->later && !(known & IP_CONSULTED_LATER))
        atomic_fetch_or(&ip_consulted, IP_CONSULTED_LATER);
    if (call->zone && !(known & IP_CONSULTED_ZONE))
        ip_consult_zone(call->function);
    if (call->path || call->file || call->maps || (call->source && !(known & (uint32_t)call->source)))
        ip_consult(call);
}

#endif
