/* Four threads, and a signal handler that interrupts them at any instruction. */
#ifndef ALARMS_H
#define ALARMS_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

static void run_under_alarms(void (*handler)(int), void *(*const bodies[4])(void *))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    pthread_t threads[4];

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, bodies[i], NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &off, NULL);
}

#endif
