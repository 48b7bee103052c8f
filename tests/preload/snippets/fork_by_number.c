/* fork and clone by syscall(): each child is a process of its own, known to its parent; one that shares the memory is told apart.
 *
 * needs: exec
 * events:
 *   [x86_64] fork syscall child=@0
 *   [x86_64] wait waitpid child=@0 exit_status=1
 *   fork syscall child=@1
 *   wait waitpid child=@1 exit_status=2
 *   fork syscall child=@2
 *   wait waitpid child=@2 exit_status=3
 *   open open path=before write create fd=@f inode=@before process.pid=0
 *   [x86_64 glibc] open open path=companion write create process.pid=@c
 *   [x86_64 glibc] io write bytes_written=9 process.pid=@c
 *   [x86_64 glibc] chdir chdir path=/ process.pid=@c
 *   [x86_64 glibc] exit _exit status=4 process.pid=@c
 *   [x86_64 glibc] wait waitpid child=@c exit_status=4
 *   io write fd=@f bytes_written=5 inode=@before process.pid=0
 *   open open path=after write create base=WORK process.pid=0
 * [x86_64] process fork:
 *   origin none parent.pid=* parent.start_time=*
 *   open open path=forked write create
 *   exit _exit status=1
 * process fork:
 *   origin none parent.pid=* parent.start_time=*
 *   open open path=cloned write create
 *   exit _exit status=2
 * process fork:
 *   origin none parent.pid=* parent.start_time=*
 *   chdir chdir path=/
 *   exit _exit status=3
 */
#include "harness.h"

#include <stdint.h>

#undef syscall
long syscall(long, ...);

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

static void make(const char *path)
{
    unseen(SYS_close, open(path, O_WRONLY | O_CREAT, 0600));
}

static void end(long child)
{
    int status;

    SAY(waitpid((pid_t)child, &status, 0) == child);
    say_status("child", status);
}

#if defined(__x86_64__) && defined(__GLIBC__)
__attribute__((noinline)) static void go_on(void)
{
    int file = open("companion", O_WRONLY | O_CREAT, 0600);

    write(file, "companion", 9);
    unseen(SYS_close, file);
    chdir("/");
    _exit(4);
}

/* libc's function returns to what stands on the child's stack, which has nothing of ours. */
__attribute__((naked)) static void start(void)
{
    __asm__("and $-16, %rsp\n\tcall *16(%rsp)");
}

static void run_companion(void)
{
    static uintptr_t stack[8192] __attribute__((aligned(16)));
    uintptr_t *top = stack + 8000;

    top[0] = (uintptr_t)start;
    top[2] = (uintptr_t)go_on;
    end(syscall(SYS_clone, CLONE_VM | SIGCHLD, top, 0L, 0L, 0L));
}
#else
static void run_companion(void)
{
}
#endif

TOPIC(fork_by_number)
{
    uint64_t arguments[8] = {[4] = SIGCHLD}; /* struct clone_args */
    long child;

#ifdef SYS_fork
    child = syscall(SYS_fork);
    if (!child) {
        make("forked");
        _exit(1);
    }
    end(child);
#endif
    child = syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
    if (!child) {
        make("cloned");
        _exit(2);
    }
    end(child);
    child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (!child) {
        chdir("/");
        _exit(3);
    }
    end(child);
    SAY(syscall(SYS_clone3, (void *)8, sizeof arguments));
    SAY(syscall(SYS_clone, CLONE_THREAD, 0L, 0L, 0L, 0L));
    int before = open("before", O_WRONLY | O_CREAT, 0600);
    run_companion();
    write(before, "first", 5);
    make("after");
    unseen(SYS_close, before);
}
