/* Threads, signal handlers and forked children that make calls all at once: `storm COUNT`. Each makes a file of its own name
 * COUNT times; handlers interrupt them at any instruction. Prints how many calls the parent and its children made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alarms.h"

static int count;
static _Atomic int handled, made, forked, failed;

static void handle(int signal)
{
    if (chmod("handler", 0600))
        failed++;
    else
        handled++;
}

static void *make(void *unused)
{
    for (int i = 0; i < count; i++) {
        if (chmod("thread", 0600))
            failed++;
        else
            made++;
    }
    return NULL;
}

static void *fork_often(void *unused)
{
    for (int i = 0; i < count / 50; i++) {
        int status = -1;
        pid_t child = fork();
        if (!child) {
            chmod("child", 0600);
            _exit(3);
        }
        while (waitpid(child, &status, 0) < 0)
            ;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
            forked++;
        else
            failed++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    void *(*const bodies[])(void *) = {make, fork_often, make, fork_often};

    count = atoi(argv[1]);
    close(creat("handler", 0600));
    close(creat("thread", 0600));
    close(creat("child", 0600));
    run_under_alarms(handle, bodies);
    printf("%d %d %d %d\n", handled, made, forked, failed);
    return 0;
}
