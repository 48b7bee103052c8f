/* Who is logged in: the files that glibc reads and writes by itself. Before 2.34 a library of its own calls the simpler ones.
 *
 * needs: glibc root
 * events:
 *   consult setutent path=/var/run/utmp inode=@utmp
 *   open pututline path=/var/run/utmp fd=-1 read write inode=@utmp
 *   [!aarch64] io pututline fd=-1 bytes_written=384 writes=1 inode=@utmp
 *   [aarch64] io pututline fd=-1 bytes_written=400 writes=1 inode=@utmp
 *   consult setutent path=own base=WORK inode=@own
 *   open pututxline path=own base=WORK fd=-1 read write inode=@own
 *   io pututxline fd=-1 writes=1 inode=@own
 *   open updwtmp path=own base=WORK fd=-1 read write inode=@own
 *   io updwtmp fd=-1 writes=1 inode=@own
 *   open logout|pututline path=/var/run/utmp fd=-1 read write inode=@utmp
 *   io logout|pututline fd=-1 writes=1 inode=@utmp
 *   open logwtmp|updwtmp path=/var/log/wtmp fd=-1 read write inode=@wtmp
 *   io logwtmp|updwtmp fd=-1 writes=1 inode=@wtmp
 *   open login|pututline path=/var/run/utmp fd=-1 read write inode=@utmp
 *   io login|pututline fd=-1 writes=1 inode=@utmp
 *   open login|updwtmp path=/var/log/wtmp fd=-1 read write inode=@wtmp
 *   io login|updwtmp fd=-1 writes=1 inode=@wtmp
 *   open updwtmp path=/var/log/wtmpx fd=-1 read write inode=@x
 *   io updwtmp fd=-1 writes=1 inode=@x
 */
#include "harness.h"

#include <utmp.h>
#include <utmpx.h>

#ifdef __GLIBC__
static long size_of(const char *path)
{
    struct stat status;

    return syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) ? -1 : status.st_size / (long)sizeof(struct utmp);
}
#endif

TOPIC(logins)
{
#ifdef __GLIBC__
    struct utmp entry = {.ut_type = USER_PROCESS, .ut_pid = 1, .ut_line = "line", .ut_id = "id", .ut_user = "user"};

    replace_folder("/run");
    replace_folder("/var/log");
    make_file("/run/utmp", "");
    make_file("/var/log/wtmp", "");
    make_file("own", "");
    setutent();
    SAY(getutent() == NULL);
    SAY(pututline(&entry) != NULL);
    endutent();
    SAY(size_of("/run/utmp"));
    SAY(utmpname("own"));
    setutent();
    SAY(getutline(&entry) == NULL);
    SAY(pututxline((struct utmpx *)&entry) != NULL);
    endutent();
    updwtmp("own", &entry);
    updwtmp("missing", &entry);
    SAY(size_of("own"));
    SAY(logout("no such"));
    SAY(logout("line"));
    logwtmp("line", "name", "host");
    usleep(20000); /* older kernels' times of files are coarse */
    login(&entry);
    SAY(size_of("/var/log/wtmp"));
    make_file("/var/log/wtmpx", "");
    updwtmp("/var/log/wtmp", &entry);
    SAY(size_of("/var/log/wtmpx"));
#endif
}
