/* The exec family: each keeps its own search rules, since each calls the libc function that has them. */
#include "exec.h"

#include "environment.h"
#include "number.h"

#define SMALL_ROOM 2048            /* on a stack of which nothing is known, where nothing may be mapped */

enum kind { EXECVE, EXECVPE, FEXECVE, EXECVEAT, BY_NUMBER, AT_BY_NUMBER };

struct exec_call {
    const char *function;
    enum kind kind;
    int dir;                       /* FEXECVE: the program itself */
    const char *path;
    int flags;
    char *const *arguments;
    char *const *environment;
};

static int invoke(const struct exec_call *call, char *const *environment)
{
    void *real = call->kind == EXECVE    ? IP_REAL(execve)
                 : call->kind == EXECVPE ? IP_REAL(execvpe)
                 : call->kind == FEXECVE ? IP_REAL(fexecve)
                 : call->kind == BY_NUMBER || call->kind == AT_BY_NUMBER ? IP_REAL(syscall)
                                         : IP_REAL(execveat);

    if (!real) {
        ip_absent();
        return -1;
    }
    switch (call->kind) {
    case FEXECVE: return ((int (*)(int, char *const *, char *const *))real)(call->dir, call->arguments, environment);
    case EXECVEAT:
        return ((int (*)(int, const char *, char *const *, char *const *, int))real)(call->dir, call->path, call->arguments,
                                                                                     environment, call->flags);
    case BY_NUMBER:
        return (int)((ip_gate *)real)(__NR_execve, (long)call->path, (long)call->arguments, (long)environment, 0, 0, 0);
    case AT_BY_NUMBER:
        return (int)((ip_gate *)real)(__NR_execveat, call->dir, (long)call->path, (long)call->arguments, (long)environment,
                                      call->flags, 0);
    default: return ((int (*)(const char *, char *const *, char *const *))real)(call->path, call->arguments, environment);
    }
}

/* The new program inherits the filter, which may end it for a system call of ours: it goes without the library, which the program may have
 * found in the stack's environment and hands on. */
static int run_sandboxed(const struct exec_call *call)
{
    int captured = ip_state.dispatched; /* which ends with the program */
    size_t size = captured || ip_environment_lists_us(call->environment) ? ip_environment_room(call->environment) : 0;
    size_t left = ip_stack_left();
    int fits = size && size <= (left ? left / 2 : SMALL_ROOM);
    char room[fits ? size : 1] __attribute__((aligned(16)));
    char *const *environment = !fits      ? call->environment
                               : captured ? ip_environment_merge(call->environment, room)
                                          : ip_environment_without_us(call->environment, room);

    ip_exec_told_in_sandbox(call->function, call->dir, call->path, call->arguments, 0);
    int result = invoke(call, environment);
    ip_exec_told_in_sandbox(call->function, call->dir, call->path, NULL, ip_errno());
    return result;
}

static int run(const struct exec_call *call)
{
    if (ip_exec_is_sandboxed())
        return run_sandboxed(call);

    if (!ip_recording() || !ip_exec_is_readable(call->path, call->arguments, call->environment))
        return invoke(call, call->environment);
    IP_WITH_ROOM(room, sizeof(struct ip_image) + ip_environment_room(call->environment));
    struct ip_image *image = room;
    if (!image) {
        ip_count_skipped();
        return invoke(call, call->environment);
    }
    ip_image_inspect(image, call->dir, call->kind == FEXECVE ? "" : call->path, call->kind == EXECVPE);
    char *const *environment = ip_environment_for(image, call->arguments, call->environment, image + 1);
    ip_exec_begins(call->function, image, call->arguments);
    int result = invoke(call, environment);
    ip_exec_failed(call->function, image, ip_errno());
    IP_ROOM_DONE(room);
    return result;
}

