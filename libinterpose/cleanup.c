#include "cleanup.h"

#include "wrapper.h"

/* Where the libc has no threads it has no such functions, and nothing is cancelled. */
void ip_cleanup_push(struct ip_cleanup *cleanup, void (*routine)(void *), void *argument)
{
    void (*real)(struct ip_cleanup *, void (*)(void *), void *) =
        (void (*)(struct ip_cleanup *, void (*)(void *), void *))IP_REAL(_pthread_cleanup_push);

    if (real)
        real(cleanup, routine, argument);
}

void ip_cleanup_pop(struct ip_cleanup *cleanup)
{
    void (*real)(struct ip_cleanup *, int) = (void (*)(struct ip_cleanup *, int))IP_REAL(_pthread_cleanup_pop);

    if (real)
        real(cleanup, 0);
}
