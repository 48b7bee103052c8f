/* The ways to end: told once, with the status, after what the handlers did.
 *
 * events:
 *   fork fork child=*
 *   wait waitpid exit_status=1 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=2 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=3 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=4 child=*
 *   fork fork child=*
 *   wait waitpid signal=6 child=*
 *   fork fork child=*
 *   wait waitpid signal=15 child=*
 * process fork:
 *   [constructor !musl] exit exit status=1
 *   open open path=by-handler write create
 *   [!constructor] exit exit status=1
 *   [constructor musl] exit exit status=1
 * process fork:
 *   exit _exit status=2
 * process fork:
 *   exit _Exit status=3
 * process fork:
 *   exit quick_exit status=4
 * process fork:
 *   kill kill process=* signal=15
 */
#include "harness.h"

static void handler(void)
{
    open("by-handler", O_WRONLY | O_CREAT, 0600);
}

static void run(int way)
{
    int status;
    pid_t child = fork();

    if (!child) {
        struct rlimit no_core = {0, 0};
        syscall(SYS_prlimit64, 0, RLIMIT_CORE, &no_core, NULL);
        switch (way) {
        case 1: atexit(handler); exit(1);
        case 2: _exit(2);
        case 3: _Exit(3);
        case 4: quick_exit(4);
        case 5: abort();
        case 6: kill(getpid(), SIGTERM);
        }
    }
    waitpid(child, &status, 0);
    status &= ~0x80;
    say_status("child", status);
}

TOPIC(exit)
{
    for (int way = 1; way <= 6; way++)
        run(way);
}
