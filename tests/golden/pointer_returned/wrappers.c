/* Generated from generator/specs: a wrapper for every function that needs no hand-written body. */
#include "wrapper.h"

IP_EXPORT DIR *opendir(const char *path);
IP_EXPORT DIR *opendir(const char *path)
{
    DIR *(*real)(const char *path) = (DIR *(*)(const char *path))IP_REAL(opendir);
    if (IP_RARE(!real)) {
        ip_absent(); return (DIR *)0;
    }
    int recording = ip_recording();
    struct ip_call_open call = {.function = "opendir"};
    call.path = path;
    call.flags = O_RDONLY | O_DIRECTORY;
    call.mode = 0;
    DIR *result = real(path);
    if (recording) {
        if (!result)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.fd = ip_dirfd(result);
            IP_HOOK(ip_after_open, &call);
        }
    }
    return result;
}

IP_EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
IP_EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    void *(*real)(void *address, size_t length, int protection, int flags, int fd, off_t offset) = (void *(*)(void *address, size_t length, int protection, int flags, int fd, off_t offset))IP_REAL(mmap);
    if (IP_RARE(!real)) {
        ip_absent(); return (void *)0;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "mmap"};
    call.result = 0;
    void *result = real(address, length, protection, flags, fd, offset);
    if (recording) {
        if (result == (void *)-1)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

IP_EXPORT int setfsuid(uid_t user);
IP_EXPORT int setfsuid(uid_t user)
{
    int (*real)(uid_t user) = (int (*)(uid_t user))IP_REAL(setfsuid);
    if (IP_RARE(!real)) {
        ip_absent(); return (int)-1;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "setfsuid"};
    int result = real(user);
    if (recording) {
        if (0)
            call.error = (int)(ip_errno());
        if (!call.error || ip_level_is_calls()) {
            call.result = result;
            IP_HOOK(ip_after_call, &call);
        }
    }
    return result;
}

IP_EXPORT void sync(void);
IP_EXPORT void sync(void)
{
    void (*real)(void) = (void (*)(void))IP_REAL(sync);
    if (IP_RARE(!real)) {
        ip_absent(); return;
    }
    int recording = ip_recording();
    struct ip_call_call call = {.function = "sync"};
    call.result = 0;
    real();
    if (recording) {
        if (!call.error || ip_level_is_calls()) {
            IP_HOOK(ip_after_call, &call);
        }
    }
}

