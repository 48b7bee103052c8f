/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int close(int fd);
IP_EXPORT int close(int fd)
{
    int (*real)(int fd) = (int (*)(int fd))IP_REAL(close);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_close call = {.function = "close"};
    call.fd = fd;
    if (recording)
        IP_HOOK(ip_before_close, &call);
    int result = real(fd);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_close, &call);
        }
    }
    return result;
}

IP_EXPORT int unlink(const char *path);
IP_EXPORT int unlink(const char *path)
{
    int (*real)(const char *path) = (int (*)(const char *path))IP_REAL(unlink);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_unlink call = {.function = "unlink"};
    call.path = path;
    if (recording)
        IP_HOOK(ip_before_unlink, &call);
    int result = real(path);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_unlink, &call);
        }
    }
    return result;
}

