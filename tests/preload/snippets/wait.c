/* Every function that waits, and what it learns.
 *
 * events:
 *   fork fork child=@1
 *   wait wait child=@1 exit_status=1
 *   fork fork child=@2
 *   wait waitpid child=@2 exit_status=2
 *   fork fork child=@3
 *   wait wait3 child=@3 exit_status=3
 *   fork fork child=@4
 *   wait wait4 child=@4 exit_status=4
 *   fork fork child=@5
 *   wait waitid child=@5 exit_status=5
 *   fork fork child=@6
 *   wait waitid child=@6 signal=10
 *   fork fork child=@7
 *   wait waitpid child=@7
 */
#include "harness.h"

static pid_t child_with(int status)
{
    pid_t child = fork();

    if (!child) {
        if (status < 0)
            syscall(SYS_kill, syscall(SYS_getpid), -status);
        syscall(SYS_exit_group, status);
    }
    return child;
}

TOPIC(wait)
{
    int status;
    siginfo_t info;

    pid_t child = child_with(1);
    SAY(wait(&status) == child);
    child = child_with(2);
    SAY(waitpid(child, &status, 0) == child);
    child = child_with(3);
    SAY(wait3(&status, 0, NULL) == child);
    child = child_with(4);
    SAY(wait4(child, &status, 0, NULL) == child);
    say_status("wait4", status);
    child = child_with(5);
    SAY(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    SAY(waitid(P_PID, (id_t)child, &info, WEXITED));
    SAY(info.si_pid == child);
    say("%d %d\n", info.si_code, info.si_status);
    child = child_with(-SIGUSR1);
    SAY(waitid(P_PID, (id_t)child, &info, WEXITED));
    say("%d %d\n", info.si_code, info.si_status);
    child = child_with(7);
    SAY(waitpid(child, NULL, 0) == child);
    SAY(waitpid(-1, &status, WNOHANG));
}
