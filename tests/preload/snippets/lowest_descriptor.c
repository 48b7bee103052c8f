/* A new descriptor is the lowest that is free, whatever the library does meanwhile, also where that is 0, 1 or 2; and there may be
 * none at all.
 *
 * events:
 *   open open path=a read write create fd=0 inode=@a
 *   open open path=a write fd=1 inode=@a
 *   open open path=a write fd=2 inode=@a
 *   fork fork child=@c
 *   wait waitpid child=@c exit_status=6
 *   limit setrlimit resource=7
 *   mkdir mkdir path=made
 *   limit setrlimit resource=7 soft=*
 *   open open path=b write create
 * process fork:
 *   open open path=b write create fd=0
 *   exit _exit status=6
 */
#include "harness.h"

static int saved[3];

static void take_away(void)
{
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = (int)syscall(SYS_fcntl, fd, F_DUPFD, 30);
        syscall(SYS_close, fd);
    }
}

static void give_back(void)
{
    for (int fd = 0; fd < 3; fd++) {
        syscall(SYS_dup3, saved[fd], fd, 0);
        syscall(SYS_close, saved[fd]);
    }
}

TOPIC(lowest_descriptor)
{
    struct rlimit limit, none;
    int status, opened[3], copy;

    take_away();
    opened[0] = open("a", O_RDWR | O_CREAT, 0600);
    opened[1] = open("a", O_WRONLY);
    opened[2] = open("a", O_WRONLY);
    copy = (int)syscall(SYS_dup, 0);
    syscall(SYS_close, copy);
    for (int fd = 0; fd < 3; fd++)
        syscall(SYS_close, fd);
    pid_t child = fork();
    if (!child) {
        int file = open("b", O_WRONLY | O_CREAT, 0600);
        _exit(file == 0 ? 6 : 7);
    }
    waitpid(child, &status, 0);
    give_back();
    say("%d %d %d, then %d\n", opened[0], opened[1], opened[2], copy);
    say_status("child", status);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    SAY(setrlimit(RLIMIT_NOFILE, &none));
    SAY(open("a", O_RDONLY));
    SAY(dup(1));
    SAY(mkdir("made", 0700));
    SAY(setrlimit(RLIMIT_NOFILE, &limit));
    SAY(open("b", O_WRONLY | O_CREAT, 0600));
}
