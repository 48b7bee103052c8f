#include "brief.h"

#include "state.h"
#include "syscall.h"

/* No program asks for all of these at once of a file, and none does anything to what is read and mapped: by them a descriptor is known as
 * one of ours. */
#define MARK (O_SYNC | FASYNC | O_NONBLOCK)
#define FEW 256                    /* a new descriptor is the lowest that is free, so no more lie between two */

static _Atomic uint64_t begun, ended;

int ip_brief_open(int dir, const char *path, int flags, unsigned int mode)
{
    ip_thread.brief++;
    atomic_fetch_add(&begun, 1);
    int fd = ip_sys_openat(dir, path, flags | MARK | O_CLOEXEC, mode);

    if (fd < 0) {
        atomic_fetch_add(&ended, 1);
        ip_thread.brief--;
    }
    return fd;
}

void ip_brief_close(int fd)
{
    ip_sys_close(fd);
    atomic_fetch_add(&ended, 1);
    ip_thread.brief--;
}

void ip_brief_before_fork(void)
{
    ip_thread.ended_before = atomic_load(&ended);
}

/* The kernel copies the descriptors first and the memory later, so what counts is whether any was open since before the fork. Those of the
 * forking thread itself, which a signal handler is, are still in use. */
void ip_brief_forked(void)
{
    int unseen = 0;

    if (!ip_thread.brief && atomic_load(&begun) != ip_thread.ended_before)
        for (int fd = 0; unseen < FEW; fd++) {
            int flags = ip_sys_fcntl(fd, F_GETFL, 0);
            unseen = flags < 0 ? unseen + 1 : 0;
            if (flags >= 0 && (flags & MARK) == MARK)
                ip_sys_close(fd);
        }
    atomic_store(&ended, atomic_load(&begun) - ip_thread.brief);
}
