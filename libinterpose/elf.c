/* Symbol lookup in the loaded objects. dlsym would take the loader's lock, may allocate, and does not exist on glibc before
 * 2.34 without libdl; reading its list does none of that. The layout of the list is fixed by the debugger interface. */
#include "elf.h"

#include <linux/auxvec.h>
#include <linux/elf.h>

#include "filter.h"
#include "memory.h"
#include "state.h"
#include "syscall.h"

#define STT_GNU_IFUNC 10
#define NT_GNU_BUILD_ID 3
#define NT_GO_BUILD_ID 4           /* of the owner "Go" */
#define STB_LOCAL 0
#define DT_GNU_HASH 0x6ffffef5
#define DT_VERSYM 0x6ffffff0
#ifndef DT_RUNPATH
#define DT_RUNPATH 29
#endif
#ifndef DT_FLAGS_1
#define DT_FLAGS_1 0x6ffffffb
#endif
#define DF_1_NODEFLIB 0x800
#define VERSYM_HIDDEN 0x8000u
#define VERSYM_VERSION 0x7fffu
#define OLD ""                     /* a version that new programs are not linked to will do too */

struct debug_interface { /* struct r_debug of link.h; from version 2 on struct r_debug_extended */
    int version;
    struct ip_object *objects;
    uintptr_t breakpoint;
    int state;
    uintptr_t loader;
    const struct debug_interface *next;
};

struct gnu_hash_head {
    uint32_t buckets, first_symbol, bloom_words, bloom_shift;
};

/* Structs of elf(5) that the kernel has no use for: an object's own versions, and those that it needs of others. */
struct definition {
    uint16_t structure, flags, version, names;
    uint32_t hash, name_at, next;
};

struct need {
    uint16_t structure, versions;
    uint32_t file, version_at, next;
};

struct needed_version {
    uint32_t hash;
    uint16_t flags, version;
    uint32_t name, next;
};

struct symbols {
    const Elf64_Sym *table;
    const char *names;
    const uint16_t *versions;
    const struct definition *definitions;
    const struct need *needs;
    const char *wanted;            /* the version, if it has to be that */
    const struct gnu_hash_head *gnu;
    const uint32_t *sysv;
};

extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

static const struct debug_interface *debug_interface;
static const Elf64_Dyn *vdso;
static const struct ip_object *self;
static uintptr_t page_size = 4096;
static const Elf64_Phdr *program_headers;
static unsigned long program_header_count;

/* glibc adds the base to what a dynamic section holds, musl and the vdso do not. */
static const void *pointer(uintptr_t base, uint64_t value)
{
    return (const void *)(value < base ? base + value : value);
}

static struct symbols read_dynamic(uintptr_t base, const Elf64_Dyn *entry)
{
    struct symbols symbols = {0};

    for (; entry && entry->d_tag != DT_NULL; entry++) {
        const void *address = pointer(base, entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_SYMTAB: symbols.table = address; break;
        case DT_STRTAB: symbols.names = address; break;
        case DT_VERSYM: symbols.versions = address; break;
        case DT_VERDEF: symbols.definitions = address; break;
        case DT_VERNEED: symbols.needs = address; break;
        case DT_GNU_HASH: symbols.gnu = address; break;
        case DT_HASH: symbols.sysv = address; break;
        }
    }
    return symbols;
}

static int is_defined_as(const struct symbols *symbols, uint32_t index, const char *name)
{
    const Elf64_Sym *symbol = &symbols->table[index];
    unsigned int type = ELF64_ST_TYPE(symbol->st_info);

    return symbol->st_shndx && symbol->st_value && ELF64_ST_BIND(symbol->st_info) != STB_LOCAL && type != STT_TLS &&
           ip_equal(symbols->names + symbol->st_name, name);
}

static int is_hidden(const struct symbols *symbols, uint32_t index)
{
    return symbols->versions && (symbols->versions[index] & VERSYM_HIDDEN);
}

