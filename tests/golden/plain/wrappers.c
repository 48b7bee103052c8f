/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int creat(const char *path, mode_t mode);
IP_EXPORT int creat(const char *path, mode_t mode)
{
    int (*real)(const char *path, mode_t mode) = (int (*)(const char *path, mode_t mode))IP_REAL(creat);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_open call = {.function = "creat"};
    call.path = path;
    call.flags = O_WRONLY | O_CREAT | O_TRUNC;
    call.mode = mode;
    int result = real(path, mode);
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

