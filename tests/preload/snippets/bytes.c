/* Bytes read and written by descriptor: told at the first read and write, at a write after new input, and at the close.
 *
 * events:
 *   open open path=in read inode=@in fd=@r
 *   open open path=out write create inode=@out fd=@w
 *   io read fd=@r inode=@in bytes_read=1 reads=1
 *   io write fd=@w inode=@out bytes_written=2 writes=1
 *   open open path=in2 read inode=@in2 fd=@r2
 *   io readv fd=@r2 bytes_read=3 reads=1 inode=@in2
 *   io pwrite fd=@w bytes_written=10 writes=4 inode=@out
 *   io close fd=@r bytes_read=9 reads=4 inode=@in final
 *   io close fd=@r2 bytes_read=3 reads=1 inode=@in2 final
 *   io close fd=@w bytes_written=4 writes=1 inode=@out final
 */
#include "harness.h"

TOPIC(bytes)
{
    char buffer[16];
    struct iovec vector[2] = {{buffer, 1}, {buffer + 1, 2}};

    make_file("in", "0123456789");
    make_file("in2", "0123456789");
    int in = open("in", O_RDONLY), out = open("out", O_WRONLY | O_CREAT, 0600);
    SAY(read(in, buffer, 1));
    SAY(read(in, buffer, 2));
    SAY(pread(in, buffer, 3, 0));
    SAY(write(out, "ab", 2));
    SAY(write(out, "cd", 2));
    SAY(writev(out, vector, 2));
    SAY(pwritev(out, vector, 1, 0));
    int in2 = open("in2", O_RDONLY);
    SAY(readv(in2, vector, 2));
    SAY(preadv(in2, vector, 2, 1));
    SAY(pwrite(out, "efgh", 4, 2));
    SAY(pwrite(out, "ijkl", 4, 4));
    SAY(lseek(in, 6, SEEK_SET));
    SAY(read(in, buffer, sizeof buffer));
    SAY(read(in, buffer, sizeof buffer));
    SAY(close(in));
    SAY(close(in2));
    SAY(close(out));
    SAY(read(in, buffer, 1));
}