static const void *behind(const void *at, uint32_t offset)
{
    return offset ? (const char *)at + offset : NULL;
}

static const char *defined_version(const struct symbols *symbols, uint32_t version)
{
    for (const struct definition *at = symbols->definitions; at; at = behind(at, at->next))
        if (at->version == version)
            return symbols->names + *(const uint32_t *)behind(at, at->name_at);
    return "";
}

static const char *needed_version(const struct symbols *symbols, uint32_t version)
{
    for (const struct need *need = symbols->needs; need; need = behind(need, need->next))
        for (const struct needed_version *at = behind(need, need->version_at); at; at = behind(at, at->next))
            if (at->version == version)
                return symbols->names + at->name;
    return NULL;
}

/* Keeps the default version of a name, and an old one only until then, or the version that is wanted. Returns whether the search is
 * over. */
static int take(const struct symbols *symbols, uint32_t index, uint32_t *found)
{
    if (symbols->wanted && *symbols->wanted) {
        if (!symbols->versions || !ip_equal(defined_version(symbols, symbols->versions[index] & VERSYM_VERSION), symbols->wanted))
            return 0;
        *found = index;
        return 1;
    }
    int hidden = is_hidden(symbols, index);

    if (!hidden || !*found)
        *found = index;
    return !hidden;
}

static uint32_t find_gnu(const struct symbols *symbols, const char *name)
{
    const struct gnu_hash_head *head = symbols->gnu;
    const uint64_t *bloom = (const uint64_t *)(head + 1);
    const uint32_t *buckets = (const uint32_t *)(bloom + head->bloom_words);
    const uint32_t *chains = buckets + head->buckets;
    uint32_t hash = 5381, found = 0;

    for (const char *at = name; *at; at++)
        hash = hash * 33 + (uint8_t)*at;
    if (head->bloom_words) {
        uint64_t word = bloom[(hash / 64) % head->bloom_words];
        if (!(word >> (hash % 64) & word >> ((hash >> head->bloom_shift) % 64) & 1))
            return 0;
    }
    uint32_t index = head->buckets ? buckets[hash % head->buckets] : 0;
    if (index < head->first_symbol)
        return 0;
    for (;; index++) {
        uint32_t chain = chains[index - head->first_symbol];
        if ((chain | 1) == (hash | 1) && is_defined_as(symbols, index, name) && take(symbols, index, &found))
            return found;
        if (chain & 1)
            return found;
    }
}

static uint32_t find_sysv(const struct symbols *symbols, const char *name)
{
    uint32_t buckets = symbols->sysv[0], hash = 0, found = 0;
    const uint32_t *bucket = symbols->sysv + 2, *chain = bucket + buckets;

    for (const char *at = name; *at; at++) {
        hash = (hash << 4) + (uint8_t)*at;
        hash ^= (hash & 0xf0000000) >> 24;
        hash &= 0x0fffffff;
    }
    for (uint32_t index = buckets ? bucket[hash % buckets] : 0; index; index = chain[index])
        if (is_defined_as(symbols, index, name) && take(symbols, index, &found))
            break;
    return found;
}

/* `version`: NULL for the default, or OLD. */
static const Elf64_Sym *symbol_in(uintptr_t base, const Elf64_Dyn *dynamic, const char *name, const char *version)
{
    struct symbols symbols = read_dynamic(base, dynamic);
    uint32_t index = 0;

    symbols.wanted = version;
    if (!symbols.table || !symbols.names)
        return NULL;
    if (symbols.gnu)
        index = find_gnu(&symbols, name);
    else if (symbols.sysv)
        index = find_sysv(&symbols, name);
    return index && (version || !is_hidden(&symbols, index)) ? &symbols.table[index] : NULL;
}

