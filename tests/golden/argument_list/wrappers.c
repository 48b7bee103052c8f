/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int dprintf(int fd, const char *format, ...);
IP_EXPORT int dprintf(int fd, const char *format, ...)
{
    int (*real)(int fd, const char *format, va_list) = (int (*)(int fd, const char *format, va_list))IP_REAL(vdprintf);
    va_list ip_arguments;
    va_start(ip_arguments, format);
    if (IP_RARE(!real)) {
        va_end(ip_arguments);
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_io call = {.function = "dprintf"};
    call.fd = fd;
    int result = real(fd, format, ip_arguments);
    va_end(ip_arguments);
    if (recording) {
        if (result < 0)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.written = result;
            ip_after_io(&call);
        }
    }
    return result;
}

IP_EXPORT int vdprintf(int fd, const char *format, va_list arguments);
IP_EXPORT int vdprintf(int fd, const char *format, va_list arguments)
{
    int (*real)(int fd, const char *format, va_list arguments) = (int (*)(int fd, const char *format, va_list arguments))IP_REAL(vdprintf);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_io call = {.function = "vdprintf"};
    call.fd = fd;
    int result = real(fd, format, arguments);
    if (recording) {
        if (result < 0)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.written = result;
            ip_after_io(&call);
        }
    }
    return result;
}

