/* The loaded objects, read from the loader's own list: no lock, no allocation, and it works where there is no dlsym. */
#ifndef IP_ELF_H
#define IP_ELF_H

#include <stddef.h>
#include <stdint.h>

#include "encode.h"

/* The part of struct link_map that every loader shares (link.h). */
struct ip_object {
    uintptr_t base;
    const char *name;
    void *dynamic;
    struct ip_object *next, *previous;
};

struct ip_segment {
    uintptr_t first, last;         /* `last` is behind it */
    uint32_t flags;                /* PF_R... */
};

/* What the linker wrote into an object. */
struct ip_notes {
    struct ip_bytes build_id;      /* empty if there is none */
    int is_go;
};

/* A table of relocations, Elf64_Rela, and the symbols, Elf64_Sym, that they name. */
struct ip_references {
    const void *entries, *symbols;
    size_t count;
};

/* Finds the loader's list and this library in it. `auxiliary_vector` ends with a zero type. Returns 0 or -1. */
int ip_elf_start(const unsigned long *auxiliary_vector);
uintptr_t ip_elf_page_size(void);
const struct ip_object *ip_elf_objects(void);
const struct ip_object *ip_elf_self(void);
/* Those of one namespace after the other (dlmopen(3)); NULL after the last. *space is NULL at first. */
const struct ip_object *ip_elf_next_objects(const void **space);
/* Whether the kernel has put it there: there is no such file. */
int ip_elf_is_vdso(const struct ip_object *object);
/* The one with this code; NULL if it is in none. */
const struct ip_object *ip_elf_object_at(uintptr_t code);
/* How an object has the loader search for what it loads. */
#define IP_ELF_RPATH 1u            /* also for what that needs, and so on */
#define IP_ELF_OWN_SEARCH 2u       /* RUNPATH, or not in the usual places */
unsigned int ip_elf_search(const struct ip_object *object);
/* The default version of `name` in the first object that has it: from the program on, or after this library. */
void *ip_elf_find(const char *name);
void *ip_elf_find_next(const char *name);
/* The same after this library, of that version. */
void *ip_elf_find_version(const char *name, const char *version);
/* The version that the object with this code was linked with, NULL if none is told. */
const char *ip_elf_version_needed_at(uintptr_t code, const char *name);
/* `name` in an image that the kernel mapped at `base` (the vdso). */
void *ip_elf_find_in_image(uintptr_t base, const char *name);

/* The symbol, Elf64_Sym, by which this library exports `name`. */
void *ip_elf_own_symbol(const char *name);
/* The segment of an object that `address` is in, and the part that is read-only since relocation; empty if there is none. */
struct ip_segment ip_elf_segment(const struct ip_object *object, uintptr_t address);
struct ip_segment ip_elf_relro(const struct ip_object *object);
/* The first segment of such a type (PT_...), and the loaded one number `i`: whether there is one. */
struct ip_segment ip_elf_segment_of_type(const struct ip_object *object, uint32_t type);
int ip_elf_loaded(const struct ip_object *object, unsigned int i, struct ip_segment *segment);
struct ip_notes ip_elf_notes(const struct ip_object *object);
/* Whether it is a part of libc: the loader, and the libraries that glibc shares its inner functions with. */
int ip_elf_is_of_libc(const struct ip_object *object);
/* Those bound at once and those of its calls, without relative ones at the beginning; 0 if there are none. */
int ip_elf_references(const struct ip_object *object, struct ip_references references[2]);

#endif
