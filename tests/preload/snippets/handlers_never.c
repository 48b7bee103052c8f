/* Handlers that never return: one ends the process, one executes a program, one jumps out of a shell's wait; and one in a thread
 * that a signal was sent to.
 *
 * needs: exec
 * events:
 *   fork fork child=@1
 *   wait waitpid child=@1 exit_status=1
 *   fork fork child=@2
 *   wait waitpid child=@2 exit_status=2
 *   spawn system path=/bin/sh inode=*
 *   signal none signal=14 code=-2
 *   thread_start pthread_create parent=@main thread=@t
 *   kill pthread_kill signal=10 thread=@main
 *   signal none signal=10 code=-6 sender=* thread=@t
 *   thread_exit pthread_create thread=@t
 * process fork:
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   exit _exit status=1
 * process fork:
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   exec execl path=* inode=*
 * process image:
 *   exit exit status=2
 * process image ...:
 */
#include "harness.h"

#include <setjmp.h>

extern char **environ;
static sigjmp_buf return_to;
static volatile int handled;

static void end(int signal)
{
    _exit(1);
}

static void execute(int signal)
{
    execl(self, self, "leaf", "by-handler", "2", (char *)NULL);
}

static void jump(int signal)
{
    while (syscall(SYS_faccessat, AT_FDCWD, "started", F_OK) < 0)
        ;
    syscall(SYS_nanosleep, &(struct timespec){0, 50000000}, NULL);
    siglongjmp(return_to, 1);
}

static void count(int signal)
{
    handled++;
}

static void die_by(void (*handler)(int))
{
    int status;
    pid_t child = fork();

    if (!child) {
        signal(SIGUSR1, handler);
        raise(SIGUSR1);
        _exit(99);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
}

/* Overwrites what a call has left below. */
__attribute__((noinline)) static void overwrite(void)
{
    volatile char room[32768];

    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 'x';
}

static void leave_system(void)
{
    struct itimerspec soon = {{0, 0}, {0, 200000000}};
    struct sigevent how = {.sigev_notify = 4 /* SIGEV_THREAD_ID */, .sigev_signo = SIGALRM};
    int timer;
    sigset_t child;

    syscall(SYS_mknodat, AT_FDCWD, "fifo", S_IFIFO | 0600, 0);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = jump}, NULL);
    ((int *)&how)[4] = (int)syscall(SYS_gettid);
    syscall(SYS_timer_create, CLOCK_MONOTONIC, &how, &timer);
    if (!sigsetjmp(return_to, 1)) {
        syscall(SYS_timer_settime, timer, 0, &soon, NULL);
        system(": > started; : < fifo");
        say("system returned\n");
    }
    syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, "fifo", O_WRONLY | O_NONBLOCK)); /* ends a shell that goes on */
    overwrite();
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, "LD_PRELOAD=", 11))
            say("%s\n", *entry);
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    pthread_sigmask(SIG_UNBLOCK, &child, NULL);
}

static void *wait_for_one(void *ready)
{
    *(_Atomic int *)ready = 1;
    while (!handled)
        syscall(SYS_sched_yield);
    return NULL;
}

TOPIC(handlers_never)
{
    _Atomic int ready = 0;
    pthread_t thread;

    die_by(end);
    die_by(execute);
    leave_system();
    signal(SIGUSR1, count);
    handled = 0;
    pthread_create(&thread, NULL, wait_for_one, &ready);
    while (!ready)
        syscall(SYS_sched_yield);
    say("pthread_kill: %d\n", pthread_kill(thread, SIGUSR1));
    pthread_join(thread, NULL);
    say("handled %d\n", handled);
    signal(SIGUSR1, SIG_DFL);
}
