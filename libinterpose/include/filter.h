/* What a seccomp filter makes of the library's own system calls. */
#ifndef IP_FILTER_H
#define IP_FILTER_H

#include <stdint.h>

#include "own_calls.h"
#include "state.h"

/* A bit for each of enum ip_own_call. */
_Static_assert(IP_OWN_CALLS <= 64, "a set of calls is one word");
#define IP_OWN_CALL(name) (UINT64_C(1) << IP_OWN_##name)

struct ip_filter_verdict {
    uint64_t refused;              /* calls that it does not surely let pass */
    int harmless;                  /* it lets pass all that are needed, and ends nobody for the others */
};

/* Whether these are let pass by the filters that the program has installed. */
static inline int ip_may(uint64_t calls)
{
    if (ip_thread.sandboxed)
        return !(ip_thread.refused & calls);
    return atomic_load_explicit(&ip_state.phase, memory_order_relaxed) != IP_SANDBOXED || !(atomic_load(&ip_state.refused) & calls);
}

/* Of a struct sock_fprog, wherever it points. */
struct ip_filter_verdict ip_filter_judge(const void *program);

#endif
