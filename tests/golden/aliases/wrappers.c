/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int pipe(int *fds);
IP_EXPORT int pipe(int *fds)
{
    int (*real)(int *fds) = (int (*)(int *fds))IP_REAL(pipe);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "pipe"};
    int result = real(fds);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.result = result;
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

IP_EXPORT int __pipe(int *fds);
IP_EXPORT int __pipe(int *fds)
{
    int (*real)(int *fds) = (int (*)(int *fds))IP_REAL(__pipe);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "__pipe"};
    int result = real(fds);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.result = result;
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

