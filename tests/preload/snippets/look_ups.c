/* A program that looks functions up by itself finds those that it would find, and they work; what the libc lacks is not there. A second
 * namespace of objects has a libc of its own. (What is looked up in libc itself, by its handle or as the next after a library, is that.)
 *
 * needs: glibc exec
 * events:
 *   open open path=by-default write create
 *   open open path=by-version write create
 *   open open path=afterwards write create
 */
#include "harness.h"

#include <dlfcn.h>

#ifdef __x86_64__
#define FIRST_GLIBC "GLIBC_2.2.5"
#else
#define FIRST_GLIBC "GLIBC_2.17"
#endif

int close_range(unsigned int first, unsigned int last, int flags) __attribute__((weak));
int pidfd_spawn(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
                char *const *) __attribute__((weak));
pid_t _Fork(void) __attribute__((weak));
size_t strlcpy(char *, const char *, size_t) __attribute__((weak));

static void try(void *function, const char *path)
{
    say("%s: found %d\n", path, function != NULL);
    if (function)
        syscall(SYS_close, ((int (*)(const char *, int, ...))function)(path, O_WRONLY | O_CREAT, 0600));
}

static void say_lacking(void)
{
    static const char *const names[] = {"close_range", "closefrom", "execveat", "_Fork",        "pidfd_open",       "pidfd_spawn",
                                        "epoll_pwait2", "strlcpy",  "statx",    "getdents64",   "posix_spawn",      "gettid",
                                        "process_vm_readv", "memfd_create", "fsopen", "open_tree", "no_such_function"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        say("%s: %d\n", names[i], dlsym(RTLD_DEFAULT, names[i]) != NULL);
    say("weak: %d %d %d %d\n", close_range != NULL, pidfd_spawn != NULL, _Fork != NULL, strlcpy != NULL);
}

#ifdef __GLIBC__
/* It has its own copy of libc, which is none of ours. */
static void use_namespace(void)
{
    void *library = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);

    SAY(library != NULL);
    size_t (*length)(const char *) = library ? dlsym(library, "strlen") : NULL;
    say("%d, another: %d\n", length ? (int)length("four") : -1, (void *)length != dlsym(RTLD_DEFAULT, "strlen"));
    if (library)
        SAY(dlclose(library));
}

#endif

TOPIC(look_ups)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

    try(dlsym(RTLD_DEFAULT, "open"), "by-default");
    try(dlsym(RTLD_NEXT, "open"), "by-next");
    try(dlsym(libc, "open"), "by-handle");
#ifdef __GLIBC__
    try(dlvsym(RTLD_DEFAULT, "open", FIRST_GLIBC), "by-version");
#endif
    say_lacking();
#ifdef __GLIBC__
    use_namespace();
#endif
    try(dlsym(RTLD_DEFAULT, "open"), "afterwards");
}
