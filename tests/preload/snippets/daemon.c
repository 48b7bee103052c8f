/* daemon(3) forks inside of libc and ends the parent there.
 *
 * events:
 *   pipe pipe read_fd=* write_fd=@w inode=@pipe
 *   fork fork child=*
 *   wait waitpid child=* exit_status=0
 *   io read bytes_read=1 inode=@pipe
 * process fork:
 *   io write fd=@w bytes_written=1 inode=@pipe
 *   io _exit fd=@w final inode=@pipe
 *   exit _exit status=8
 */
#include "harness.h"

TOPIC(daemon)
{
    int status, ends[2];
    char byte;

    pipe(ends);
    pid_t child = fork();
    if (!child) {
        write(ends[1], "x", (size_t)(daemon(0, 1) == 0));
        _exit(8);
    }
    SAY(waitpid(child, &status, 0) == child);
    say_status("before", status);
    SAY(read(ends[0], &byte, 1));
}
