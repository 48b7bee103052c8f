#include "consult.h"
#include "effects.h"
#include "journal.h"
#include "reserve.h"
#include "syscall.h"

void ip_before_setid(struct ip_call_setid *call)
{
    (void)call;
    ip_reserve_make_for_others();
}

void ip_after_setid(const struct ip_call_setid *call)
{
    struct ip_wire_SetId set_id = {
        .user = (uint32_t)ip_syscall(__NR_getuid, 0, 0, 0, 0, 0, 0),
        .effective_user = (uint32_t)ip_syscall(__NR_geteuid, 0, 0, 0, 0, 0, 0),
        .group = (uint32_t)ip_syscall(__NR_getgid, 0, 0, 0, 0, 0, 0),
        .effective_group = (uint32_t)ip_syscall(__NR_getegid, 0, 0, 0, 0, 0, 0),
    };

    IP_EMIT(call, SET_ID, set_id, &set_id);
}

void ip_after_groups(const struct ip_call_groups *call)
{
    struct ip_call_consult limit = {.function = call->function, .path = ip_sysconf_file(3 /* _SC_NGROUPS_MAX */)};
    struct ip_call_consult list = {.function = call->function, .file = "/etc/group"};
    struct ip_call_call done = {.function = call->function, .error = call->error, .result = call->result, .fd = -1};

    ip_consult(&list);
    ip_consult(&limit);
    ip_after_call(&done);
}

void ip_after_limit(const struct ip_call_limit *call)
{
    uint64_t limit[2] = {0, 0};
    struct ip_wire_Limit message = {.resource = (uint32_t)call->resource};

    if (!ip_syscall(__NR_prlimit64, 0, call->resource, 0, (long)limit, 0, 0)) {
        message.soft = limit[0];
        message.hard = limit[1];
    }
    IP_EMIT(call, LIMIT, limit, &message);
}
