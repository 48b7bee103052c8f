/* Threads tell of their start, and their events carry their id; a fork in one of them takes only that one along.
 *
 * events:
 *   thread_start pthread_create parent=@main thread=@t
 *   open open path=by-thread write create thread=@t fd=@f inode=@file
 *   io write thread=@t fd=@f bytes_written=1 inode=@file
 *   fork fork child=* thread=@t
 *   wait waitpid child=* exit_status=5 thread=@t
 *   thread_exit pthread_create thread=@t
 *   io close fd=@f bytes_written=2 final thread=@main inode=@file
 * process fork:
 *   open open path=by-child write create
 *   exit _exit status=5
 */
#include "harness.h"

static void *run(void *argument)
{
    int status, file = open("by-thread", O_WRONLY | O_CREAT, 0600);

    write(file, "1", 1);
    write(file, "22", 2);
    pid_t child = fork();
    if (!child) {
        open("by-child", O_WRONLY | O_CREAT, 0600);
        _exit(5);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
    *(int *)argument += 1;
    return (void *)(long)file;
}

TOPIC(threads)
{
    pthread_t thread;
    void *result;
    int count = 1;

    int error = pthread_create(&thread, NULL, run, &count);
    SAY(pthread_join(thread, &result));
    say("%d\n", error);
    say("%d\n", count);
    SAY(close((int)(long)result));
}
