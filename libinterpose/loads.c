/* The loader opens libraries past every wrapper: its own lists say what came. They are looked at when a dlopen returns, and before what
 * depends on it, as not every dlopen passes us. Who was told of is kept by the address of its dynamic section. */
#include "loads.h"

#include "bindings.h"
#include "elf.h"
#include "env.h"
#include "files.h"
#include "journal.h"
#include "maps.h"
#include "memory.h"
#include "stack.h"
#include "syscall.h"
#include "unseen.h"

#define PLACES 8192
#define PROBES 64                  /* what finds no place is told of again when others come */

typedef _Atomic(const void *) told_table[PLACES];

static told_table tables[2];
static _Atomic unsigned int table; /* which of them is in use */
static _Atomic uint32_t known;     /* how many objects there were, and the last of them: then there is nothing new */
static _Atomic(const void *) known_last;
static _Atomic uint32_t pauses;

static unsigned int place_of(const void *dynamic)
{
    return (unsigned int)(((uintptr_t)dynamic >> 4) * 0x9E3779B97F4A7C15u >> 32);
}

static int is_in(told_table *in, const void *dynamic)
{
    unsigned int place = place_of(dynamic);

    for (unsigned int i = 0; i < PROBES; i++)
        if (atomic_load(&(*in)[(place + i) % PLACES]) == dynamic)
            return 1;
    return 0;
}

/* Returns whether it was not there before. */
static int put(told_table *in, const void *dynamic)
{
    unsigned int place = place_of(dynamic);

    for (unsigned int i = 0; i < PROBES; i++) {
        const void *none = NULL;
        if (atomic_compare_exchange_strong(&(*in)[(place + i) % PLACES], &none, dynamic))
            return 1;
        if (none == dynamic)
            return 0;
    }
    return 1;
}

/* What the mapping at an address is of. */
struct mapping {
    uintptr_t address;
    uint64_t device, inode;
    int deleted;
    char path[IP_BASE_MAX];        /* as the kernel knows it; empty if it is too long */
};

static char *number(char *at, unsigned int base, uint64_t *value)
{
    for (*value = 0;; at++) {
        unsigned int digit = *at >= '0' && *at <= '9' ? (unsigned int)(*at - '0') : *at >= 'a' && *at <= 'f' ? (unsigned int)(*at - 'a') + 10 : 99;
        if (digit >= base)
            return at;
        *value = *value * base + digit;
    }
}

/* 7f0-7f1 r-xp 00000000 08:01 1234   /path, or /path (deleted). */
static int find_mapping(void *memory, char *line)
{
    static const char deleted[] = " (deleted)";
    struct mapping *mapping = memory;
    uint64_t first, last, offset, major, minor;

    char *at = number(number(line, 16, &first) + 1, 16, &last);
    if (mapping->address < first || mapping->address >= last)
        return 0;
    while (*at == ' ')
        at++;
    while (*at && *at != ' ')
        at++;
    at = number(at + 1, 16, &offset);
    at = number(number(at + 1, 16, &major) + 1, 16, &minor);
    at = number(at + 1, 10, &mapping->inode);
    mapping->device = major << 32 | minor;
    while (*at == ' ')
        at++;
    char *end = at + strlen(at);
    mapping->deleted = end - at >= (long)sizeof deleted && ip_equal(end - sizeof deleted + 1, deleted);
    if (mapping->deleted)
        end[-(long)sizeof deleted + 1] = 0;
    if (!ip_append(mapping->path, mapping->path + sizeof mapping->path, at))
        mapping->path[0] = 0;
    return 1;
}

/* Some time after it was loaded, its name may mean nothing, or another file: what is mapped counts. Its device and inode are told where
 * it cannot be reached any more. */
static void look_at_mapping(struct mapping *mapping, const struct ip_object *object, struct ip_wire_File *file, struct ip_wire_Name *name)
{
    *mapping = (struct mapping){.address = (uintptr_t)object->dynamic};
    if (ip_maps_walk(find_mapping, mapping) != 1 || !mapping->inode)
        return;
    if (mapping->path[0])
        *name = (struct ip_wire_Name){.path = ip_text(mapping->path)};
    if (mapping->deleted || ip_file_at(file, AT_FDCWD, mapping->path, 0) < 0 || file->inode != mapping->inode)
        *file = (struct ip_wire_File){.device = mapping->device, .inode = mapping->inode, .mode = S_IFREG};
}

static void report(const char *function, const struct ip_object *object, int is_late)
{
    char base[IP_BASE_MAX];
    struct mapping mapping;
    struct ip_wire_File file = {0};
    struct ip_wire_Name name = ip_name(0, AT_FDCWD, object->name, base);
    struct ip_notes notes = ip_elf_notes(object);
    struct ip_wire_Load load = {.name = &name, .file = &file, .build_id = notes.build_id};

    if (is_late || ip_file_at(&file, AT_FDCWD, object->name, 0) < 0)
        look_at_mapping(&mapping, object, &file, &name);
    if (!file.inode)
        load.file = NULL;
    struct ip_wire_Event event = ip_event(function, 0);
    event.effect = IP_EVENT_LOAD;
    event.load = &load;
    ip_emit(&event);
    ip_unseen_object(object, &notes, &name, &file);
}

