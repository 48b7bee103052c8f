/* The environment is the program's own: nothing of the library is in it.
 *
 * needs: exec
 * events:
 *   spawn system path=/bin/sh inode=* child=0
 * process image ...:
 * process image ...:
 */
#include "harness.h"

extern char **environ;

static void show(const char *title, char **environment)
{
    say("%s:", title);
    for (; environment && *environment; environment++)
        say(" %s", *environment);
    say("\n");
}

TOPIC(environment)
{
    show("environ", environ);
    show("main", main_environment);
    say("getenv: %s\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "none");
    SAY(unsetenv("LD_PRELOAD"));
    SAY(setenv("ADDED", "1", 1));
    show("environ", environ);
    say_status("env", system("exec env"));
    show("environ", environ);
}
