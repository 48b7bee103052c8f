/* Forked children: each has a journal of its own once it tells something; counters are not inherited.
 *
 * events:
 *   open open path=file write create fd=@f inode=@file
 *   io write fd=@f bytes_written=1 inode=@file
 *   fork fork child=*
 *   wait waitpid child=* exit_status=3
 *   fork fork child=*
 *   wait wait child=* exit_status=0
 *   fork fork child=*
 *   wait waitpid child=* signal=9
 *   io close fd=@f inode=@file bytes_written=2 final
 * process fork:
 *   io write fd=@f bytes_written=2 inode=@file
 *   io _exit fd=@f inode=@file final
 *   exit _exit status=3
 * process fork:
 *   open open path=other write create
 *   fork fork child=*
 *   wait waitpid child=* exit_status=4
 *   exit exit status=0
 * process fork:
 *   exit exit status=4
 * process fork:
 *   open open path=third write create fd=@t inode=@third
 *   io write fd=@t bytes_written=3 inode=@third
 *   io - fd=@t bytes_written=4 inode=@third final
 */
#include "harness.h"

TOPIC(fork)
{
    int status;
    int file = open("file", O_WRONLY | O_CREAT, 0600);

    SAY(write(file, "1", 1));
    SAY(write(file, "22", 2));
    pid_t child = fork();
    if (!child) {
        write(file, "33", 2);
        _exit(3);
    }
    SAY(waitpid(child, &status, 0) == child);
    say_status("first", status);
    child = fork();
    if (!child) {
        open("other", O_WRONLY | O_CREAT, 0600);
        child = fork();
        if (!child)
            exit(4);
        waitpid(child, &status, 0);
        exit(0);
    }
    SAY(wait(&status) == child);
    child = fork();
    if (!child) {
        int third = open("third", O_WRONLY | O_CREAT, 0600);
        write(third, "333", 3);
        write(third, "4444", 4);
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    }
    SAY(waitpid(child, &status, 0) == child);
    say_status("last", status);
    SAY(close(file));
}
