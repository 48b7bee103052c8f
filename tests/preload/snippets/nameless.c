/* Files that no directory has, and what they are called: by the kernel, and by the first name that they get. ftok asks what a file is.
 *
 * needs: exec
 * events:
 *   open open path=WORK/sub/#* base= write create fd=@f inode=@f mode=0o600
 *   io write fd=@f bytes_written=3 inode=@f
 *   link linkat from.path=/proc/self/fd/* to.path=named inode=@f
 *   open open path=/proc/self/fd/* read fd=@again inode=@f
 *   io read fd=@again bytes_read=3 inode=@f
 *   open openat path=WORK/#* write create fd=@g inode=@g
 *   open syscall path=WORK/sub/#* read write create exclusive inode=@h mode=0o640
 *   open memfd_create path=/memfd:an/odd*name read write create inode=@m
 *   open syscall path=/memfd: read write create
 */
#include "harness.h"

#include <sys/ipc.h>

#undef syscall
long syscall(long, ...);

TOPIC(nameless)
{
    char link[64], buffer[8];

    unseen(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    int file = open("sub", O_WRONLY | O_TMPFILE, 0600);
    SAY(write(file, "abc", 3));
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    SAY(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    int again = open(link, O_RDONLY);
    SAY(read(again, buffer, sizeof buffer));
    int folder = (int)unseen(SYS_openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
    SAY_DONE(openat(folder, ".", O_WRONLY | O_TMPFILE, 0600));
    SAY_DONE(syscall(SYS_openat, AT_FDCWD, "sub", O_RDWR | O_TMPFILE | O_EXCL, 0640L));
    SAY_DONE(memfd_create("an/odd name", 0));
    SAY_DONE(syscall(SYS_memfd_create, "", 0L));
    SAY(ftok("named", 1) != -1);
    SAY(ftok("missing", 1));
}
