/* An environment as no shell would make it: entries without '=', twice the same name, an empty one; changed by every function that can.
 *
 * needs: exec
 * events:
 *   fork fork child=*
 *   wait waitpid child=* exit_status=0
 *   fork fork child=*
 *   wait waitpid child=* exit_status=0
 *   fork fork child=*
 *   wait waitpid child=* exit_status=0
 *   fork fork child=*
 *   wait waitpid child=* exit_status=0
 *   spawn popen path=/bin/sh inode=*
 *   io fread bytes_read=* inode=@pipe
 *   io fclose inode=@pipe final
 * process image ...:
 * process image ...:
 * process image ...:
 * process image ...:
 * process image ...:
 * process image ...:
 */
#include "harness.h"

extern char **environ;

static void execute_with(char **environment)
{
    int status;
    pid_t child = fork();

    if (!child) {
        execve("/usr/bin/env", (char *[]){"env", NULL}, environment);
        _exit(99);
    }
    waitpid(child, &status, 0);
    say_status("env", status);
}

TOPIC(environment_odd)
{
    static char mine[] = "LD_PRELOAD=";
    char *odd[] = {"", "NOTHING", "=VALUE", "A=1", "A=2", "LD_PRELOADED=x", "LD_PRELOAD", "B=", NULL};
    char *empty[] = {"LD_PRELOAD=", "C=1", NULL}, *twice[] = {"LD_PRELOAD=", "D=1", "LD_PRELOAD=", NULL}, line[256];

    execute_with(odd);
    execute_with(empty);
    execute_with(twice);
    SAY(putenv(mine));
    say("getenv: %s|\n", getenv("LD_PRELOAD"));
    SAY(environ[0] != NULL);
    execute_with(environ);
    SAY(unsetenv("LD_PRELOAD"));
    say("getenv: %d\n", getenv("LD_PRELOAD") == NULL);
    SAY(clearenv());
    SAY(environ == NULL || *environ == NULL);
    SAY(setenv("PATH", "/usr/bin:/bin", 1));
    FILE *stream = popen("exec env", "r");
    while (fgets(line, sizeof line, stream))
        if (strncmp(line, "PWD=", 4) && strncmp(line, "_=", 2))
            say("%s", line);
    SAY(pclose(stream));
}
