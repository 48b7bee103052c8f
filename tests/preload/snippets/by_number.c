/* What a program does by syscall() is told as if it had called the function. Only numbers that every machine has.
 *
 * needs: exec
 * events:
 *   open syscall path=made base=WORK fd=@f read write create mode=0o640 inode=@made
 *   io syscall fd=@f bytes_written=3 writes=1 inode=@made
 *   io syscall fd=@f bytes_read=2 reads=1 inode=@made
 *   io syscall fd=@f bytes_written=5 writes=1 inode=@made
 *   pipe syscall read_fd=* write_fd=*
 *   socket syscall fd=* family=1 type=1
 *   mkdir syscall path=folder mode=0o700 inode=@folder
 *   rename syscall from.path=made to.path=moved inode=@made
 *   chmod syscall path=moved mode=0o600 inode=@made
 *   truncate syscall length=1 inode=@made
 *   link syscall from.path=moved to.path=other inode=@made
 *   unlink syscall path=other inode=@made
 *   unlink syscall path=folder inode=@folder directory
 *   io syscall fd=@f inode=@made final
 *   chdir syscall path=/ directory=/
 *   fork fork child=*
 *   wait syscall child=* exit_status=7
 *   fork fork child=*
 *   wait syscall child=* exit_status=3
 * process fork:
 *   open syscall path=/dev/null fd=* write
 *   exit syscall status=7
 * process image:
 *   exit exit status=3
 */
#include "harness.h"

#undef syscall

TOPIC(by_number)
{
    char buffer[8];
    int ends[2], status;

    int file = (int)syscall(SYS_openat, AT_FDCWD, "made", O_RDWR | O_CREAT, 0640);
    SAY(syscall(SYS_write, file, "abc", 3L));
    SAY(syscall(SYS_pread64, file, buffer, 2L, 0L));
    SAY(syscall(SYS_write, file, "defgh", 5L));
    SAY(syscall(SYS_pipe2, ends, 0));
    SAY(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
    SAY(syscall(SYS_mkdirat, AT_FDCWD, "folder", 0700));
    SAY(syscall(SYS_renameat2, AT_FDCWD, "made", AT_FDCWD, "moved", 0));
    SAY(syscall(SYS_fchmodat, AT_FDCWD, "moved", 0600));
    SAY(syscall(SYS_ftruncate, file, 1L));
    SAY(syscall(SYS_linkat, AT_FDCWD, "moved", AT_FDCWD, "other", 0));
    SAY(syscall(SYS_unlinkat, AT_FDCWD, "other", 0));
    SAY(syscall(SYS_unlinkat, AT_FDCWD, "folder", AT_REMOVEDIR));
    SAY(syscall(SYS_openat, AT_FDCWD, "missing", O_RDONLY));
    SAY(syscall(SYS_openat, AT_FDCWD, (void *)8, O_RDONLY));
    SAY(syscall(SYS_write, -1, "abc", 3L));
    SAY(syscall(100000L));
    SAY(syscall(-1L));
    SAY(syscall(SYS_gettid) > 0);
    SAY(syscall(SYS_close, file));
    SAY(syscall(SYS_chdir, "/"));
    pid_t child = fork();
    if (!child) {
        syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY);
        syscall(SYS_exit_group, 7);
    }
    SAY(syscall(SYS_wait4, child, &status, 0, NULL) == child);
    say_status("child", status);
    child = fork();
    if (!child) {
        char *arguments[] = {self, "leaf", "by-number", "3", NULL};
        syscall(SYS_execve, self, arguments, (char *[]){"LC_ALL=C", NULL});
        _exit(1);
    }
    SAY(syscall(SYS_wait4, child, &status, 0, NULL) == child);
    say_status("child", status);
}
