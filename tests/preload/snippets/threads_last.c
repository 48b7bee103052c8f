/* The first thread leaves and the process goes on until its last thread has ended. (Before main
 * glibc does not survive that, and musl waits for ever.)
 *
 * needs: glibc
 * events:
 *   fork fork child=@c
 *   wait waitpid child=@c exit_status=0
 * [!constructor] process fork:
 *   thread_start pthread_create parent=@c thread=@t
 *   [thread] thread_exit pthread_create unwound
 *   open open path=by-last write create thread=@t
 *   thread_exit pthread_create thread=@t
 *   exit exit status=0
 */
#include "harness.h"

static _Atomic int started;

static void *go_on(void *unused)
{
    started = 1;
    syscall(SYS_nanosleep, &(struct timespec){0, 100000000}, NULL);
    syscall(SYS_close, open("by-last", O_WRONLY | O_CREAT, 0600));
    return NULL;
}

TOPIC(threads_last)
{
    int status, is_early = !main_environment;
    pid_t child = fork();

    if (!child) {
        if (is_early)
            syscall(SYS_exit_group, 0);
        pthread_t thread;
        pthread_create(&thread, NULL, go_on, NULL);
        while (!started)
            syscall(SYS_sched_yield);
        pthread_exit(NULL);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
}
