/* utmpname(3), login(3) and logout(3): which file is meant by who is logged in. */
#include "logins.h"

#include "wrapper.h"

#define UTMPNAME(name)                                                    \
    IP_EXPORT int name(const char *file);                                 \
    IP_EXPORT int name(const char *file)                                  \
    {                                                                     \
        int (*real)(const char *) = (int (*)(const char *))IP_REAL(name); \
        if (!real) {                                                      \
            ip_absent();                                                  \
            return -1;                                                    \
        }                                                                 \
        int result = real(file);                                          \
        if (result == 0)                                                  \
            ip_logins_choose(file);                                       \
        return result;                                                    \
    }

UTMPNAME(utmpname)
UTMPNAME(utmpxname)

/* Before 2.34 glibc's libutil builds both from calls that pass other wrappers. */
static int tells(void)
{
    return ip_recording() && !ip_glibc_is_before(34);
}

IP_EXPORT void login(const struct utmp *entry);
IP_EXPORT void login(const struct utmp *entry)
{
    void (*real)(const struct utmp *) = (void (*)(const struct utmp *))IP_REAL(login);
    struct ip_call_login_record present = {.function = "login", .unsure = 1};
    struct ip_call_login_record past = {.function = "login", .file = "/var/log/wtmp", .unsure = 1};

    if (!real) {
        ip_absent();
        return;
    }
    int told = tells();
    if (told) {
        ip_logins_choose(NULL);
        ip_before_login_record(&present);
        ip_before_login_record(&past);
    }
    real(entry);
    if (told) {
        ip_after_login_record(&present);
        ip_after_login_record(&past);
    }
}

IP_EXPORT int logout(const char *line);
IP_EXPORT int logout(const char *line)
{
    int (*real)(const char *) = (int (*)(const char *))IP_REAL(logout);
    struct ip_call_login_record call = {.function = "logout"};
    struct ip_call_logins searched = {.function = "logout"};

    if (!real) {
        ip_absent();
        return 0;
    }
    int told = tells();
    if (told) {
        ip_logins_choose(NULL);
        ip_before_login_record(&call);
    }
    int result = real(line);
    if (told && result == 1)
        ip_after_login_record(&call);
    else if (told)
        ip_after_logins(&searched);
    return result;
}
