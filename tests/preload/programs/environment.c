/* Shows the environment by every name that it has. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **__environ;

static void show(const char *title, char **entries)
{
    printf("%s:", title);
    for (; *entries; entries++)
        printf(" %s", *entries);
    printf("\n");
}

int main(int argc, char **argv, char **environment)
{
    show("environ", environ);
    show("__environ", __environ);
    show("main's", environment);
    printf("LD_PRELOAD: %s\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "none");
    putenv("ADDED=1");
    show("environ", environ);
    fflush(stdout);
    unsetenv("LD_PRELOAD");
    clearenv();
    return system("exec /usr/bin/env") >> 8;
}
