/* Files in memory.
 *
 * events:
 *   open open path=file read write create fd=@f inode=@file
 *   map mmap fd=@f length=4096 inode=@file read write
 *   map mmap fd=@f length=4096 inode=@file read
 *   map mmap fd=@f length=4096 inode=@file read execute
 */
#include "harness.h"

TOPIC(memory)
{
    int fd = open("file", O_RDWR | O_CREAT, 0600);

    syscall(SYS_ftruncate, fd, 4096);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shared[0] = 'x';
    char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    private[1] = 'y';
    say("%c%d\n", private[0], shared[1]);
    SAY_DONE(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
    SAY_DONE(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    SAY_DONE(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0));
    SAY_DONE(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, fd, 0));
    SAY(munmap(shared, 4096));
}
