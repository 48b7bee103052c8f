/* The environment that the program sees is its own. Only the copy that `environ` points to is changed: the original on
 * the stack stays, for programs that read it there and hand it on. */
#include "environment.h"

#include <linux/mman.h>

#include "elf.h"
#include "memory.h"
#include "state.h"
#include "syscall.h"

static const char variable[] = "LD_PRELOAD=";

static char **environ_location(const char *name)
{
    return ip_elf_find(name);
}

char **ip_environment(void)
{
    char ***location = (char ***)environ_location("environ");

    return location ? *location : NULL;
}

void ip_environment_set(char **environment)
{
    /* In a program with copy relocations the aliases may have been copied apart. */
    static const char *const names[] = {"environ", "__environ", "_environ"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char ***location = (char ***)environ_location(names[i]);
        if (location)
            *location = environment;
    }
}

static int is_separator(char character)
{
    return character == ':' || character == ' ';
}

static int is_listed(const char *list)
{
    size_t ours = strlen(ip_state.library);

    for (; list && *list; list++) {
        if (ip_starts_with(list, ip_state.library) && (!list[ours] || is_separator(list[ours])))
            return 1;
        while (*list && !is_separator(*list))
            list++;
        if (!*list)
            return 0;
    }
    return 0;
}

/* Copies a list of libraries without this one to `out` (as large as `list`); returns the length. What the program wrote
 * keeps its separators. */
static size_t without_us(const char *list, char *out)
{
    size_t ours = strlen(ip_state.library), length = 0;

    if (!is_listed(list)) {
        length = strlen(list);
        memcpy(out, list, length + 1);
        return length;
    }
    while (*list) {
        const char *end = list;
        while (*end && !is_separator(*end))
            end++;
        size_t size = (size_t)(end - list);
        if (size && (size != ours || memcmp(list, ip_state.library, size))) {
            if (length)
                out[length++] = ':';
            memcpy(out + length, list, size);
            length += size;
        }
        list = *end ? end + 1 : end;
    }
    out[length] = 0;
    return length;
}

static size_t count(char *const *environment)
{
    size_t entries = 0;

    while (environment && environment[entries])
        entries++;
    return entries;
}

static const char *preload_value(char *const *environment)
{
    for (; environment && *environment; environment++)
        if (ip_starts_with(*environment, variable))
            return *environment + sizeof variable - 1;
    return NULL;
}

void ip_environment_hide(void)
{
    char **environment = ip_environment();
    const char *value = preload_value(environment);

    if (!ip_state.library[0] || !is_listed(value))
        return;
    size_t entries = count(environment), pointers = (entries + 1) * sizeof(char *);
    char **copy = ip_sys_mmap(NULL, pointers + sizeof variable + strlen(value), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ip_is_error(copy))
        return;
    char *entry = (char *)copy + pointers;
    size_t kept = 0;
    memcpy(entry, variable, sizeof variable - 1);
    /* As ip_environment_merge left it: ours first, and what follows is the program's, be it empty. */
    size_t ours = strlen(ip_state.library);
    int merged = ip_starts_with(value, ip_state.library) && is_separator(value[ours]);
    without_us(merged ? value + ours + 1 : value, entry + sizeof variable - 1);
    for (size_t i = 0; i < entries; i++) {
        if (!ip_starts_with(environment[i], variable))
            copy[kept++] = environment[i];
        else if (merged || entry[sizeof variable - 1])
            copy[kept++] = entry;
    }
    copy[kept] = NULL;
    ip_environment_set(copy);
}

/* The usual entry, where the program has none of its own. While a shell is started `environ` itself is merged, and a thread that
 * calls setenv then keeps what it finds there. */
static char lasting_entry[sizeof variable + IP_SPOOL_PATH_MAX];

size_t ip_environment_room(char *const *environment)
{
    const char *value = preload_value(environment);

    return (count(environment) + 2) * sizeof(char *) + sizeof variable + strlen(ip_state.library) + 1 + (value ? strlen(value) : 0);
}

char **ip_environment_merge(char *const *environment, void *memory)
{
    const char *value = preload_value(environment);
    size_t entries = count(environment), kept = 0, length = strlen(ip_state.library);
    char **merged = memory;
    char *entry = value ? (char *)(merged + entries + 2) : lasting_entry, *list = entry + sizeof variable - 1;
    int placed = 0;

    memcpy(entry, variable, sizeof variable - 1);
    memcpy(list, ip_state.library, length + 1);
    if (value && (without_us(value, list + length + 1) || !is_listed(value)))
        list[length] = ':';
    for (size_t i = 0; i < entries; i++) {
        if (!ip_starts_with(environment[i], variable))
            merged[kept++] = environment[i];
        else if (!placed++)
            merged[kept++] = entry;
    }
    if (!placed)
        merged[kept++] = entry;
    merged[kept] = NULL;
    return merged;
}