static void *find_in(uintptr_t base, const Elf64_Dyn *dynamic, const char *name, const char *version)
{
    const Elf64_Sym *symbol = symbol_in(base, dynamic, name, version);

    if (!symbol)
        return NULL;
    void *address = (void *)(base + symbol->st_value);
    /* The clocks are chosen at run time, by a function that takes nothing from us. */
    if (ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
        return ((void *(*)(unsigned long, void *))address)(0, NULL);
    return address;
}

static void *find_as(const struct ip_object *object, const char *name, const char *version)
{
    for (; object; object = object->next) {
        void *address = object == self ? NULL : find_in(object->base, object->dynamic, name, version);
        if (address)
            return address;
    }
    return NULL;
}

/* A library may have a name only for programs that were linked to it long ago, as libattr has fsetxattr: libc's is meant. */
static void *find_from(const struct ip_object *first, const char *name)
{
    void *address = find_as(first, name, NULL);

    return address ? address : find_as(first, name, OLD);
}

static const Elf64_Dyn *dynamic_of(const Elf64_Phdr *headers, unsigned long count, uintptr_t base, int base_is_known)
{
    for (unsigned long i = 0; i < count && !base_is_known; i++)
        if (headers[i].p_type == PT_PHDR)
            base = (uintptr_t)headers - headers[i].p_vaddr;
    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            return (const Elf64_Dyn *)(base + headers[i].p_vaddr);
    return NULL;
}

/* Of one that the kernel mapped at `base`; what its addresses are relative to is in *load. */
static const Elf64_Dyn *dynamic_of_image(uintptr_t base, uintptr_t *load)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(base + header->e_phoff);

    *load = base;
    for (unsigned int i = 0; i < header->e_phnum; i++)
        if (headers[i].p_type == PT_LOAD) {
            *load = base + headers[i].p_offset - headers[i].p_vaddr;
            break;
        }
    return dynamic_of(headers, header->e_phnum, *load, 1);
}

int ip_elf_start(const unsigned long *auxiliary_vector)
{
    const Elf64_Phdr *headers = NULL;
    unsigned long count = 0;

    for (; auxiliary_vector[0]; auxiliary_vector += 2) {
        if (auxiliary_vector[0] == AT_PHDR)
            headers = (const Elf64_Phdr *)auxiliary_vector[1];
        if (auxiliary_vector[0] == AT_PHNUM)
            count = auxiliary_vector[1];
        if (auxiliary_vector[0] == AT_PAGESZ)
            page_size = auxiliary_vector[1];
        if (auxiliary_vector[0] == AT_SYSINFO_EHDR)
            vdso = dynamic_of_image(auxiliary_vector[1], &(uintptr_t){0});
    }
    program_headers = headers;
    program_header_count = count;
    const Elf64_Dyn *dynamic = headers ? dynamic_of(headers, count, 0, 0) : NULL;
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++)
        if (dynamic->d_tag == DT_DEBUG)
            debug_interface = (const struct debug_interface *)dynamic->d_un.d_ptr;
    for (const struct ip_object *object = ip_elf_objects(); object; object = object->next)
        if (object->dynamic == (const void *)_DYNAMIC)
            self = object;
    return self ? 0 : -1;
}

uintptr_t ip_elf_page_size(void)
{
    return page_size;
}

const struct ip_object *ip_elf_objects(void)
{
    return debug_interface ? debug_interface->objects : NULL;
}

const struct ip_object *ip_elf_self(void)
{
    return self;
}

void *ip_elf_find(const char *name)
{
    return find_from(ip_elf_objects(), name);
}

void *ip_elf_find_next(const char *name)
{
    return self ? find_from(self->next, name) : NULL;
}

void *ip_elf_find_in_image(uintptr_t base, const char *name)
{
    uintptr_t load;
    const Elf64_Dyn *dynamic = dynamic_of_image(base, &load);

    return find_in(load, dynamic, name, OLD);
}

