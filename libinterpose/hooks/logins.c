/* Who is logged in: glibc opens, reads and writes these files by itself. musl's functions do nothing. */
#include "logins.h"

#include "bindings.h"
#include "brief.h"
#include "consult.h"
#include "effects.h"
#include "env.h"
#include "files.h"
#include "io.h"
#include "rewrite.h"
#include "syscall.h"

#define LONGEST 256
#define NOBODY "4294967295"        /* proc_pid_loginuid(5) */

static const char present[] = "/var/run/utmp", past[] = "/var/log/wtmp";
static char chosen[LONGEST] = "/var/run/utmp";

void ip_logins_choose(const char *path)
{
    if (!ip_append(chosen, chosen + LONGEST, path ? path : present))
        chosen[0] = 0; /* too long to be told of */
}

static int exists(const char *path)
{
    return !ip_syscall(__NR_faccessat, AT_FDCWD, (long)path, 0 /* F_OK */, 0, 0, 0);
}

/* The file as glibc takes it: one of the two with an x where that exists, and without where it does not. */
static const char *file_for(const char *path, char buffer[LONGEST])
{
    static const char *const pair[] = {present, past};

    for (size_t i = 0; i < 2; i++) {
        size_t length = sizeof present - 1;
        memcpy(buffer, pair[i], length);
        buffer[length] = 'x';
        buffer[length + 1] = 0;
        if (ip_equal(path, pair[i]) || ip_equal(path, buffer))
            return exists(buffer) ? buffer : pair[i];
    }
    return path;
}
_Static_assert(sizeof present == sizeof past, "one length for both");

static void consult(const char *function, const char *path)
{
    struct ip_call_consult call = {.function = function, .path = path};

    ip_after_consult(&call);
}

void ip_after_logins(const struct ip_call_logins *call)
{
    char buffer[LONGEST];

    if (ip_is_glibc() && chosen[0])
        consult(call->function, file_for(chosen, buffer));
}

static int is_terminal(int fd)
{
    char settings[64];

    return !ip_syscall(__NR_ioctl, fd, 0x5401 /* TCGETS */, (long)settings, 0, 0, 0);
}

/* The kernel's record of who logged in; where that says nobody, and there is a terminal, who is logged in at that. */
void ip_after_login_name(const struct ip_call_login_name *call)
{
    static const char record[] = "/proc/self/loginuid";
    struct ip_call_logins logins = {.function = call->function};
    char text[16];

    if (!ip_is_glibc()) {
        ip_env_asked(call->function, "LOGNAME");
        return;
    }
    consult(call->function, record);
    int fd = ip_brief_open(AT_FDCWD, record, O_RDONLY, 0);
    long size = fd < 0 ? 0 : ip_sys_read(fd, text, sizeof text - 1);
    if (fd >= 0)
        ip_brief_close(fd);
    text[size > 0 ? size : 0] = 0;
    if ((!text[0] || ip_equal(text, NOBODY)) && is_terminal(0))
        ip_after_logins(&logins);
}

void ip_before_login_record(struct ip_call_login_record *call)
{
    char buffer[LONGEST];

    if (call->unsure && ip_file_at(&call->former, AT_FDCWD, file_for(call->file ? call->file : chosen, buffer), 0) < 0)
        call->former.inode = 0;
    call->began = ip_write_begins();
}

void ip_after_login_record(const struct ip_call_login_record *call)
{
    char buffer[LONGEST];
    const char *path = file_for(call->file ? call->file : chosen, buffer);
    struct ip_call_rewrite write = {
        .function = call->function, .error = call->error, .path = path, .bytes = IP_LOGIN_RECORD, .began = call->began};
    struct ip_wire_File now;

    if (!ip_is_glibc() || !path[0])
        return;
    if (call->unsure && (ip_file_at(&now, AT_FDCWD, path, 0) < 0 || now.inode != call->former.inode ||
                         (now.size == call->former.size && now.modified == call->former.modified)))
        return;
    ip_rewritten(&write, O_RDWR);
}
