/* Threads that return, leave and are cancelled, also in the midst of anything; what is to be cleaned up is, and their own data goes after.
 *
 * events:
 *   thread_start pthread_create parent=@main thread=@a
 *   thread_exit pthread_create unwound thread=@a
 *   open open path=by-destructor write create thread=@a
 *   thread_start pthread_create parent=@main thread=@b
 *   open open path=by-cleanup write create thread=@b
 *   thread_exit pthread_create unwound thread=@b
 *   thread_start pthread_create parent=@main thread=@c
 *   thread_exit pthread_create unwound thread=@c
 *   thread_start pthread_create parent=@main thread=@d
 *   thread_exit pthread_create thread=@d
 */
#include "harness.h"

static pthread_key_t key;
static volatile int running;

static void destroy(void *value)
{
    syscall(SYS_close, open("by-destructor", O_WRONLY | O_CREAT, 0600));
    say("destroyed %s\n", (char *)value);
}

static void clean(void *what)
{
    syscall(SYS_close, open("by-cleanup", O_WRONLY | O_CREAT, 0600));
    say("cleaned %s\n", (char *)what);
}

static void *leave(void *unused)
{
    pthread_setspecific(key, "own data");
    pthread_exit("left");
}

static void *wait_for_ever(void *unused)
{
    pthread_cleanup_push(clean, "pushed");
    running = 1;
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

static void *compute(void *unused)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    running = 1;
    for (;;)
        ;
}

static void *detach(void *unused)
{
    say("detach: %d\n", pthread_detach(pthread_self()));
    return NULL;
}

static void cancel(void *(*function)(void *))
{
    pthread_t thread;
    void *result;

    running = 0;
    pthread_create(&thread, NULL, function, NULL);
    while (!running)
        syscall(SYS_sched_yield);
    int cancelled = pthread_cancel(thread), joined = pthread_join(thread, &result);
    say("cancel: %d, join: %d, cancelled: %d\n", cancelled, joined, result == PTHREAD_CANCELED);
}

TOPIC(threads_end)
{
    pthread_t thread;
    void *result;

    pthread_key_create(&key, destroy);
    pthread_create(&thread, NULL, leave, NULL);
    say("join: %d\n", pthread_join(thread, &result));
    say("%s\n", (char *)result);
    cancel(wait_for_ever);
    cancel(compute);
    pthread_create(&thread, NULL, detach, NULL);
    syscall(SYS_nanosleep, &(struct timespec){0, 200000000}, NULL);
}
