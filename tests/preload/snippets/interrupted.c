/* Calls that a signal cuts short, that move a part, that would wait, or that find nobody at the other end.
 *
 * events:
 *   pipe pipe2 read_fd=@r write_fd=@w inode=@pipe
 *   signal none signal=14 code=-2
 *   signal none signal=14 code=-2
 *   signal none signal=14 code=-2
 *   io write fd=@w bytes_written=* inode=@pipe
 *   io read fd=@r bytes_read=* inode=@pipe
 *   io write fd=@w bytes_written=5 inode=@pipe
 *   io close fd=@w inode=@pipe final
 *   sum io bytes_written=65541
 */
#include "harness.h"

static void nothing(int signal)
{
}

static void alarm_soon(void)
{
    struct itimerspec soon = {{0, 0}, {0, 20000000}};
    struct sigevent how = {.sigev_notify = 4 /* SIGEV_THREAD_ID */, .sigev_signo = SIGALRM};
    int timer;

    ((int *)&how)[4] = (int)syscall(SYS_gettid);
    syscall(SYS_timer_create, CLOCK_MONOTONIC, &how, &timer);
    syscall(SYS_timer_settime, timer, 0, &soon, NULL);
}

TOPIC(interrupted)
{
    static char block[100000];
    int ends[2], pair[2], status;
    char text[16];

    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, NULL);
    SAY(pipe2(ends, 0));
    syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
    syscall(SYS_mknodat, AT_FDCWD, "fifo", S_IFIFO | 0600, 0);
    alarm_soon();
    SAY(read(ends[0], text, 1));
    alarm_soon();
    SAY(open("fifo", O_RDONLY));
    alarm_soon();
    SAY(recv(pair[0], text, 1, 0));
    SAY(open("fifo", O_WRONLY | O_NONBLOCK));
    SAY(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    SAY(fcntl(ends[1], F_SETFL, O_NONBLOCK));
    SAY(read(ends[0], text, 1));
    SAY(write(ends[1], block, sizeof block));
    SAY(write(ends[1], block, sizeof block));
    SAY(read(ends[0], block, sizeof block));
    SAY(write(ends[1], "12345", 5));
    SAY(write(ends[1], (void *)1, 5));
    SAY(read(ends[0], (void *)1, 5));
    SAY(recv(pair[0], text, 1, MSG_DONTWAIT));
    SAY(waitpid(-1, &status, 0));
    syscall(SYS_close, ends[0]);
    signal(SIGPIPE, SIG_IGN);
    SAY(write(ends[1], "1", 1));
    SAY(close(ends[1]));
    SAY(read(ends[1], text, 1));
    signal(SIGPIPE, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
}
