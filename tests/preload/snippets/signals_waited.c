/* Signals taken without a handler.
 *
 * events:
 *   kill raise signal=10
 *   signal sigwait signal=10
 *   kill raise signal=12
 *   [glibc] signal sigwaitinfo signal=12 sender=*
 *   [musl] signal sigwaitinfo signal=12 code=-6 sender=*
 *   kill raise signal=10
 *   signal sigtimedwait signal=10
 */
#include "harness.h"

TOPIC(signals_waited)
{
    sigset_t set;
    siginfo_t info;
    int number = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    SAY(sigwait(&set, &number));
    SAY(number);
    raise(SIGUSR2);
    SAY(sigwaitinfo(&set, &info));
    SAY(info.si_code);
    raise(SIGUSR1);
    SAY(sigtimedwait(&set, NULL, &(struct timespec){1, 0}));
    SAY(sigtimedwait(&set, NULL, &(struct timespec){0, 0}));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
