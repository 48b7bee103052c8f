/* Functions that the libc at hand does not have. This library exports them all the same, so a program that asks whether there is one, by
 * dlsym(3) or by a weak reference, would be told so, and call what can only fail. Their symbols are taken back, and the weak references
 * that the loader has bound to them. (Constructors that ran before this library's first moment have seen them.) */
#include "absent.h"

#include <linux/elf.h>
#include <linux/mman.h>

#include "bindings.h"
#include "elf.h"
#include "functions.h"
#include "memory.h"
#include "syscall.h"

#define STB_WEAK 2
#define ABSENT 160

struct absent {
    size_t count;
    Elf64_Sym *symbols[ABSENT];
    uintptr_t addresses[ABSENT];
};

/* glibc's version says which it may lack; where there is another libc, or none, each is looked for. */
static int may_lack(const struct ip_uncertain *function)
{
    return !ip_is_glibc() || function->is_musl || ip_glibc_is_before(function->since);
}

static void find_absent(struct absent *absent)
{
    uintptr_t base = ip_elf_self()->base;

    for (const struct ip_uncertain *function = ip_uncertain; function->name && absent->count < ABSENT; function++) {
        Elf64_Sym *symbol = may_lack(function) && !ip_elf_find_next(function->name) ? ip_elf_own_symbol(function->name) : NULL;
        if (!symbol)
            continue;
        absent->symbols[absent->count] = symbol;
        absent->addresses[absent->count++] = base + symbol->st_value;
    }
}

static int protect(uintptr_t first, uintptr_t last, int protection)
{
    uintptr_t page = ip_elf_page_size();

    first &= ~(page - 1);
    last = (last + page - 1) & ~(page - 1);
    return ip_sys_mprotect((void *)first, last - first, protection);
}

/* A loader passes over symbols whose value is zero. */
static void take_back(const struct absent *absent)
{
    const struct ip_segment segment = ip_elf_segment(ip_elf_self(), (uintptr_t)absent->symbols[0]);

    if (segment.flags != PF_R || protect(segment.first, segment.last, PROT_READ | PROT_WRITE))
        return;
    for (size_t i = 0; i < absent->count; i++)
        absent->symbols[i]->st_value = 0;
    protect(segment.first, segment.last, PROT_READ);
}

static int is_absent(const struct absent *absent, uintptr_t address)
{
    for (size_t i = 0; i < absent->count; i++)
        if (absent->addresses[i] == address)
            return 1;
    return 0;
}

static void forget(const struct ip_object *object, uintptr_t *slot)
{
    const struct ip_segment relro = ip_elf_relro(object);
    int read_only = (uintptr_t)slot >= relro.first && (uintptr_t)slot < relro.last;

    if (read_only && protect(relro.first, relro.last, PROT_READ | PROT_WRITE))
        return;
    *slot = 0;
    if (read_only)
        protect(relro.first, relro.last, PROT_READ);
}

static void unbind(const struct absent *absent, const struct ip_object *object, const struct ip_references *references)
{
    for (size_t i = 0; i < references->count; i++) {
        const Elf64_Rela *entry = (const Elf64_Rela *)references->entries + i;
        const Elf64_Sym *symbol = (const Elf64_Sym *)references->symbols + ELF64_R_SYM(entry->r_info);
        uintptr_t *slot = (uintptr_t *)(object->base + entry->r_offset);
        if (ELF64_R_SYM(entry->r_info) && !symbol->st_shndx && ELF64_ST_BIND(symbol->st_info) == STB_WEAK && is_absent(absent, *slot))
            forget(object, slot);
    }
}

void ip_absent_hide(void)
{
    struct absent absent = {.count = 0};
    struct ip_references references[2];

    find_absent(&absent);
    if (!absent.count)
        return;
    take_back(&absent);
    for (const struct ip_object *object = ip_elf_objects(); object; object = object->next) {
        if (object == ip_elf_self() || !ip_elf_references(object, references))
            continue;
        unbind(&absent, object, &references[0]);
        unbind(&absent, object, &references[1]);
    }
}
