/* What surrounds syslog(3). */
#include "log.h"

#include "wrapper.h"

IP_EXPORT void openlog(const char *identity, int options, int facility);
IP_EXPORT void openlog(const char *identity, int options, int facility)
{
    void (*real)(const char *, int, int) = (void (*)(const char *, int, int))IP_REAL(openlog);
    struct ip_call_log call = {.function = "openlog", .priority = -1};

    if (!real) {
        ip_absent();
        return;
    }
    int recording = ip_recording();
    if (recording)
        ip_before_log(&call);
    real(identity, options, facility);
    ip_log_options(options);
    if (recording)
        ip_after_log(&call);
}

IP_EXPORT void closelog(void);
IP_EXPORT void closelog(void)
{
    void (*real)(void) = (void (*)(void))IP_REAL(closelog);

    if (!real) {
        ip_absent();
        return;
    }
    if (ip_recording())
        ip_log_closing("closelog");
    real();
}

IP_EXPORT int setlogmask(int mask);
IP_EXPORT int setlogmask(int mask)
{
    int (*real)(int) = (int (*)(int))IP_REAL(setlogmask);

    if (!real) {
        ip_absent();
        return -1;
    }
    int former = real(mask);
    ip_log_mask(mask);
    return former;
}
