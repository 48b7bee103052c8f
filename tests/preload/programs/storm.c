/* Threads, signal handlers and forked children that make calls all at once: `storm COUNT`. Each makes a file of its own name
 * COUNT times; handlers interrupt them at any instruction. Prints how many calls the parent and its children made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

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
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    pthread_t threads[4];

    count = atoi(argv[1]);
    close(creat("handler", 0600));
    close(creat("thread", 0600));
    close(creat("child", 0600));
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i % 2 ? fork_often : make, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &off, NULL);
    printf("%d %d %d %d\n", handled, made, forked, failed);
    return 0;
}
