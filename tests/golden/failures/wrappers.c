/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length);
IP_EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int fd, const struct sockaddr *address, socklen_t length) = (int (*)(int fd, const struct sockaddr *address, socklen_t length))IP_REAL(connect);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_connect call = {.function = "connect"};
    call.fd = fd;
    int result = real(fd, address, length);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        {
            IP_HOOK(ip_after_connect, &call);
        }
    }
    return result;
}

