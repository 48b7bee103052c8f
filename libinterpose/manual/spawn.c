/* posix_spawn(3), system(3), popen(3) and wordexp(3): libc makes the child by itself, so only its environment is ours to give. */
#include "cleanup.h"
#include "environment.h"
#include "exec.h"
#include "io.h"
#include "memory.h"
#include "spawn_actions.h"
#include "streams.h"
#include "syscall.h"
#include "wrapper.h"

typedef int spawn_function(int *, const char *, const void *, const void *, char *const *, char *const *);

struct spawn_call {
    const char *function;
    spawn_function *real;
    int search;
    const char *path;
    const void *actions, *attributes;
    char *const *arguments;
    char *const *environment;
};

/* A search in PATH looks for what has no '/'. */
static void inspect(struct ip_image *image, const struct spawn_call *call)
{
    int dir = AT_FDCWD, search = call->search && call->path && !ip_find(call->path, '/');
    const char *path = search || !call->path ? call->path : ip_spawn_path(call->actions, call->path, &dir, image->found);

    ip_image_inspect(image, dir, path ? path : call->path, search);
}

/* What a spawn is told from. */
struct spawned {
    const struct spawn_call *call;
    uint32_t child;
    int error;
    struct ip_image image;
    struct ip_spawn_files files;
};

static void look(void *memory)
{
    struct spawned *spawned = memory;

    inspect(&spawned->image, spawned->call);
    ip_spawn_files_look(&spawned->files, spawned->call->actions);
}

static void tell(void *memory)
{
    const struct spawned *spawned = memory;
    const struct spawn_call *call = spawned->call;

    if (spawned->error) {
        ip_spawn_files_failed(&spawned->files, call->function);
        if (ip_level_is_calls())
            ip_exec_failed(call->function, &spawned->image, spawned->error);
    } else {
        ip_spawn_files_tell(&spawned->files, call->function, spawned->child, !!spawned->image.blind);
        ip_spawned(call->function, spawned->child, &spawned->image, call->arguments);
    }
}

static int run(const struct spawn_call *call, int *child, int child_is_fd)
{
    int own_child = 0;

    if (!call->real) {
        ip_absent();
        return IP_ENOSYS;
    }
    if (!ip_recording() || !ip_exec_is_readable(call->path, call->arguments, call->environment))
        return call->real(child, call->path, call->actions, call->attributes, call->arguments, call->environment);
    IP_WITH_ROOM(room, sizeof(struct spawned) + ip_environment_room(call->environment));
    struct spawned *spawned = room;
    if (!spawned) {
        ip_count_skipped();
        return call->real(child, call->path, call->actions, call->attributes, call->arguments, call->environment);
    }
    spawned->call = call;
    ip_with_stack(look, spawned);
    char *const *environment = ip_environment_for(&spawned->image, call->arguments, call->environment, spawned + 1);
    int *result = child ? child : &own_child;
    int error = call->real(result, call->path, call->actions, call->attributes, call->arguments, environment);
    spawned->error = error;
    if (!error)
        spawned->child = child_is_fd ? ip_pid_of_pidfd(*result) : (uint32_t)*result;
    ip_with_stack(tell, spawned);
    IP_ROOM_DONE(room);
    return error;
}

#define SPAWN(name, search, is_fd)                                                                                    \
    IP_EXPORT int name(int *child, const char *path, const posix_spawn_file_actions_t *actions,                       \
                       const posix_spawnattr_t *attributes, char *const *arguments, char *const *environment);        \
    IP_EXPORT int name(int *child, const char *path, const posix_spawn_file_actions_t *actions,                       \
                       const posix_spawnattr_t *attributes, char *const *arguments, char *const *environment)         \
    {                                                                                                                 \
        return run(&(struct spawn_call){#name, (spawn_function *)IP_REAL_OF_CALLER(name), search, path, actions, attributes,   \
                                        arguments, environment},                                                     \
                   child, is_fd);                                                                                     \
    }

SPAWN(posix_spawn, 0, 0)
SPAWN(posix_spawnp, 1, 0)
SPAWN(pidfd_spawn, 0, 1)
SPAWN(pidfd_spawnp, 1, 1)

/* libc hands `environ` to the shell of system, popen and wordexp. It gets a merged one for the time of the call, and the program's own
 * comes back unless the program has replaced it meanwhile. A thread that is cancelled in the call gives it back, and where a handler
 * jumps out of it, what `environ` points to is still there. */
struct lent_environment {
    char **original, **merged;
    size_t size;
    struct ip_cleanup elsewhere;   /* musl does not take notice of jumps: what it has in its list stays valid */
};

