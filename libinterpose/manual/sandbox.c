/* What a process forbids itself: seccomp(2), and the time-stamp counter. A filter that lets the library's system calls pass changes nothing
 * for it. Under any other, each of them may be refused, or end the process: so all that is known is told before, nothing is recorded any
 * more, and what the process executes is not captured, for it inherits the filter. */
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "clock.h"
#include "consult.h"
#include "exec.h"
#include "filter.h"
#include "io.h"
#include "loads.h"
#include "number.h"

/* What was before, should the kernel refuse the filter. */
struct before {
    int entered;
    uint64_t refused;
};

static void tell(const char *function, enum ip_wire_BlindSpot_Cause cause)
{
    struct ip_wire_BlindSpot spot = {.cause = cause};
    struct ip_wire_Event event = ip_event(function, 0);
    event.effect = IP_EVENT_BLIND_SPOT;
    event.blind_spot = &spot;
    ip_loads_refresh();
    ip_consult_finish(function);
    ip_fds_flush(function);
    ip_emit(&event);
}

/* One more filter, in the sandbox: what it refuses, too, is not asked for any more. */
static struct before go_deeper(struct ip_filter_verdict verdict)
{
    ip_state.dispatched = 0; /* it is not the only reason any more */
    if (!ip_thread.sandboxed)
        return (struct before){.refused = atomic_fetch_or(&ip_state.refused, verdict.refused)};
    struct before before = {.refused = ip_thread.refused};
    ip_thread.refused |= verdict.refused;
    return before;
}

static struct before enter_for(const char *function, struct ip_filter_verdict verdict, enum ip_wire_BlindSpot_Cause cause)
{
    int on = IP_ON;

    if (ip_exec_is_sandboxed())
        return go_deeper(verdict);
    if (!ip_recording())
        return (struct before){0};
    if (verdict.harmless)
        return (struct before){.refused = atomic_fetch_or(&ip_state.refused, verdict.refused)};
    tell(function, cause);
    if (ip_thread.borrower) { /* a vfork child enters alone, and its parent's state is not its own */
        ip_thread.sandboxed = 1;
        ip_thread.refused = verdict.refused | atomic_load(&ip_state.refused);
        atomic_compare_exchange_strong(&ip_state.phase, &on, IP_PARTLY);
        return (struct before){.entered = 1};
    }
    uint64_t refused = atomic_fetch_or(&ip_state.refused, verdict.refused);
    atomic_store(&ip_state.phase, IP_SANDBOXED);
    return (struct before){1, refused};
}

static struct before enter(const char *function, struct ip_filter_verdict verdict)
{
    return enter_for(function, verdict, IP_BLINDSPOT_CAUSE_CAUSE_SECCOMP);
}

/* The library goes without the counter for good, since others may forbid it themselves at the same time. */
static void forbid(unsigned long option, unsigned long mode)
{
    if (option == PR_SET_TSC && mode == PR_TSC_SIGSEGV)
        ip_clock_ask_kernel();
}

static void stay_out(struct before before)
{
    int sandboxed = IP_SANDBOXED;

    if (ip_thread.borrower) {
        ip_thread.sandboxed = ip_thread.sandboxed && !before.entered;
        ip_thread.refused = before.refused;
        return;
    }
    atomic_store(&ip_state.refused, before.refused);
    if (before.entered)
        atomic_compare_exchange_strong(&ip_state.phase, &sandboxed, IP_ON);
}

/* Looking at a filter takes these. */
#define JUDGING_CALLS (IP_OWN_CALL(rt_sigprocmask) | IP_OWN_CALL(mmap) | IP_OWN_CALL(munmap))

static struct ip_filter_verdict judge(int is_filter, const void *program)
{
    return is_filter && ip_may(JUDGING_CALLS) ? ip_filter_judge(program) : (struct ip_filter_verdict){.refused = ~UINT64_C(0)};
}

#define SYSCALL_USER_DISPATCH 59   /* PR_SET_SYSCALL_USER_DISPATCH, which old headers do not have */
enum { DISPATCH_OFF = 0, DISPATCH_EXCEPT = 1, DISPATCH_WITHIN = 2 };

/* System calls from all code but some, or from some, become signals for the program, as those of Windows do in wine: it would take ours for
 * its own. One thread asks for that, and its children and what it executes have it no more. */
static struct before dispatched;

static int is_about_us(unsigned long mode, unsigned long first, unsigned long size)
{
    uintptr_t here = (uintptr_t)is_about_us;
    int inside = here - first < size;

    return (mode == DISPATCH_EXCEPT && !inside) || (mode == DISPATCH_WITHIN && inside);
}

static void before_dispatch(const char *function, unsigned long mode, unsigned long first, unsigned long size)
{
    if (!is_about_us(mode, first, size) || ip_exec_is_sandboxed())
        return;
    dispatched = enter_for(function, (struct ip_filter_verdict){.refused = ~UINT64_C(0)}, IP_BLINDSPOT_CAUSE_CAUSE_SYSCALL_DISPATCH);
    ip_state.dispatched = dispatched.entered;
}

static void after_dispatch(unsigned long mode, long result)
{
    if (!ip_state.dispatched || (mode != DISPATCH_OFF && result != -1))
        return;
    ip_state.dispatched = 0;
    stay_out(dispatched);
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
    if (option == SYSCALL_USER_DISPATCH) {
        before_dispatch("prctl", argument[0], argument[1], argument[2]);
        int result = real(option, argument[0], argument[1], argument[2], argument[3]);
        after_dispatch(argument[0], result);
        return result;
    }
    if (option != PR_SET_SECCOMP || !(ip_exec_is_sandboxed() || ip_recording()))
        return real(option, argument[0], argument[1], argument[2], argument[3]);
    struct before before = enter("prctl", judge(argument[0] == SECCOMP_MODE_FILTER, (const void *)argument[1]));
    int result = real(option, argument[0], argument[1], argument[2], argument[3]);
    if (result == -1)
        stay_out(before);
    return result;
}

IP_NUMBER(prctl)
{
    forbid((unsigned long)a0, (unsigned long)a1);
    if (a0 == SYSCALL_USER_DISPATCH) {
        before_dispatch("syscall", (unsigned long)a1, (unsigned long)a2, (unsigned long)a3);
        long result = real(__NR_prctl, a0, a1, a2, a3, a4, a5);
        after_dispatch((unsigned long)a1, result);
        return result;
    }
    if (a0 != PR_SET_SECCOMP)
        return real(__NR_prctl, a0, a1, a2, a3, a4, a5);
    struct before before = enter("syscall", judge(a1 == SECCOMP_MODE_FILTER, (const void *)a2));
    long result = real(__NR_prctl, a0, a1, a2, a3, a4, a5);
    if (result == -1)
        stay_out(before);
    return result;
}

IP_NUMBER(seccomp)
{
    if (a0 != SECCOMP_SET_MODE_STRICT && a0 != SECCOMP_SET_MODE_FILTER)
        return real(__NR_seccomp, a0, a1, a2, a3, a4, a5);
    struct before before = enter("syscall", judge(a0 == SECCOMP_SET_MODE_FILTER, (const void *)a2));
    long result = real(__NR_seccomp, a0, a1, a2, a3, a4, a5);
    if (result == -1)
        stay_out(before);
    return result;
}
