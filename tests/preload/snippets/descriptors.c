/* Duplicates count for themselves, pipes have their ends; replacing a descriptor ends it.
 *
 * events:
 *   open open path=file read write create inode=@file fd=@f
 *   io write fd=@f bytes_written=1 inode=@file
 *   io write fd=@d bytes_written=2 inode=@file
 *   pipe pipe read_fd=@r write_fd=@w inode=@pipe
 *   io write fd=@w bytes_written=3 inode=@pipe
 *   io read fd=@r bytes_read=3 inode=@pipe
 *   io dup2 fd=@f final inode=@file
 *   io write fd=@f bytes_written=4 inode=@pipe
 *   io close fd=@d final inode=@file
 *   io dup3 fd=@f final inode=@pipe
 *   io read fd=@f bytes_read=4 inode=@pipe
 *   pipe pipe2 read_fd=* write_fd=@w2 inode=@pipe2
 *   io write fd=@w2 bytes_written=5 inode=@pipe2
 *   lock flock fd=@w2 operation=2 inode=@pipe2
 */
#include "harness.h"

TOPIC(descriptors)
{
    int ends[2], more[2];
    char buffer[8];
    int file = open("file", O_RDWR | O_CREAT, 0600);

    SAY(write(file, "1", 1));
    int copy = dup(file);
    SAY(write(copy, "22", 2));
    SAY(dup2(copy, copy) == copy);
    SAY(pipe(ends));
    SAY(write(ends[1], "333", 3));
    SAY(read(ends[0], buffer, sizeof buffer));
    SAY(dup2(ends[1], file) == file);
    SAY(write(file, "4444", 4));
    SAY(close(copy));
    SAY(dup3(ends[0], file, O_CLOEXEC) == file);
    SAY(read(file, buffer, sizeof buffer));
    SAY(fcntl(file, F_GETFD));
    SAY(fcntl(file, F_DUPFD, 100));
    SAY(fcntl(file, F_DUPFD_CLOEXEC, 100));
    SAY(close(100));
    SAY(close(101));
    SAY(pipe2(more, O_NONBLOCK));
    SAY(write(more[1], "55555", 5));
    SAY(flock(more[1], LOCK_EX));
    SAY(dup2(-1, 5));
    SAY(close(-1));
}