IP_EXPORT int execve(const char *path, char *const *arguments, char *const *environment);
IP_EXPORT int execve(const char *path, char *const *arguments, char *const *environment)
{
    return run(&(struct exec_call){"execve", EXECVE, AT_FDCWD, path, 0, arguments, environment});
}

IP_EXPORT int execv(const char *path, char *const *arguments);
IP_EXPORT int execv(const char *path, char *const *arguments)
{
    return run(&(struct exec_call){"execv", EXECVE, AT_FDCWD, path, 0, arguments, ip_environment()});
}

IP_EXPORT int execvp(const char *file, char *const *arguments);
IP_EXPORT int execvp(const char *file, char *const *arguments)
{
    return run(&(struct exec_call){"execvp", EXECVPE, AT_FDCWD, file, 0, arguments, ip_environment()});
}

IP_EXPORT int execvpe(const char *file, char *const *arguments, char *const *environment);
IP_EXPORT int execvpe(const char *file, char *const *arguments, char *const *environment)
{
    return run(&(struct exec_call){"execvpe", EXECVPE, AT_FDCWD, file, 0, arguments, environment});
}

IP_EXPORT int fexecve(int fd, char *const *arguments, char *const *environment);
IP_EXPORT int fexecve(int fd, char *const *arguments, char *const *environment)
{
    return run(&(struct exec_call){"fexecve", FEXECVE, fd, NULL, 0, arguments, environment});
}

IP_EXPORT int execveat(int dir, const char *path, char *const *arguments, char *const *environment, int flags);
IP_EXPORT int execveat(int dir, const char *path, char *const *arguments, char *const *environment, int flags)
{
    return run(&(struct exec_call){"execveat", EXECVEAT, dir, path, flags, arguments, environment});
}

IP_NUMBER(execve)
{
    (void)real, (void)a3, (void)a4, (void)a5;
    return run(&(struct exec_call){"syscall", BY_NUMBER, AT_FDCWD, (const char *)a0, 0, (char *const *)a1, (char *const *)a2});
}

IP_NUMBER(execveat)
{
    (void)real, (void)a5;
    return run(&(struct exec_call){"syscall", AT_BY_NUMBER, (int)a0, (const char *)a1, (int)a4, (char *const *)a2,
                                   (char *const *)a3});
}

/* execl and its siblings: the arguments are counted first, then gathered. */
static size_t count(const char *first, va_list arguments)
{
    size_t total = first ? 1 : 0;

    for (const char *argument = first; argument; total += argument != NULL)
        argument = va_arg(arguments, const char *);
    return total;
}

static void gather(char **out, const char *first, va_list arguments)
{
    for (*out = (char *)first; *out;)
        *++out = va_arg(arguments, char *);
}

#define GATHER(arguments, first)                  \
    va_list list;                                 \
    va_start(list, first);                        \
    size_t total = count(first, list);            \
    va_end(list);                                 \
    char *arguments[total + 1];                   \
    va_start(list, first);                        \
    gather(arguments, first, list)

IP_EXPORT int execl(const char *path, const char *argument, ...);
IP_EXPORT int execl(const char *path, const char *argument, ...)
{
    GATHER(arguments, argument);
    va_end(list);
    return run(&(struct exec_call){"execl", EXECVE, AT_FDCWD, path, 0, arguments, ip_environment()});
}

IP_EXPORT int execle(const char *path, const char *argument, ...);
IP_EXPORT int execle(const char *path, const char *argument, ...)
{
    GATHER(arguments, argument);
    char *const *environment = va_arg(list, char *const *);
    va_end(list);
    return run(&(struct exec_call){"execle", EXECVE, AT_FDCWD, path, 0, arguments, environment});
}

IP_EXPORT int execlp(const char *file, const char *argument, ...);
IP_EXPORT int execlp(const char *file, const char *argument, ...)
{
    GATHER(arguments, argument);
    va_end(list);
    return run(&(struct exec_call){"execlp", EXECVPE, AT_FDCWD, file, 0, arguments, ip_environment()});
}
