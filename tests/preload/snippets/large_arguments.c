/* More arguments and environment than a record holds, and than a stack is asked for.
 *
 * needs: exec
 * events:
 *   fork vfork child=@1 vfork
 *   wait waitpid child=@1 exit_status=3
 *   fork fork child=*
 *   wait waitpid child=* exit_status=3
 *   spawn posix_spawn child=@3 arguments_omitted=*
 *   wait waitpid child=@3 exit_status=3
 * process image:
 *   exit exit status=3
 * process image:
 *   exit exit status=3
 * process image:
 *   exit exit status=3
 */
#include "harness.h"

static long pages_mapped(void)
{
    char text[64] = "";
    long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/statm", O_RDONLY);

    syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    return atol(text);
}

TOPIC(large_arguments)
{
    static char text[9000][20], *environment[9001], *arguments[3005] = {self, "leaf", "large", "3"};
    int status;
    pid_t child;

    for (int i = 0; i < 9000; i++) {
        sprintf(text[i], "VARIABLE%d=1", i);
        environment[i] = text[i];
    }
    for (int i = 4; i < 3004; i++)
        arguments[i] = "an argument";
    long before = pages_mapped();
    child = vfork();
    if (!child) {
        execve(self, arguments, environment);
        _exit(99);
    }
    SAY(waitpid(child, &status, 0) == child);
    say_status("vfork", status);
    say("the child left memory behind: %d\n", pages_mapped() != before);
    child = fork();
    if (!child) {
        execve(self, arguments, environment);
        _exit(99);
    }
    SAY(waitpid(child, &status, 0) == child);
    say_status("fork", status);
    int error = posix_spawn(&child, self, NULL, NULL, arguments, environment);
    SAY(waitpid(child, &status, 0) == child);
    say("%d\n", error);
    say_status("posix_spawn", status);
}
