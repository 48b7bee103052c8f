/* Closing of ranges.
 *
 * needs: glibc>=2.34 !trixie
 * events:
 *   open open path=a write create fd=@a inode=@fa
 *   open open path=b write create fd=@b inode=@fb
 *   io write fd=@a bytes_written=1 inode=@fa
 *   io write fd=@b bytes_written=1 inode=@fb
 *   io close_range fd=@a final inode=@fa
 *   io close_range fd=@b final inode=@fb
 *   open open path=a write create fd=@c inode=@fa
 *   io write fd=@c bytes_written=1 inode=@fa
 *   io closefrom fd=@c final inode=@fa
 */
#include "harness.h"

int close_range(unsigned int first, unsigned int last, int flags) __attribute__((weak));
void closefrom(int first) __attribute__((weak));

TOPIC(close_range)
{
    int a = open("a", O_WRONLY | O_CREAT, 0600), b = open("b", O_WRONLY | O_CREAT, 0600);

    SAY(write(a, "1", 1));
    SAY(write(b, "1", 1));
    SAY(close_range((unsigned)a, ~0u, 0));
    SAY(write(a, "1", 1));
    int c = open("a", O_WRONLY | O_CREAT, 0600);
    SAY(write(c, "1", 1));
    closefrom(c);
    SAY(write(c, "1", 1));
    SAY(close_range(5, 4, 0));
}
