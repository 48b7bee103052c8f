/* utmpname(3) names the file of who is logged in. */
#include "logins.h"

#include "files.h"
#include "memory.h"
#include "syscall.h"
#include "wrapper.h"

#define LONGEST 256

static char chosen[LONGEST] = "/var/run/utmp";

const char *ip_with_x(const char *path)
{
    static char with_x[LONGEST];

    if (!ip_equal(path, "/var/run/utmp") && !ip_equal(path, "/var/log/wtmp"))
        return path;
    ip_append(ip_append(with_x, with_x + LONGEST, path), with_x + LONGEST, "x");
    return ip_syscall(__NR_faccessat, AT_FDCWD, (long)with_x, 0 /* F_OK */, 0, 0, 0) ? path : with_x;
}

const char *ip_logins_file(void)
{
    return ip_is_glibc() ? ip_with_x(chosen) : NULL;
}

int ip_can_write_logins(const char *path)
{
    return ip_is_glibc() && !ip_syscall(__NR_faccessat, AT_FDCWD, (long)ip_with_x(path), 2 /* W_OK */, 0, 0, 0);
}

#define UTMPNAME(name)                                                                      \
    IP_EXPORT int name(const char *file);                                                   \
    IP_EXPORT int name(const char *file)                                                    \
    {                                                                                       \
        int (*real)(const char *) = (int (*)(const char *))IP_REAL(name);                   \
        if (!real) {                                                                        \
            ip_absent();                                                                    \
            return -1;                                                                      \
        }                                                                                   \
        int result = real(file);                                                            \
        if (result == 0 && file && !ip_append(chosen, chosen + LONGEST, file))              \
            chosen[0] = 0; /* too long to be told of */                                     \
        return result;                                                                      \
    }

UTMPNAME(utmpname)
UTMPNAME(utmpxname)
