/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT int posix_close(int fd, int flags);
IP_EXPORT int posix_close(int fd, int flags)
{
    int (*real)(int fd, int flags) = (int (*)(int fd, int flags))IP_REAL(posix_close);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_close call = {.function = "posix_close"};
    call.fd = fd;
    if (recording)
        IP_HOOK(ip_before_close, &call);
    int result = real(fd, flags);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_close, &call);
        }
    }
    return result;
}

IP_EXPORT int __open_2(const char *path, int flags);
IP_EXPORT int __open_2(const char *path, int flags)
{
    int (*real)(const char *path, int flags) = (int (*)(const char *path, int flags))IP_REAL(__open_2);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_open call = {.function = "__open_2"};
    call.path = path;
    call.flags = flags;
    call.mode = 0;
    int result = real(path, flags);
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

IP_EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags);
IP_EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
    int (*real)(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags) = (int (*)(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags))IP_REAL(renameat2);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "renameat2"};
    call.result = 0;
    int result = real(from_dir, from, to_dir, to, flags);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

IP_EXPORT int scandir(const char *path, struct dirent ***entries, int (*select)(const struct dirent *), int (*compare)(const struct dirent **, const struct dirent **));
IP_EXPORT int scandir(const char *path, struct dirent ***entries, int (*select)(const struct dirent *), int (*compare)(const struct dirent **, const struct dirent **))
{
    int (*real)(const char *path, struct dirent ***entries, int (*select)(const struct dirent *), int (*compare)(const struct dirent **, const struct dirent **)) = (int (*)(const char *path, struct dirent ***entries, int (*select)(const struct dirent *), int (*compare)(const struct dirent **, const struct dirent **)))IP_REAL(scandir);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "scandir"};
    call.result = 0;
    int result = real(path, entries, select, compare);
    if (recording) {
        if (result == -1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

