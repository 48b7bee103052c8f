/* Calls whose command or range decides what they do. */
#include <asm/ioctls.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "number.h"

static void after_fcntl(const char *function, int fd, int command, int result)
{
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
        struct ip_call_dup call = {.function = function, .from = fd, .fd = result, .onto = -1};
        ip_after_dup(&call);
    } else if (command == F_SETLK || command == F_SETLKW || command == 37 || command == 38 /* F_OFD_SETLK(W) */) {
        struct ip_call_lock call = {.function = function, .fd = fd, .operation = command};
        ip_after_lock(&call);
    }
}

#define FCNTL(name)                                                                    \
    IP_EXPORT int name(int fd, int command, ...);                                      \
    IP_EXPORT int name(int fd, int command, ...)                                       \
    {                                                                                  \
        int (*real)(int, int, ...) = (int (*)(int, int, ...))IP_REAL(name);            \
        va_list arguments;                                                             \
        va_start(arguments, command);                                                  \
        void *argument = va_arg(arguments, void *);                                    \
        va_end(arguments);                                                             \
        if (!real) {                                                                   \
            ip_absent();                                                               \
            return -1;                                                                 \
        }                                                                              \
        int result = real(fd, command, argument);                                      \
        if (result >= 0 && ip_recording())                                             \
            after_fcntl(#name, fd, command, result);                                   \
        return result;                                                                 \
    }

FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)

IP_NUMBER(fcntl)
{
    long result = real(__NR_fcntl, a0, a1, a2, a3, a4, a5);

    if (result >= 0)
        after_fcntl("syscall", (int)a0, (int)a1, (int)result);
    return result;
}

/* FICLONE and FICLONERANGE share the source's blocks: a copy of its content. TIOCGPTPEER opens a terminal's other end. */
static void after_ioctl(const char *function, int fd, unsigned long request, const void *argument, int result)
{
    struct ip_call_transfer call = {.function = function, .to = fd};

    if (request == TIOCGPTPEER) {
        ip_terminal_opened(function, result);
        return;
    }
    if (request == FICLONE) {
        call.from = (int)(long)argument;
    } else if (request == FICLONERANGE) {
        const struct file_clone_range *range = argument;
        call.from = (int)range->src_fd;
        call.bytes = (long)range->src_length;
    } else {
        return;
    }
    ip_after_transfer(&call);
}

IP_EXPORT int ioctl(int fd, unsigned long request, ...);
IP_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))IP_REAL(ioctl);
    va_list arguments;

    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (!real) {
        ip_absent();
        return -1;
    }
    int result = real(fd, request, argument);
    if (result >= 0 && ip_recording())
        after_ioctl("ioctl", fd, request, argument, result);
    return result;
}

IP_NUMBER(ioctl)
{
    long result = real(__NR_ioctl, a0, a1, a2, a3, a4, a5);

    if (result >= 0)
        after_ioctl("syscall", (int)a0, (unsigned int)a1, (const void *)a2, (int)result);
    return result;
}

static void closing(const char *function, unsigned int first, unsigned int last)
{
    unsigned int highest = atomic_load(&ip_state.highest_fd);

    if (!ip_home_if_any() || ip_is_borrower())
        return;
    for (unsigned int fd = first; fd <= last && fd <= highest; fd++)
        ip_fd_closing(function, (int)fd);
}

IP_EXPORT int close_range(unsigned int first, unsigned int last, int flags);
IP_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
    int (*real)(unsigned int, unsigned int, int) = (int (*)(unsigned int, unsigned int, int))IP_REAL(close_range);

    if (!real) {
        ip_absent();
        return -1;
    }
    if (first <= last && !(flags & (int)CLOSE_RANGE_CLOEXEC) && ip_recording())
        closing("close_range", first, last);
    return real(first, last, flags);
}

IP_NUMBER(close_range)
{
    if ((unsigned int)a0 <= (unsigned int)a1 && !(a2 & (long)CLOSE_RANGE_CLOEXEC))
        closing("syscall", (unsigned int)a0, (unsigned int)a1);
    return real(__NR_close_range, a0, a1, a2, a3, a4, a5);
}

IP_EXPORT void closefrom(int first);
IP_EXPORT void closefrom(int first)
{
    void (*real)(int) = (void (*)(int))IP_REAL(closefrom);

    if (!real) {
        ip_absent();
        return;
    }
    if (ip_recording())
        closing("closefrom", first > 0 ? (unsigned int)first : 0, ~0u);
    real(first);
}
