/* dlclose(3): the loader's list loses entries meanwhile. dl_iterate_phdr(3): who asks for it finds this library at its end. */
#include "elf.h"
#include "loads.h"
#include "memory.h"
#include "wrapper.h"

IP_EXPORT int dlclose(void *handle);
IP_EXPORT int dlclose(void *handle)
{
    int (*real)(void *) = (int (*)(void *))IP_REAL(dlclose);

    if (!real) {
        ip_absent();
        return -1;
    }
    int recording = ip_recording();
    if (recording)
        ip_loads_pause();
    int result = real(handle);
    if (recording)
        ip_loads_resume();
    return result;
}

struct phdr_info { /* struct dl_phdr_info; `size` says how much of it the loader has */
    uintptr_t base;
    const char *name;
    const void *headers;
    unsigned short count;
    unsigned long long added, removed;
    size_t tls_module;
    void *tls_data;
};

typedef int phdr_callback(struct phdr_info *, size_t, void *);

struct phdr_walk {
    phdr_callback *callback;
    void *data;
    struct phdr_info ours;
    size_t ours_size;              /* 0: not met yet */
};

static int visit(struct phdr_info *info, size_t size, void *memory)
{
    struct phdr_walk *walk = memory;

    if (info->base != ip_elf_self()->base || size > sizeof walk->ours)
        return walk->callback(info, size, walk->data);
    memcpy(&walk->ours, info, size);
    walk->ours_size = size;
    return 0;
}

/* This library comes last. A sanitizer refuses to work where anything but itself stands behind the program. */
IP_EXPORT int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data);
IP_EXPORT int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
    int (*real)(phdr_callback *, void *) = (int (*)(phdr_callback *, void *))IP_REAL(dl_iterate_phdr);
    struct phdr_walk walk = {.callback = (phdr_callback *)callback, .data = data};

    if (!real)
        return 0;
    if (!ip_elf_self())
        return real(walk.callback, data);
    int result = real(visit, &walk);
    return result || !walk.ours_size ? result : walk.callback(&walk.ours, walk.ours_size, data);
}
