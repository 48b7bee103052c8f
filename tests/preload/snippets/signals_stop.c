/* A child that is stopped and goes on has not ended; one that a signal killed has, and how is told.
 *
 * events:
 *   fork fork child=@1
 *   kill kill process=@1 signal=18
 *   kill kill process=@1 signal=9
 *   wait waitpid child=@1 signal=9
 *   fork fork child=@2
 *   wait waitid child=@2 signal=15
 */
#include "harness.h"

TOPIC(signals_stop)
{
    siginfo_t info = {0};
    int status = 0;
    pid_t child = fork();

    if (!child) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
        for (;;)
            pause();
    }
    SAY(waitpid(child, &status, WUNTRACED) == child);
    say("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    SAY(waitpid(child, &status, WNOHANG | WUNTRACED));
    SAY(kill(child, SIGCONT));
    SAY(waitpid(child, &status, WCONTINUED) == child);
    say("goes on %d\n", WIFCONTINUED(status));
    SAY(kill(child, SIGKILL));
    SAY(waitpid(child, &status, 0) == child);
    say_status("child", status);
    child = fork();
    if (!child) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
        for (;;)
            pause();
    }
    SAY(waitid(P_PID, (id_t)child, &info, WSTOPPED));
    say("%d %d\n", info.si_code, info.si_status);
    syscall(SYS_kill, child, SIGCONT);
    SAY(waitid(P_PID, (id_t)child, &info, WCONTINUED));
    say("%d %d\n", info.si_code, info.si_status);
    syscall(SYS_kill, child, SIGTERM);
    SAY(waitid(P_PID, (id_t)child, &info, WEXITED));
    say("%d %d\n", info.si_code, info.si_status);
}