/* The first is the program, which glibc leaves without a name there. */
static int is_loaded(const struct ip_object *object)
{
    return object->name && object->name[0] && object != ip_elf_self() && object != ip_elf_objects() && !ip_elf_is_vdso(object);
}

/* How many there are, and the last of them: whether that is as it was. */
static int is_as_known(uint32_t *count, const void **last)
{
    const void *space = NULL;
    const struct ip_object *object;

    for (*count = 0, *last = NULL; (object = ip_elf_next_objects(&space));)
        for (; object; object = object->next, ++*count)
            *last = object->dynamic;
    return *count == atomic_load(&known) && *last == atomic_load(&known_last);
}

static void tell_untold(const char *function, const struct ip_object *object, int is_late)
{
    for (; object; object = object->next)
        if (put(&tables[atomic_load(&table)], object->dynamic) && is_loaded(object))
            report(function, object, is_late);
}

/* Of all namespaces, or of that of `object`. */
struct telling {
    const char *function;
    const struct ip_object *object;
    int is_late;
};

static void tell_here(void *memory)
{
    const struct telling *telling = memory;
    const void *space = NULL;
    const struct ip_object *object = telling->object;

    if (object)
        tell_untold(telling->function, object, telling->is_late);
    else
        while ((object = ip_elf_next_objects(&space)))
            tell_untold(telling->function, object, telling->is_late);
}

static void tell_new(const char *function, int is_late)
{
    uint32_t count;
    const void *last;

    if (atomic_load(&pauses) || ip_is_borrower() || is_as_known(&count, &last))
        return;
    ip_with_stack(tell_here, &(struct telling){.function = function, .is_late = is_late});
    atomic_store(&known_last, last);
    atomic_store(&known, count);
}

void ip_loads_tell(const char *function)
{
    tell_new(function, 0);
}

/* A line of the mappings: code that no object of the program's namespace has is an auditor's. */
static int tell_of_code(void *nothing, char *line)
{
    uint64_t first, last;
    struct ip_wire_File file;
    char *at = number(number(line, 16, &first) + 1, 16, &last), *path = (char *)ip_find(at, '/');

    (void)nothing;
    if (!path || at[3] != 'x' || ip_elf_object_at((uintptr_t)first) || ip_file_at(&file, AT_FDCWD, path, 0) < 0)
        return 0;
    struct ip_wire_Name name = {.path = ip_text(path)};
    struct ip_wire_Load load = {.name = &name, .file = &file};
    struct ip_wire_Event event = ip_event("", 0);
    event.effect = IP_EVENT_LOAD;
    event.load = &load;
    ip_emit(&event);
    return 0;
}

void ip_loads_tell_of_auditors(void)
{
    if (ip_is_glibc() && ip_glibc_is_before(35) && ip_env_value("LD_AUDIT"))
        ip_maps_walk(tell_of_code, NULL);
}

void ip_loads_tell_of(const char *function, const struct ip_object *object)
{
    if (atomic_load(&pauses) || ip_is_borrower())
        return;
    while (object->previous)
        object = object->previous;
    ip_with_stack(tell_here, &(struct telling){.function = function, .object = object});
}

void ip_loads_refresh(void)
{
    tell_new("", 1);
}

void ip_loads_pause(void)
{
    ip_loads_refresh();
    ip_thread.unloading++;
    atomic_fetch_add(&pauses, 1);
}

/* Those that are gone are forgotten: their addresses may be others' soon. What another thread has loaded meanwhile stays untold. */
static void keep_present(void)
{
    unsigned int former = atomic_load(&table);
    told_table *next = &tables[!former];
    const void *space = NULL;
    const struct ip_object *object;

    for (unsigned int i = 0; i < PLACES; i++)
        atomic_store_explicit(&(*next)[i], NULL, memory_order_relaxed);
    while ((object = ip_elf_next_objects(&space)))
        for (; object; object = object->next)
            if (is_in(&tables[former], object->dynamic))
                put(next, object->dynamic);
    atomic_store(&table, !former);
    atomic_store(&known, 0);
}

void ip_loads_resume(void)
{
    if (!is_as_known(&(uint32_t){0}, &(const void *){NULL}))
        keep_present();
    atomic_fetch_sub(&pauses, 1);
    ip_thread.unloading--;
}

void ip_loads_forked(void)
{
    atomic_store(&pauses, ip_thread.unloading);
}

void ip_loads_restored(void)
{
    told_table *all = &tables[atomic_load(&table)];

    for (unsigned int i = 0; i < PLACES; i++)
        atomic_store_explicit(&(*all)[i], NULL, memory_order_relaxed);
    atomic_store(&known, 0);
}
