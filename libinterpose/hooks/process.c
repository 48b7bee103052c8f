#include "consult.h"
#include "effects.h"
#include "files.h"
#include "io.h"
#include "loads.h"
#include "start.h"

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

void ip_after_kill(const struct ip_call_kill *call)
{
    struct ip_wire_Kill kill = {
        .process = call->process, .thread = (uint32_t)call->thread, .signal = (uint32_t)call->signal};

    IP_EMIT(call, KILL, kill, &kill);
}

void ip_finish(const char *function, int status)
{
    static _Atomic uint32_t finished; /* pid: a forked child ends by itself */
    uint32_t borrower = ip_borrower(), pid = borrower ? borrower : ip_state.pid;
    struct ip_wire_Exit exit = {.status = status};

    if (!ip_recording() || atomic_exchange(&finished, pid) == pid)
        return;
    struct ip_wire_Event event = ip_event(function, 0);
    event.effect = IP_EVENT_EXIT;
    event.exit = &exit;
    ip_loads_refresh();
    ip_consult_finish(function);
    ip_fds_flush(function);
    ip_emit(&event);
}
