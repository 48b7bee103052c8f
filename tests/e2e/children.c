/* Starts `sh -c 'cat in > out'` in ways in which capture could be lost: children WAY. */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const program[] = {"sh", "-c", "cat in > out", NULL};
static char *const nothing[] = {NULL};
extern char **environ;

static int ended(pid_t child)
{
    int status = 1;

    return waitpid(child, &status, 0) < 0 || status;
}

static void *in_a_thread(void *result)
{
    pid_t child;

    if (posix_spawn(&child, "/bin/sh", NULL, NULL, program, nothing) == 0 && ended(child) == 0)
        *(int *)result = 0;
    return NULL;
}

static int thread(void)
{
    pthread_t one;
    int result = 1;

    return pthread_create(&one, NULL, in_a_thread, &result) || pthread_join(one, NULL) || result;
}

static int child(void (*prepare)(void), pid_t (*divide)(void), char *const **environment)
{
    pid_t started = divide();

    if (started)
        return ended(started);
    if (prepare)
        prepare();
    execve("/bin/sh", program, environment ? (char **)*environment : environ);
    _exit(1);
}

static void clear(void)
{
    clearenv();
}

static void unset(void)
{
    unsetenv("LD_PRELOAD");
}

static void set(void)
{
    setenv("LD_PRELOAD", "", 1);
}

static void swap(void)
{
    static char *own[] = {"PATH=/bin:/usr/bin", NULL};

    environ = own;
}

int main(int argc, char **argv)
{
    static char *const *none = nothing;
    const char *way = argc == 2 ? argv[1] : "";

    if (!strcmp(way, "clearenv"))
        return child(clear, fork, NULL);
    if (!strcmp(way, "unsetenv"))
        return child(unset, fork, NULL);
    if (!strcmp(way, "setenv"))
        return child(set, fork, NULL);
    if (!strcmp(way, "environ"))
        return child(swap, fork, NULL);
    if (!strcmp(way, "no-environment"))
        return child(NULL, fork, &none);
    if (!strcmp(way, "vfork")) {
        pid_t started = vfork();
        if (started == 0) {
            execve("/bin/sh", program, nothing);
            _exit(1);
        }
        return ended(started);
    }
    if (!strcmp(way, "thread"))
        return thread();
    if (!strcmp(way, "system")) {
        clearenv();
        return system("cat in > out");
    }
    return 2;
}
