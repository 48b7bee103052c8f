/* close_range that only marks descriptors, or first makes the table the thread's own; and every number closed.
 *
 * needs: glibc>=2.34
 * events:
 *   open open path=a write create fd=@a inode=@fa
 *   io write fd=@a bytes_written=1 inode=@fa
 *   io close_range fd=@a inode=@fa final
 *   fork fork child=@c
 *   wait waitpid child=@c exit_status=4
 *   io write fd=@a bytes_written=2 inode=@fa
 *   io close_range fd=@a inode=@fa final
 *   open open path=b write create fd=@a inode=@fb
 *   io write fd=@a bytes_written=3 inode=@fb
 *   io close fd=@a inode=@fb final
 *   open open path=c write create fd=@a
 * process fork:
 *   io write fd=@a bytes_written=4 inode=@fa
 *   io close_range fd=@a inode=@fa final
 *   open open path=d write create fd=@a
 *   exit _exit status=4
 */
#include "harness.h"

int close_range(unsigned int first, unsigned int last, int flags) __attribute__((weak));

#define UNSHARE 2
#define ON_EXEC 4

TOPIC(close_range_flags)
{
    int status, a = open("a", O_WRONLY | O_CREAT, 0600);

    SAY(write(a, "1", 1));
    SAY(close_range((unsigned)a, ~0u, ON_EXEC));
    say("closed on exec: %d\n", fcntl(a, F_GETFD));
    SAY(close_range((unsigned)a, ~0u, 1 << 20));
    pid_t child = fork();
    if (!child) {
        SAY(write(a, "4444", 4));
        SAY(close_range(3, ~0u, UNSHARE));
        SAY(write(a, "4444", 4));
        SAY(open("d", O_WRONLY | O_CREAT, 0600));
        _exit(4);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
    SAY(write(a, "22", 2));
    SAY(close_range((unsigned)a, ~0u, UNSHARE | ON_EXEC));
    SAY(close_range((unsigned)a, ~0u, UNSHARE));
    SAY(open("b", O_WRONLY | O_CREAT, 0600) == a);
    SAY(write(a, "333", 3));
    for (int fd = 3; fd < 70000; fd++) {
        errno = 0;
        if (close(fd) == 0 || errno != EBADF)
            say("closed %d: %s\n", fd, strerror(errno));
    }
    SAY(open("c", O_WRONLY | O_CREAT, 0600) == a);
}
