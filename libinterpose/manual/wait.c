/* waitid(2): the child's end is in the siginfo, whose layout is the kernel's. */
#include <linux/wait.h>

#include "number.h"

struct child_info { /* siginfo_t of a SIGCHLD */
    int signal, error, code, unused;
    int pid;
    unsigned int user;
    int status;
};

enum { EXITED = 1, KILLED = 2, DUMPED = 3 };

static void after_waitid(const char *function, const struct child_info *child, int options)
{
    /* WNOWAIT leaves the child to be waited for again. */
    if (!child || !child->pid || options & WNOWAIT || child->code < EXITED || child->code > DUMPED)
        return;
    int status = child->code == EXITED ? (child->status & 0xff) << 8 : child->status | (child->code == DUMPED ? 0x80 : 0);
    struct ip_call_wait call = {.function = function, .child = child->pid, .status = &status};
    ip_after_wait(&call);
}

IP_EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options);
IP_EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    int (*real)(idtype_t, id_t, siginfo_t *, int) = (int (*)(idtype_t, id_t, siginfo_t *, int))IP_REAL(waitid);

    if (!real) {
        ip_absent();
        return -1;
    }
    int result = real(type, id, info, options);
    if (result == 0 && ip_recording())
        after_waitid("waitid", (const struct child_info *)info, options);
    return result;
}

IP_NUMBER(waitid)
{
    long result = real(__NR_waitid, a0, a1, a2, a3, a4, a5);

    if (result == 0)
        after_waitid("syscall", (const struct child_info *)a2, (int)a3);
    return result;
}
