/* What a process forbids itself: seccomp(2), and the time-stamp counter. Once a process is in the former, any system call of ours may be
 * refused, or end the process: so all that is known is told before, and nothing is recorded any more. */
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "clock.h"
#include "consult.h"
#include "io.h"
#include "loads.h"
#include "number.h"

static void enter(const char *function)
{
    struct ip_wire_BlindSpot spot = {.cause = IP_BLINDSPOT_CAUSE_CAUSE_SECCOMP};

    if (!ip_recording())
        return;
    struct ip_wire_Event event = ip_event(function, 0);
    event.effect = IP_EVENT_BLIND_SPOT;
    event.blind_spot = &spot;
    ip_loads_refresh();
    ip_consult_finish(function);
    ip_fds_flush(function);
    ip_emit(&event);
    if (!ip_is_borrower()) /* a vfork child enters alone, and its parent's state is not its own */
        atomic_store(&ip_state.phase, IP_SANDBOXED);
}

/* The library goes without the counter for good, since others may forbid it themselves at the same time. */
static void forbid(unsigned long option, unsigned long mode)
{
    if (option == PR_SET_TSC && mode == PR_TSC_SIGSEGV)
        ip_clock_ask_kernel();
}

/* It was refused. */
static void stay_out(void)
{
    int sandboxed = IP_SANDBOXED;

    atomic_compare_exchange_strong(&ip_state.phase, &sandboxed, IP_ON);
}

IP_EXPORT int prctl(int option, ...);
IP_EXPORT int prctl(int option, ...)
{
    int (*real)(int, ...) = (int (*)(int, ...))IP_REAL(prctl);
    unsigned long argument[4];
    va_list arguments;

    va_start(arguments, option);
    for (int i = 0; i < 4; i++)
        argument[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (!real) {
        ip_absent();
        return -1;
    }
    forbid((unsigned long)option, argument[0]);
    if (option == PR_SET_SECCOMP)
        enter("prctl");
    int result = real(option, argument[0], argument[1], argument[2], argument[3]);
    if (option == PR_SET_SECCOMP && result == -1)
        stay_out();
    return result;
}

IP_NUMBER(prctl)
{
    forbid((unsigned long)a0, (unsigned long)a1);
    if (a0 == PR_SET_SECCOMP)
        enter("syscall");
    long result = real(__NR_prctl, a0, a1, a2, a3, a4, a5);
    if (a0 == PR_SET_SECCOMP && result == -1)
        stay_out();
    return result;
}

IP_NUMBER(seccomp)
{
    int enters = a0 == SECCOMP_SET_MODE_STRICT || a0 == SECCOMP_SET_MODE_FILTER;

    if (enters)
        enter("syscall");
    long result = real(__NR_seccomp, a0, a1, a2, a3, a4, a5);
    if (enters && result == -1)
        stay_out();
    return result;
}
