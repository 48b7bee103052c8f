/* What the kernel copies from one descriptor to another: a read of the one, a write of the other.
 *
 * events:
 *   open open path=in read fd=@in inode=@fin
 *   open open path=out write create fd=@out inode=@fout
 *   io sendfile fd=@in bytes_read=4 inode=@fin
 *   io sendfile fd=@out bytes_written=4 inode=@fout
 *   pipe pipe read_fd=@r write_fd=@w inode=@pipe
 *   io splice fd=@w bytes_written=2 inode=@pipe
 *   io splice fd=@r bytes_read=2 inode=@pipe
 *   io splice fd=@out bytes_written=5 writes=2 inode=@fout
 *   io close fd=@in bytes_read=5 reads=2 final inode=@fin
 *   io close fd=@out final inode=@fout
 */
#include "harness.h"

TOPIC(transfer)
{
    int ends[2];

    make_file("in", "0123456789");
    int in = open("in", O_RDONLY), out = open("out", O_WRONLY | O_CREAT, 0600);
    SAY(sendfile(out, in, NULL, 4));
    SAY(copy_file_range(in, NULL, out, NULL, 3, 0));
    SAY(pipe(ends));
    SAY(splice(in, NULL, ends[1], NULL, 2, 0));
    SAY(splice(ends[0], NULL, out, NULL, 2, 0));
    SAY(close(in));
    SAY(close(out));
    SAY(sendfile(-1, -1, NULL, 1));
}
