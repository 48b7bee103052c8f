/* The loader opens libraries past every wrapper, and a dlopen's search depends on who called it, so it is not wrapped: the
 * loader's own list says what came. New objects are at its end; a dlclose takes some out, which shows as fewer. */
#include "loads.h"

#include <linux/elf.h>

#include "elf.h"
#include "files.h"
#include "journal.h"
#include "stack.h"
#include "syscall.h"

static _Atomic uint32_t known;
static _Atomic uint32_t pauses;

static uint64_t aligned(uint64_t size)
{
    return (size + 3) & ~UINT64_C(3);
}

/* Among the notes of an object, elf(5). They are in memory: the loader maps them with the rest. */
static struct ip_bytes build_id_in(uintptr_t at, uintptr_t end)
{
    while (at + sizeof(Elf64_Nhdr) <= end) {
        const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
        const char *name = (const char *)(note + 1);
        if (note->n_type == 3 /* NT_GNU_BUILD_ID */ && note->n_namesz == 4 && !memcmp(name, "GNU", 4))
            return (struct ip_bytes){name + 4, note->n_descsz};
        at += sizeof *note + aligned(note->n_namesz) + aligned(note->n_descsz);
    }
    return (struct ip_bytes){0};
}

static struct ip_bytes build_id_of(const struct ip_object *object)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)object->base;
    struct ip_bytes found = {0};

    if (!object->base || !ip_sys_can_read(header) || memcmp(header, ELFMAG, 4))
        return found;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(object->base + header->e_phoff);
    for (unsigned int i = 0; i < header->e_phnum && !found.size; i++)
        if (segments[i].p_type == PT_NOTE)
            found = build_id_in(object->base + segments[i].p_vaddr, object->base + segments[i].p_vaddr + segments[i].p_memsz);
    return found;
}

static void report(const struct ip_object *object)
{
    struct ip_wire_File file;
    struct ip_wire_Name name = {.path = ip_text(object->name)};
    struct ip_wire_Load load = {.name = &name};

    /* The first is the program, which glibc leaves without a name there. */
    if (!object->name || !object->name[0] || object == ip_elf_self() || object == ip_elf_objects())
        return;
    if (ip_file_at(&file, AT_FDCWD, object->name, 0) < 0)
        return; /* the vdso, or a library that was removed meanwhile */
    load.file = &file;
    load.build_id = build_id_of(object);
    struct ip_wire_Event event = ip_event("", 0);
    event.effect = IP_EVENT_LOAD;
    event.load = &load;
    ip_emit(&event);
}

static void report_from(void *memory)
{
    const uint32_t *first = memory;
    uint32_t position = 0;

    for (const struct ip_object *object = ip_elf_objects(); object; object = object->next)
        if (position++ >= *first)
            report(object);
}

void ip_loads_refresh(void)
{
    uint32_t count = 0, before = atomic_load(&known);

    if (atomic_load(&pauses) || ip_is_borrower())
        return;
    for (const struct ip_object *object = ip_elf_objects(); object; object = object->next)
        count++;
    if (count == before || !atomic_compare_exchange_strong(&known, &before, count))
        return;
    ip_with_stack(report_from, &before);
}

void ip_loads_pause(void)
{
    ip_loads_refresh();
    ip_thread.unloading++;
    atomic_fetch_add(&pauses, 1);
}

void ip_loads_resume(void)
{
    uint32_t count = 0;

    for (const struct ip_object *object = ip_elf_objects(); object; object = object->next)
        count++;
    atomic_store(&known, count);
    atomic_fetch_sub(&pauses, 1);
    ip_thread.unloading--;
}

void ip_loads_forked(void)
{
    atomic_store(&pauses, ip_thread.unloading);
}

void ip_loads_restored(void)
{
    atomic_store(&known, 0);
}