IP_CLEANUP_ROUTINE static void take_back(void *memory)
{
    struct lent_environment *lent = memory;

    if (ip_environment() == lent->merged)
        ip_environment_set(lent->original);
    else
        ip_environment_hide();
    ip_release_room(lent, lent->size);
}

static struct lent_environment *lend(const struct ip_image *shell, struct ip_cleanup *cleanup)
{
    char **original = ip_environment();
    size_t size = sizeof(struct lent_environment) + ip_environment_room(original);
    struct lent_environment *lent = ip_image_takes_library(shell) ? ip_large_room(size) : NULL;

    if (!lent)
        return NULL;
    lent->original = original;
    lent->size = size;
    lent->merged = ip_environment_merge(original, lent + 1);
    ip_cleanup_push(ip_is_glibc() ? cleanup : &lent->elsewhere, take_back, lent);
    ip_environment_set(lent->merged);
    return lent;
}

static void end_loan(struct lent_environment *lent, struct ip_cleanup *cleanup)
{
    if (!lent)
        return;
    ip_cleanup_pop(ip_is_glibc() ? cleanup : &lent->elsewhere);
    take_back(lent);
}

static void inspect_shell(struct ip_image *image)
{
    ip_image_inspect(image, AT_FDCWD, "/bin/sh", 0);
}

IP_EXPORT int system(const char *command);
IP_EXPORT int system(const char *command)
{
    int (*real)(const char *) = (int (*)(const char *))IP_REAL(system);
    struct ip_image shell;
    struct ip_cleanup cleanup;

    if (!real) {
        ip_absent();
        return -1;
    }
    if (!command || !ip_recording())
        return real(command);
    inspect_shell(&shell);
    char *arguments[] = {"sh", "-c", (char *)command, NULL};
    ip_spawned("system", 0, &shell, arguments);
    struct lent_environment *lent = lend(&shell, &cleanup);
    int result = real(command);
    end_loan(lent, &cleanup);
    return result;
}

#define POPEN(name)                                                                                \
    IP_EXPORT FILE *name(const char *command, const char *mode);                                   \
    IP_EXPORT FILE *name(const char *command, const char *mode)                                    \
    {                                                                                              \
        return run_popen(#name, (FILE * (*)(const char *, const char *)) IP_REAL(name), command, mode); \
    }

static FILE *run_popen(const char *function, FILE *(*real)(const char *, const char *), const char *command, const char *mode)
{
    struct ip_image shell;
    struct ip_cleanup cleanup;

    if (!real) {
        ip_absent();
        return NULL;
    }
    if (!ip_recording())
        return real(command, mode);
    inspect_shell(&shell);
    struct lent_environment *lent = lend(&shell, &cleanup);
    FILE *result = real(command, mode);
    end_loan(lent, &cleanup);
    if (result) {
        char *arguments[] = {"sh", "-c", (char *)command, NULL};
        ip_fd_opened(ip_fileno(result), NULL);
        ip_stdio_opened(result);
        ip_spawned(function, 0, &shell, arguments);
    }
    return result;
}

POPEN(popen)
POPEN(_IO_popen)

IP_EXPORT int pclose(FILE *stream);
IP_EXPORT int pclose(FILE *stream)
{
    int (*real)(FILE *) = (int (*)(FILE *))IP_REAL(pclose);

    if (!real) {
        ip_absent();
        return -1;
    }
    if (ip_recording() && !ip_stdio_is_hooked(stream))
        ip_fd_closing("pclose", ip_fileno(stream));
    return real(stream);
}

/* Command substitution is a shell's work, and in musl all of it. */
static int needs_shell(const char *words, int flags)
{
    int is_glibc = ip_is_glibc();

    for (const char *at = words; is_glibc && !(flags & 4 /* WRDE_NOCMD */) && *at; at++)
        if (*at == '`' || (at[0] == '$' && at[1] == '('))
            return 1;
    return !is_glibc;
}

IP_EXPORT int wordexp(const char *words, wordexp_t *found, int flags);
IP_EXPORT int wordexp(const char *words, wordexp_t *found, int flags)
{
    int (*real)(const char *, wordexp_t *, int) = (int (*)(const char *, wordexp_t *, int))IP_REAL(wordexp);
    struct ip_image shell;
    struct ip_cleanup cleanup;

    if (!real)
        return -1 /* WRDE_NOSYS */;
    if (!ip_recording() || !needs_shell(words, flags))
        return real(words, found, flags);
    inspect_shell(&shell);
    ip_spawned("wordexp", 0, &shell, (char *[]){"sh", "-c", NULL});
    struct lent_environment *lent = lend(&shell, &cleanup);
    int result = real(words, found, flags);
    end_loan(lent, &cleanup);
    return result;
}
