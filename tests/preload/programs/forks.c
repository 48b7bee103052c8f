/* Forks past libc, and by libc; each process opens a file that is called as its pid. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* clone(2) with nothing but a signal, made by the instruction itself. */
static long fork_unseen(void)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"((long)SIGCHLD), "S"(0L), "d"(0L), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = SIGCHLD;
    register long x1 __asm__("x1") = 0;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#endif
}

static void open_own(void)
{
    char name[32];

    sprintf(name, "%ld", (long)syscall(SYS_getpid));
    close(open(name, O_WRONLY | O_CREAT, 0600));
}

static void run(long child)
{
    if (!child) {
        open_own();
        _exit(0);
    }
    waitpid((pid_t)child, NULL, 0);
    open_own();
}

int main(void)
{
    open_own();
    run(fork_unseen());
    run(fork());
    run(syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L));
    run(vfork());
    return 0;
}
