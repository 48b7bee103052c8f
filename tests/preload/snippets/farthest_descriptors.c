/* Descriptors for which nothing is counted: each call is told.
 *
 * needs: descriptors
 * events:
 *   limit setrlimit resource=7 soft=80000
 *   open open path=file read write create inode=@file
 *   io write fd=70000 bytes_written=1 inode=@file
 *   io write fd=70000 bytes_written=2 inode=@file
 *   io pread fd=70000 bytes_read=3 inode=@file
 */
#include "harness.h"

TOPIC(farthest_descriptors)
{
    struct rlimit limit;
    char text[8];

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 80000;
    SAY(setrlimit(RLIMIT_NOFILE, &limit));
    int file = open("file", O_RDWR | O_CREAT, 0600);
    SAY(dup2(file, 70000));
    SAY(write(70000, "1", 1));
    SAY(write(70000, "22", 2));
    SAY(pread(70000, text, sizeof text, 0));
    SAY(close(70000));
}
