/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int open(const char *path, int flags, ...);
IP_EXPORT int open(const char *path, int flags, ...)
{
    int (*real)(const char *path, int flags, ...) = (int (*)(const char *path, int flags, ...))IP_REAL(open);
    mode_t mode = 0;
    if (ip_open_takes_mode(flags)) {
        va_list ip_arguments;
        va_start(ip_arguments, flags);
        mode = va_arg(ip_arguments, mode_t);
        va_end(ip_arguments);
    }
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_open call = {.function = "open"};
    call.path = path;
    call.flags = flags;
    call.mode = mode;
    int result = real(path, flags, mode);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.fd = result;
            IP_HOOK(ip_after_open, &call);
        }
    }
    return result;
}

