/* The environment that the program sees is its own. Only the copy that `environ` points to is changed: the original on
 * the stack stays, for programs that read it there and hand it on. */
#include "environment.h"

#include "elf.h"
#include "memory.h"
#include "place.h"
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

static const char *preload_value(const char *entry)
{
    return ip_starts_with(entry, variable) ? entry + sizeof variable - 1 : NULL;
}

/* Writes the entry as the program is to see it, and returns what follows it; NULL where it would not be there at all. */
static char *put_without_us(char *out, const char *value)
{
    /* As put_with_us left it: ours first, and what follows is the program's, be it empty. */
    size_t ours = strlen(ip_state.library), length = sizeof variable - 1;
    int merged = ip_starts_with(value, ip_state.library) && is_separator(value[ours]);

    memcpy(out, variable, length);
    length += without_us(merged ? value + ours + 1 : value, out + length);
    return merged || length >= sizeof variable ? out + length + 1 : NULL;
}

int ip_environment_lists_us(char *const *environment)
{
    size_t entries = count(environment);

    for (size_t i = 0; i < entries && ip_state.library[0]; i++)
        if (is_listed(preload_value(environment[i])))
            return 1;
    return 0;
}

char **ip_environment_without_us(char *const *environment, void *memory)
{
    size_t entries = count(environment), kept = 0;
    char **copy = memory, *text = (char *)(copy + entries + 2);

    for (size_t i = 0; i < entries; i++) {
        const char *value = preload_value(environment[i]);
        int listed = is_listed(value);
        char *next = listed ? put_without_us(text, value) : NULL;
        if (next || !listed)
            copy[kept++] = listed ? text : environment[i];
        text = next ? next : text;
    }
    copy[kept] = NULL;
    return copy;
}

void ip_environment_hide(void)
{
    char **environment = ip_environment();

    if (!ip_environment_lists_us(environment))
        return;
    char **copy = ip_map_memory(ip_environment_room(environment));
    if (!ip_is_error(copy))
        ip_environment_set(ip_environment_without_us(environment, copy));
}

/* The usual entry, where the program has none of its own. While a shell is started `environ` itself is merged, and a thread that
 * calls setenv then keeps what it finds there. */
static char lasting_entry[sizeof variable + IP_SPOOL_PATH_MAX];

static char *put_with_us(char *out, const char *value)
{
    size_t ours = strlen(ip_state.library);
    char *list = out + sizeof variable - 1, *end = list + ours;

    memcpy(out, variable, sizeof variable - 1);
    memcpy(list, ip_state.library, ours + 1);
    if (!value)
        return end + 1;
    size_t length = without_us(value, end + 1);
    if (!length && is_listed(value))
        return end + 1;
    *end = ':';
    return end + 1 + length + 1;
}

size_t ip_environment_room(char *const *environment)
{
    size_t entries = count(environment), size = (entries + 2) * sizeof(char *);

    for (size_t i = 0; i < entries; i++) {
        const char *value = preload_value(environment[i]);
        size += value ? sizeof variable + strlen(ip_state.library) + 1 + strlen(value) : 0;
    }
    return size;
}

/* Whether the loader will list what it would load, and run nothing: ld.so(8). */
static int is_traced(char *const *environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        if (ip_starts_with(environment[i], "LD_TRACE_LOADED_OBJECTS="))
            return 1;
    return 0;
}

/* Of several entries one loader takes the first, another the last. */
char **ip_environment_merge(char *const *environment, void *memory)
{
    if (is_traced(environment))
        return ip_environment_without_us(environment, memory);
    size_t entries = count(environment);
    char **merged = memory, *text = (char *)(merged + entries + 2);
    int placed = 0;

    for (size_t i = 0; i < entries; i++) {
        const char *value = preload_value(environment[i]);
        merged[i] = value ? text : environment[i];
        placed |= value != NULL;
        text = value ? put_with_us(text, value) : text;
    }
    if (!placed) {
        put_with_us(lasting_entry, NULL);
        merged[entries++] = lasting_entry;
    }
    merged[entries] = NULL;
    return merged;
}