const struct ip_object *ip_elf_next_objects(const void **space)
{
    const struct debug_interface *at = *space;

    /* The first one's version says whether there are others. */
    at = !at ? debug_interface : debug_interface->version >= 2 ? at->next : NULL;
    while (at && !at->objects)
        at = debug_interface->version >= 2 ? at->next : NULL;
    *space = at;
    return at ? at->objects : NULL;
}

int ip_elf_is_vdso(const struct ip_object *object)
{
    return vdso && object->dynamic == (const void *)vdso;
}

unsigned int ip_elf_search(const struct ip_object *object)
{
    unsigned int found = 0;

    for (const Elf64_Dyn *entry = object->dynamic; entry && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_RPATH)
            found |= IP_ELF_RPATH;
        else if (entry->d_tag == DT_RUNPATH || (entry->d_tag == DT_FLAGS_1 && entry->d_un.d_val & DF_1_NODEFLIB))
            found |= IP_ELF_OWN_SEARCH;
    return found;
}

void *ip_elf_own_symbol(const char *name)
{
    return (void *)symbol_in(self->base, self->dynamic, name, OLD);
}

/* The first object is the program, whose headers the kernel tells; those of a library are in its first page. */
static const Elf64_Phdr *headers_of(const struct ip_object *object, unsigned long *count)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)object->base;

    if (object == ip_elf_objects()) {
        *count = program_header_count;
        return program_headers;
    }
    *count = header && ip_may(IP_OWN_CALL(rt_sigprocmask)) && ip_sys_can_read(header) && !memcmp(header, ELFMAG, SELFMAG) ? header->e_phnum : 0;
    return *count ? (const Elf64_Phdr *)(object->base + header->e_phoff) : NULL;
}

static struct ip_segment segment_of(const struct ip_object *object, uint32_t type, uintptr_t address)
{
    unsigned long count;
    const Elf64_Phdr *headers = headers_of(object, &count);

    for (unsigned long i = 0; i < count; i++) {
        uintptr_t first = object->base + headers[i].p_vaddr, last = first + headers[i].p_memsz;
        if (headers[i].p_type == type && (!address || (address >= first && address < last)))
            return (struct ip_segment){first, last, headers[i].p_flags};
    }
    return (struct ip_segment){0};
}

struct ip_segment ip_elf_segment_of_type(const struct ip_object *object, uint32_t type)
{
    return segment_of(object, type, 0);
}

int ip_elf_loaded(const struct ip_object *object, unsigned int wanted, struct ip_segment *segment)
{
    unsigned long count;
    const Elf64_Phdr *headers = headers_of(object, &count);

    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && !wanted--) {
            uintptr_t first = object->base + headers[i].p_vaddr;
            *segment = (struct ip_segment){first, first + headers[i].p_filesz, headers[i].p_flags};
            return 1;
        }
    return 0;
}

static uint64_t aligned(uint64_t size)
{
    return (size + 3) & ~UINT64_C(3);
}

/* The owner is four bytes, filled up with zeros. */
static int is_note(const Elf64_Nhdr *note, const char *owner, uint32_t type)
{
    return note->n_type == type && note->n_namesz == 4 && !memcmp(note + 1, owner, 4);
}

/* elf(5). Notes are in memory: the loader maps them with the rest. */
static void read_notes(uintptr_t at, uintptr_t end, struct ip_notes *found)
{
    while (at + sizeof(Elf64_Nhdr) <= end) {
        const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
        uint64_t name = aligned(note->n_namesz), size = sizeof *note + name + aligned(note->n_descsz);
        if (size > end - at)
            return;
        if (is_note(note, "GNU", NT_GNU_BUILD_ID))
            found->build_id = (struct ip_bytes){(const char *)(note + 1) + name, note->n_descsz};
        else if (is_note(note, "Go\0", NT_GO_BUILD_ID))
            found->is_go = 1;
        at += size;
    }
}

