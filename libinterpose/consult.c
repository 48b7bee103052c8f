/* What libc opens inside of itself passes no wrapper of open. Most of it goes through a stream, whose reads are hooked; the rest
 * stays mapped, and is found in the list of mappings by what such files are called. */
#include "consult.h"

#include "bindings.h"
#include "env.h"
#include "files.h"
#include "journal.h"
#include "maps.h"
#include "streams.h"
#include "syscall.h"

#define KNOWN 64

_Atomic uint32_t ip_consulted;
static _Atomic uint64_t known[KNOWN]; /* inodes that were told of; a forked child has inherited the mappings too */

int ip_is_locale_file(const char *name)
{
    return name && name[0] && !ip_equal(name, "C") && !ip_equal(name, "POSIX");
}

static int is_new(const struct ip_wire_File *file)
{
    uint64_t key = file->inode ^ file->device << 20;

    for (int i = 0; i < KNOWN; i++) {
        uint64_t found = 0;
        if (atomic_load_explicit(&known[i], memory_order_relaxed) == key)
            return 0;
        if (atomic_compare_exchange_strong(&known[i], &found, key))
            return 1;
        if (found == key)
            return 0;
    }
    return 1;
}

static void tell(const char *function, const char *path)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name;
    struct ip_wire_Consult consult = {.name = &name, .file = &file};
    struct ip_wire_Event event;

    if (ip_file_at(&file, AT_FDCWD, path, 0) < 0 || !is_new(&file))
        return;
    name = ip_name(0, AT_FDCWD, path, base);
    event = ip_event(function, 0);
    event.effect = IP_EVENT_CONSULT;
    event.consult = &consult;
    ip_emit(&event);
}

/* libc says nothing of what it may not read. */
static void tell_if_readable(const char *function, const char *path)
{
    if (path && !ip_syscall(__NR_faccessat, AT_FDCWD, (long)path, 4 /* R_OK */, 0, 0, 0))
        tell(function, path);
}

/* glibc opens this directory, sees that it is one, and goes on to the file in it. */
static void tell_of_directory(const char *function, char *path)
{
    static const char file[] = "/SYS_LC_MESSAGES";
    size_t length = strlen(path);

    if (length < sizeof file || !ip_equal(path + length - sizeof file + 1, file))
        return;
    path[length - sizeof file + 1] = 0;
    tell(function, path);
    path[length - sizeof file + 1] = '/';
}

static int ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), wanted = strlen(ending);

    return length >= wanted && ip_equal(text + length - wanted, ending);
}

static int contains(const char *text, const char *part)
{
    for (; *text; text++)
        if (ip_starts_with(text, part))
            return 1;
    return 0;
}

/* Locales, message catalogues, the table of conversions, and in musl the time zone. */
static int is_data_of_libc(const char *path)
{
    return contains(path, "/locale/") || contains(path, "/LC_") || ends_with(path, ".mo") || ends_with(path, ".cat") ||
           ends_with(path, "/gconv-modules.cache") || contains(path, "/zoneinfo/") || ends_with(path, "/localtime");
}

/* One line of the mappings: the path is what begins with the first slash. */
static int look_at(void *function, char *line)
{
    char *path = (char *)ip_find(line, '/');

    if (!path || !is_data_of_libc(path))
        return 0;
    tell_of_directory(function, path);
    tell(function, path);
    return 0;
}

static void look_at_maps(const char *function)
{
    ip_maps_walk(look_at, (void *)function);
}

void ip_consult(const struct ip_call_consult *call)
{
    struct ip_wire_Consult consult = {.source = (uint32_t)call->source};

    if (ip_is_borrower())
        return; /* the mappings are its parent's, who will tell of them */
    tell_if_readable(call->function, call->path);
    if (!ip_stdio_is_shared())
        tell_if_readable(call->function, call->file);
    if (call->maps)
        look_at_maps(call->function);
    if (call->source && !(atomic_fetch_or(&ip_consulted, (uint32_t)call->source) & (uint32_t)call->source))
        IP_EMIT(call, CONSULT, consult, &consult);
}

void ip_consult_zone(const char *function)
{
    if (ip_is_borrower())
        return;
    atomic_fetch_or(&ip_consulted, IP_CONSULTED_ZONE | IP_CONSULTED_LATER);
    ip_env_asked(function, "TZ");
}

const char *ip_sysconf_file(int name)
{
    if (!ip_is_glibc())
        return NULL;
    switch (name) {
    case 3: return "/proc/sys/kernel/ngroups_max"; /* _SC_NGROUPS_MAX */
    case 83: return "/sys/devices/system/cpu/possible"; /* _SC_NPROCESSORS_CONF */
    case 84: return "/sys/devices/system/cpu/online"; /* _SC_NPROCESSORS_ONLN */
    default: return NULL;
    }
}

void ip_consult_loader(void)
{
    /* glibc's loader looks every library up there that is not asked for by its path, as libc.so.6 never is. */
    if (ip_stdio_is_shared())
        tell("", "/etc/ld.so.cache");
}

void ip_consult_finish(const char *function)
{
    if (atomic_load(&ip_consulted) & IP_CONSULTED_LATER && !ip_is_borrower())
        look_at_maps(function);
}
