/* Runs a program in each way, waits, and prints how it ended: `runs PROGRAM`. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void ended(const char *way, pid_t child)
{
    int status = -1;

    waitpid(child, &status, 0);
    printf("%s %d\n", way, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char *arguments[] = {argv[1], NULL}, *empty[] = {NULL};
    pid_t child = fork();

    if (!child)
        _exit((execv(argv[1], arguments), 99));
    ended("fork", child);
    child = vfork();
    if (!child)
        _exit((execve(argv[1], arguments, empty), 99));
    ended("vfork", child);
    printf("%d\n", posix_spawn(&child, argv[1], NULL, NULL, arguments, empty));
    ended("posix_spawn", child);
    execv(argv[1], arguments);
    return 98;
}
