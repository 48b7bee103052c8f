/* Threads of C11.
 *
 * events:
 *   thread_start thrd_create parent=@main thread=@t
 *   open open path=by-thread write create thread=@t
 *   thread_exit thrd_create thread=@t
 *   thread_start thrd_create parent=@main thread=@u
 *   thread_exit thrd_create unwound thread=@u
 */
#include "harness.h"

#include <threads.h>

static int run(void *argument)
{
    open("by-thread", O_WRONLY | O_CREAT, 0600);
    return *(int *)argument + 1;
}

static int leave(void *unused)
{
    thrd_exit(7);
}

TOPIC(threads_c11)
{
    thrd_t thread;
    int given = -300, result = 0;

    SAY(thrd_create(&thread, run, &given));
    SAY(thrd_join(thread, &result));
    SAY(result);
    SAY(thrd_create(&thread, leave, NULL));
    SAY(thrd_join(thread, &result));
    SAY(result);
}
