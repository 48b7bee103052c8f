#include "wrapper.h"

#include <linux/fcntl.h>

#include "elf.h"
#include "start.h"

void *ip_reals[IP_FUNCTIONS];

void *ip_resolve(enum ip_function function)
{
    if (atomic_load(&ip_state.phase) == IP_UNSTARTED)
        ip_start();
    void *real = ip_elf_find_next(ip_function_names[function]);
    __atomic_store_n(&ip_reals[function], real, __ATOMIC_RELAXED);
    return real;
}

/* By place of call; a place is never given up. */
static struct {
    _Atomic uintptr_t caller;      /* 0: free, TAKEN: being filled */
    enum ip_function function;
    void *real;
} calls[64];
#define TAKEN 1

static void *real_version(enum ip_function function, uintptr_t caller)
{
    const char *name = ip_function_names[function], *version = ip_elf_version_needed_at(caller, name);
    void *old = version ? ip_elf_find_version(name, version) : NULL;

    return old ? old : ip_real(function);
}

void *ip_real_of_caller(enum ip_function function, uintptr_t caller)
{
    size_t places = sizeof calls / sizeof *calls;

    if (!ip_real(function))
        return NULL;
    for (size_t i = 0; i < places; i++) {
        uintptr_t found = 0;
        if (atomic_load(&calls[i].caller) == caller && calls[i].function == function)
            return calls[i].real;
        if (!atomic_compare_exchange_strong(&calls[i].caller, &found, TAKEN))
            continue;
        void *real = calls[i].real = real_version(function, caller);
        calls[i].function = function;
        atomic_store(&calls[i].caller, caller);
        return real;
    }
    return real_version(function, caller);
}

static int *errno_location(void)
{
    static int *(*location)(void);

    if (!location)
        location = (int *(*)(void))ip_elf_find_next("__errno_location");
    return location ? location() : NULL;
}

int ip_errno(void)
{
    int *location = errno_location();

    return location ? *location : 0;
}

void ip_set_errno(int error)
{
    int *location = errno_location();

    if (location)
        *location = error;
}

void ip_absent(void)
{
    ip_set_errno(IP_ENOSYS);
}

int ip_open_takes_mode(int flags)
{
    return flags & O_CREAT || (flags & __O_TMPFILE) == __O_TMPFILE;
}

int ip_fopen_flags(const char *mode)
{
    int update = 0, flags = mode[0] == 'w' ? O_CREAT | O_TRUNC : mode[0] == 'a' ? O_CREAT | O_APPEND : 0;

    for (const char *at = mode; *at && *at != ','; at++) {
        update |= *at == '+';
        flags |= *at == 'x' ? O_EXCL : 0;
    }
    return flags | (update ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY);
}

int ip_fopen_maps(const char *mode)
{
    int maps = 0;

    for (const char *at = mode; *at && *at != ','; at++) {
        if (*at == '+')
            return 0;
        maps |= *at == 'm';
    }
    return maps && mode[0] == 'r' && ip_is_glibc();
}

int ip_fileno(FILE *stream)
{
    int (*real)(FILE *) = (int (*)(FILE *))IP_REAL(fileno);

    return stream && real ? real(stream) : -1;
}

int ip_dirfd(DIR *stream)
{
    int (*real)(DIR *) = (int (*)(DIR *))IP_REAL(dirfd);

    return stream && real ? real(stream) : -1;
}
