/* The end of a process, and main's return, which is one. */
#include "environment.h"
#include "start.h"
#include "number.h"

/* exit runs handlers that still have effects, so the library's destructor tells of the end. There is none in a program
 * that ends before the constructor ran. */
IP_EXPORT _Noreturn void exit(int status);
IP_EXPORT _Noreturn void exit(int status)
{
    void (*real)(int) = (void (*)(int))IP_REAL(exit);

    atomic_store(&ip_state.exit_status, status);
    if (!ip_state.constructed)
        ip_finish("exit", status);
    real(status);
    __builtin_unreachable();
}

#define EXIT(name)                                  \
    IP_EXPORT _Noreturn void name(int status);      \
    IP_EXPORT _Noreturn void name(int status)       \
    {                                               \
        void (*real)(int) = (void (*)(int))IP_REAL_OF_CALLER(name); \
        ip_finish(#name, status);                   \
        real(status);                               \
        __builtin_unreachable();                    \
    }

EXIT(_exit)
EXIT(_Exit)
EXIT(quick_exit)

IP_NUMBER(exit_group)
{
    ip_finish("syscall", (int)a0);
    return real(__NR_exit_group, a0, a1, a2, a3, a4, a5);
}

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

static main_function *program_main;

/* main's third argument is the environment as the program is to see it, also where libc passes the stack's. */
static int run_main(int argc, char **argv, char **environment)
{
    ip_environment_hide();
    char **own = ip_environment();
    int status = program_main(argc, argv, own ? own : environment);

    atomic_store(&ip_state.exit_status, status);
    return status;
}

IP_EXPORT int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                void (*loader_fini)(void), void *stack_end);
IP_EXPORT int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                void (*loader_fini)(void), void *stack_end)
{
    if (atomic_load(&ip_state.phase) == IP_UNSTARTED)
        ip_start_at(argv);
    start_function *real = (start_function *)IP_REAL(__libc_start_main);
    program_main = main;
    return real(run_main, argc, argv, init, fini, loader_fini, stack_end);
}
