/* Bytes that another thread of libc moves count when their result is fetched.
 *
 * events:
 *   open open path=file read write create fd=@f inode=@file
 *   [glibc<2.34] thread_start pthread_create parent=*
 *   io aio_return fd=@f bytes_written=5 writes=1 inode=@file
 *   io aio_return fd=@f bytes_read=3 reads=1 inode=@file
 *   io close fd=@f inode=@file final
 */
#include "harness.h"

#include <aio.h>

static void wait_for(struct aiocb *request)
{
    const struct aiocb *list[] = {request};

    while (aio_error(request) == EINPROGRESS)
        aio_suspend(list, 1, NULL);
    say("%zd\n", aio_return(request));
}

TOPIC(async)
{
    char buffer[3];
    struct aiocb writing = {.aio_buf = "hello", .aio_nbytes = 5}, reading = {.aio_buf = buffer, .aio_nbytes = 3};

    writing.aio_fildes = reading.aio_fildes = open("file", O_RDWR | O_CREAT, 0600);
    say("%d\n", aio_write(&writing));
    wait_for(&writing);
    say("%d\n", aio_read(&reading));
    wait_for(&reading);
    say("%.3s\n", buffer);
    SAY_DONE(close(writing.aio_fildes));
}
