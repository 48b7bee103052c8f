#include "consult.h"
#include "effects.h"
#include "files.h"
#include "io.h"
#include "loads.h"
#include "stack.h"
#include "start.h"
#include "syscall.h"

#define SIGNALS 64

/* As wait(2) encodes it. */
void ip_after_wait(const struct ip_call_wait *call)
{
    struct ip_wire_Wait wait = {.child = (uint32_t)call->child};

    if (call->error || call->child <= 0)
        return;
    if (call->status) {
        int status = *call->status;
        int signal = status & 0x7f;
        if ((status & 0xff) == 0x7f || status == 0xffff)
            return; /* stopped or continued, not ended */
        wait.exit_status = signal ? 0 : status >> 8 & 0xff;
        wait.signal = (uint32_t)signal;
        wait.core_dumped = signal && status & 0x80;
    }
    IP_EMIT(call, WAIT, wait, &wait);
}

static void tell_kill(const struct ip_call_kill *call)
{
    struct ip_wire_Kill kill = {
        .process = call->process, .thread = (uint32_t)call->thread, .signal = (uint32_t)call->signal};

    IP_EMIT(call, KILL, kill, &kill);
}

/* Whether the signal is sent to this process too: what its threads send each other names none, and every group is a negative number.
 * Where it goes to all, the end of the first of them (init) may end this one. */
static int reaches_caller(const struct ip_call_kill *call)
{
    int self = ip_sys_getpid();

    if (call->signal < 1 || call->signal > SIGNALS)
        return 0;
    if (!call->process && call->thread)
        return !ip_syscall(__NR_tgkill, self, call->thread, 0, 0, 0, 0);
    return call->process == self || call->process == 0 || call->process == -1 ||
           call->process == -ip_syscall(__NR_getpgid, 0, 0, 0, 0, 0, 0);
}

/* signal(7): by default it ends a process, nothing else was registered, and this thread takes it at once. */
static int ends_caller(int signal)
{
    enum { KILL = 9, CHLD = 17, CONT = 18, STOP = 19, TTOU = 22, URG = 23, WINCH = 28 };
    struct { /* rt_sigaction(2) */
        uintptr_t function;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action = {0};

    if (signal == KILL)
        return 1;
    if (signal == CHLD || signal == CONT || (signal >= STOP && signal <= TTOU) || signal == URG || signal == WINCH)
        return 0;
    ip_syscall(__NR_rt_sigaction, signal, 0, (long)&action, sizeof action.mask, 0, 0);
    return !action.function && !(ip_stack_blocked() >> (signal - 1) & 1);
}

/* What is told when a process ends. */
static void tell_rest(const char *function)
{
    ip_loads_refresh();
    ip_consult_finish(function);
    ip_fds_flush(function);
}

void ip_before_kill(struct ip_call_kill *call)
{
    call->told = reaches_caller(call);
    if (!call->told)
        return;
    if (ends_caller(call->signal))
        tell_rest(call->function);
    tell_kill(call);
}

void ip_after_kill(const struct ip_call_kill *call)
{
    if (call->error ? call->told || ip_level_is_calls() : !call->told)
        tell_kill(call);
}

struct finish {
    const char *function;
    int status;
};

static void finish(void *memory)
{
    const struct finish *finish = memory;
    struct ip_wire_Exit exit = {.status = finish->status};
    struct ip_wire_Event event = ip_event(finish->function, 0);

    event.effect = IP_EVENT_EXIT;
    event.exit = &exit;
    tell_rest(finish->function);
    ip_emit(&event);
}

void ip_finish(const char *function, int status)
{
    static _Atomic uint32_t finished; /* pid: a forked child ends by itself */

    if (!ip_recording())
        return;
    uint32_t borrower = ip_borrower(), pid = borrower ? borrower : ip_state.pid;
    if (atomic_exchange(&finished, pid) != pid)
        ip_with_stack(finish, &(struct finish){function, status});
}
