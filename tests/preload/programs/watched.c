/* Executes a program again and again, and prints how often it was opened each time: `watched PROGRAM TIMES`. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

static int opens_seen(int watch)
{
    char events[4096] __attribute__((aligned(8)));
    int seen = 0;
    ssize_t size;

    while ((size = read(watch, events, sizeof events)) > 0)
        for (ssize_t at = 0; at < size; at += sizeof(struct inotify_event) + ((struct inotify_event *)(events + at))->len)
            seen++;
    return seen;
}

int main(int argc, char **argv)
{
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (argc < 3 || inotify_add_watch(watch, argv[1], IN_OPEN) < 0)
        return 98;
    for (int times = atoi(argv[2]); times > 0; times--) {
        pid_t child = fork();
        if (!child)
            _exit((execl(argv[1], argv[1], (char *)0), 99));
        int status = -1;
        waitpid(child, &status, 0);
        printf("%d %d\n", opens_seen(watch), WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        fflush(stdout);
    }
    return 0;
}
