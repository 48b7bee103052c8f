/* dlopen(3): tells what was loaded. dlclose(3): the loader's list loses entries meanwhile. dl_iterate_phdr(3): who asks for it finds this
 * library at its end. */
#include "bindings.h"
#include "elf.h"
#include "loads.h"
#include "memory.h"
#include "wrapper.h"

typedef void *dlopen_function(const char *, int);
typedef void *dlmopen_function(long, const char *, int);

/* An object has the search path of who needs it, too, where that is an old one. */
static int is_any_searched_by_others(void)
{
    const struct ip_object *program = ip_elf_objects();

    for (const struct ip_object *object = program ? program->next : NULL; object; object = object->next)
        if (ip_elf_search(object) & IP_ELF_RPATH)
            return 1;
    return 0;
}

/* glibc looks at who called it: what $ORIGIN is, and where to search for what has no slash. Where nothing of that is in play it finds the
 * same when we have called it. (The namespace is ours too: another has a libc of its own.) */
static int may_come_between(const char *file, uintptr_t caller)
{
    if (!file || !ip_recording())
        return 0;
    if (!ip_is_glibc() || (ip_find(file, '/') && !ip_find(file, '$')))
        return 1;
    const struct ip_object *object = ip_elf_object_at(caller);
    return !ip_find(file, '$') && !is_any_searched_by_others() &&
           !(ip_elf_search(object ? object : ip_elf_objects()) & IP_ELF_OWN_SEARCH);
}

static void *open_and_tell(const char *file, int mode)
{
    void *handle = ((dlopen_function *)IP_REAL(dlopen))(file, mode);

    if (handle)
        ip_loads_tell("dlopen");
    return handle;
}

static void *open_in_and_tell(long space, const char *file, int mode)
{
    void *handle = ((dlmopen_function *)IP_REAL(dlmopen))(space, file, mode);

    if (handle) {
        ip_loads_tell("dlmopen");
        ip_loads_tell_of("dlmopen", handle);
    }
    return handle;
}

static void *absent(void)
{
    ip_absent();
    return NULL;
}

/* What arch/<cpu>/dlopen.S goes on to, in the name of who called it. */
void *ip_dlopen_chosen(const char *file, int mode, uintptr_t caller);
void *ip_dlopen_chosen(const char *file, int mode, uintptr_t caller)
{
    void *real = IP_REAL(dlopen);

    (void)mode;
    if (!real)
        return (void *)absent;
    return may_come_between(file, caller) ? (void *)open_and_tell : real;
}

void *ip_dlmopen_chosen(long space, const char *file, int mode, uintptr_t caller);
void *ip_dlmopen_chosen(long space, const char *file, int mode, uintptr_t caller)
{
    void *real = IP_REAL(dlmopen);

    (void)space, (void)mode;
    if (!real)
        return (void *)absent;
    return may_come_between(file, caller) ? (void *)open_in_and_tell : real;
}

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
