/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int posix_fallocate(int fd, off_t offset, off_t length);
IP_EXPORT int posix_fallocate(int fd, off_t offset, off_t length)
{
    int (*real)(int fd, off_t offset, off_t length) = (int (*)(int fd, off_t offset, off_t length))IP_REAL(posix_fallocate);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)IP_ENOSYS;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "posix_fallocate"};
    int result = real(fd, offset, length);
    if (recording) {
        if (result != 0)
            call.error = (int)(result);
        if (!call.error || ip_level_is_calls()) {
            call.result = result;
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

