/* Files that libc opens for the time zone and for conversions.
 *
 * needs: glibc
 * events:
 *   io fread path=WORK/zone bytes_read=54 internal inode=@zone
 *   open open path=mark fd=* write create inode=@mark
 *   [exec] load - path=*UTF-16.so inode=*
 *   io write bytes_written=1 inode=@mark
 */
#include "harness.h"

#include <iconv.h>
#include <time.h>

TOPIC(zone)
{
    char path[PATH_MAX + 8] = ":", zone[54] = "TZif";

    /* tzfile(5): one type, and four characters of its name. */
    zone[39] = 1;
    zone[43] = 4;
    memcpy(zone + 50, "ABC", 4);
    long fd = syscall(SYS_openat, AT_FDCWD, "zone", O_WRONLY | O_CREAT, 0644);
    syscall(SYS_write, fd, zone, sizeof zone);
    syscall(SYS_close, fd);
    syscall(SYS_getcwd, path + 1, PATH_MAX);
    strcat(path, "/zone");
    setenv("TZ", path, 1);
    tzset();
    say("%s\n", tzname[0]);
    int mark = open("mark", O_WRONLY | O_CREAT, 0600);
    SAY(iconv_open("UTF-16", "UTF-8") != (iconv_t)-1);
    SAY(write(mark, "1", 1));
}
