/* However little environment a program leaves to the next one, that is captured.
 *
 * needs: exec
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
 *   wait waitpid exit_status=5 child=*
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 * process image:
 *   exit exit status=3
 * process image:
 *   exit exit status=4
 * process image:
 *   exit exit status=5
 */
#include "harness.h"

extern char **environ;

static void run(const char *status, char **environment, void (*prepare)(void))
{
    char *arguments[] = {self, "leaf", "cleared", (char *)status, NULL};
    int ended;
    pid_t child = fork();

    if (!child) {
        if (prepare) {
            prepare();
            execv(self, arguments);
        }
        execve(self, arguments, environment);
        _exit(99);
    }
    waitpid(child, &ended, 0);
    say_status("child", ended);
}

static void clear(void)
{
    clearenv();
}

static void take_away(void)
{
    environ = NULL;
}

static void preload_another(void)
{
    setenv("LD_PRELOAD", "", 1);
}

TOPIC(environment_cleared)
{
    char *empty[] = {NULL};

    run("1", empty, NULL);
    run("2", NULL, clear);
    run("3", NULL, take_away);
    run("4", NULL, preload_another);
    run("5", NULL, NULL);
}
