/* Makes and writes a file by an io_uring, whose system calls liburing makes by itself. */
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>

static struct io_uring ring;

static int submit(void)
{
    struct io_uring_cqe *done;

    io_uring_submit(&ring);
    if (io_uring_wait_cqe(&ring, &done))
        return -1;
    int result = done->res;
    io_uring_cqe_seen(&ring, done);
    return result;
}

int main(void)
{
    int error = io_uring_queue_init(8, &ring, 0);

    if (error) {
        printf("no ring: %d\n", error);
        return 0;
    }
    io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, "ring-made", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    int file = submit();
    io_uring_prep_write(io_uring_get_sqe(&ring), file, "by a ring\n", 10, 0);
    printf("opened %d, wrote %d\n", file >= 0, submit());
    io_uring_prep_close(io_uring_get_sqe(&ring), file);
    printf("closed %d\n", submit());
    io_uring_queue_exit(&ring);
    return 0;
}
