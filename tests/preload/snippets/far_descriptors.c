/* Descriptors beyond those that a journal counts.
 *
 * events:
 *   open open path=file read write create fd=@f inode=@file
 *   io write fd=200 bytes_written=1 inode=@file
 *   io read fd=123 bytes_read=1 inode=@file
 *   io pwrite fd=124 bytes_written=3 inode=@file
 *   io close fd=200 bytes_written=2 final inode=@file
 *   io dup2 fd=124 bytes_written=4 final inode=@file
 *   fork fork child=*
 *   wait waitpid child=*
 * process fork:
 *   io pread fd=124 bytes_read=1 inode=@file
 *   exit _exit status=0
 */
#include "harness.h"

TOPIC(far_descriptors)
{
    char byte;
    int status, file = open("file", O_RDWR | O_CREAT, 0600);

    SAY(dup2(file, 200));
    SAY(dup2(file, 123));
    SAY(dup2(file, 124));
    SAY(write(200, "1", 1));
    SAY(write(200, "22", 2));
    SAY(lseek(file, 0, SEEK_SET));
    SAY(read(123, &byte, 1));
    SAY(pwrite(124, "333", 3, 0));
    SAY(pwrite(124, "4444", 4, 0));
    SAY(close(200));
    SAY(dup2(file, 124));
    pid_t child = fork();
    if (!child) {
        pread(124, &byte, 1, 0);
        _exit(0);
    }
    SAY(waitpid(child, &status, 0) == child);
}
