/* openpty(3) and login_tty(3): several descriptors in one call. Until 2.34 glibc's are in a library of their own, and work by calls
 * that pass other wrappers. */
#include "files.h"
#include "wrapper.h"

void ip_terminal_opened(const char *function, int fd)
{
    char path[IP_BASE_MAX + 1];
    struct ip_bytes known = ip_name_of_fd(fd, path).path;
    struct ip_call_open call = {.function = function, .fd = fd, .dir = AT_FDCWD, .flags = O_RDWR};

    if (known.size) {
        path[known.size] = 0;
        call.path = path;
    }
    IP_HOOK(ip_after_open, &call);
}

typedef int open_function(int *, int *, char *, const struct termios *, const struct winsize *);

IP_EXPORT int openpty(int *terminal, int *slave, char *name, const struct termios *settings, const struct winsize *size);
IP_EXPORT int openpty(int *terminal, int *slave, char *name, const struct termios *settings, const struct winsize *size)
{
    open_function *real = (open_function *)IP_REAL(openpty);

    if (!real) {
        ip_absent();
        return -1;
    }
    int result = real(terminal, slave, name, settings, size);
    if (result == 0 && !ip_glibc_is_before(34) && ip_recording()) {
        ip_terminal_opened("openpty", *terminal);
        ip_terminal_opened("openpty", *slave);
    }
    return result;
}

IP_EXPORT int login_tty(int fd);
IP_EXPORT int login_tty(int fd)
{
    int (*real)(int) = (int (*)(int))IP_REAL(login_tty);

    if (!real) {
        ip_absent();
        return -1;
    }
    if (ip_glibc_is_before(34) || !ip_recording())
        return real(fd);
    for (int standard = 0; standard <= 2; standard++)
        if (standard != fd)
            ip_fd_closing("login_tty", standard);
    if (fd > 2)
        ip_fd_closing("login_tty", fd);
    int result = real(fd);
    for (int standard = 0; result == 0 && standard <= 2; standard++) {
        struct ip_call_dup call = {.function = "login_tty", .from = fd, .fd = standard, .onto = -1};
        ip_after_dup(&call);
    }
    return result;
}