/* Tools that rewrite programs leave headers of what is in the file alone. */
static int is_in_memory(const Elf64_Phdr *part, const Elf64_Phdr *headers, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && part->p_vaddr >= headers[i].p_vaddr &&
            part->p_vaddr + part->p_memsz <= headers[i].p_vaddr + headers[i].p_memsz && part->p_memsz <= headers[i].p_memsz)
            return 1;
    return 0;
}

struct ip_notes ip_elf_notes(const struct ip_object *object)
{
    unsigned long count;
    const Elf64_Phdr *headers = headers_of(object, &count);
    struct ip_notes found = {0};

    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_NOTE && is_in_memory(&headers[i], headers, count))
            read_notes(object->base + headers[i].p_vaddr, object->base + headers[i].p_vaddr + headers[i].p_memsz, &found);
    return found;
}

int ip_elf_is_of_libc(const struct ip_object *object)
{
    struct symbols symbols = read_dynamic(object->base, object->dynamic);

    for (const struct definition *at = symbols.definitions; at; at = behind(at, at->next))
        if (ip_equal(symbols.names + *(const uint32_t *)behind(at, at->name_at), "GLIBC_PRIVATE"))
            return 1;
    return symbol_in(object->base, object->dynamic, "__libc_start_main", OLD) != NULL;
}

struct ip_segment ip_elf_segment(const struct ip_object *object, uintptr_t address)
{
    return segment_of(object, PT_LOAD, address);
}

struct ip_segment ip_elf_relro(const struct ip_object *object)
{
    struct ip_segment relro = segment_of(object, PT_GNU_RELRO, 0);

    relro.last &= ~(page_size - 1); /* as loaders do: what else is on its last page stays writable */
    return relro;
}

int ip_elf_references(const struct ip_object *object, struct ip_references references[2])
{
    const Elf64_Rela *data = NULL, *calls = NULL;
    size_t data_size = 0, calls_size = 0, relative = 0;
    struct symbols symbols = read_dynamic(object->base, object->dynamic);

    for (const Elf64_Dyn *entry = object->dynamic; entry && entry->d_tag != DT_NULL; entry++)
        switch (entry->d_tag) {
        case DT_RELA: data = pointer(object->base, entry->d_un.d_ptr); break;
        case DT_RELASZ: data_size = entry->d_un.d_val; break;
        case DT_RELACOUNT: relative = entry->d_un.d_val; break;
        case DT_JMPREL: calls = pointer(object->base, entry->d_un.d_ptr); break;
        case DT_PLTRELSZ: calls_size = entry->d_un.d_val; break;
        }
    size_t count = data ? data_size / sizeof *data : 0;
    relative = relative < count ? relative : count;
    references[0] = (struct ip_references){data + relative, symbols.table, count - relative};
    references[1] = (struct ip_references){calls, symbols.table, calls ? calls_size / sizeof *calls : 0};
    return symbols.table != NULL;
}

void *ip_elf_find_version(const char *name, const char *version)
{
    return self ? find_as(self->next, name, version) : NULL;
}

const struct ip_object *ip_elf_object_at(uintptr_t code)
{
    const struct ip_object *object = ip_elf_objects();

    while (object && !ip_elf_segment(object, code).last)
        object = object->next;
    return object;
}

const char *ip_elf_version_needed_at(uintptr_t code, const char *name)
{
    const struct ip_object *object = ip_elf_object_at(code);
    struct ip_references references[2];

    if (!object || object == self || !ip_elf_references(object, references))
        return NULL;
    struct symbols symbols = read_dynamic(object->base, object->dynamic);
    for (size_t i = 0; symbols.versions && i < references[0].count + references[1].count; i++) {
        const Elf64_Rela *entries = references[i >= references[0].count].entries;
        uint64_t index = ELF64_R_SYM(entries[i < references[0].count ? i : i - references[0].count].r_info);
        if (index && !symbols.table[index].st_shndx && ip_equal(symbols.names + symbols.table[index].st_name, name))
            return needed_version(&symbols, symbols.versions[index] & VERSYM_VERSION);
    }
    return NULL;
}
