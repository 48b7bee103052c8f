/* Opens, writes and renames files without end, or ROUNDS times, and says after each call that it has returned:
 * announce DIRECTORY ROUNDS PAUSE, where PAUSE is in microseconds. One byte on stdout for every call. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Past libc, so that what is announced is no event itself. */
static void announce(char what)
{
    syscall(SYS_write, 1, &what, 1);
}

int main(int argc, char **argv)
{
    char draft[512], target[512];
    long rounds = argc == 4 ? atol(argv[2]) : 0;

    for (long i = 0; argc == 4 && (rounds == 0 || i < rounds); i++) {
        snprintf(draft, sizeof draft, "%s/draft%ld", argv[1], i);
        snprintf(target, sizeof target, "%s/file%ld", argv[1], i % 10);
        int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        announce('o');
        if (write(fd, "content", 7) != 7)
            return 1;
        announce('w');
        close(fd);
        if (rename(draft, target))
            return 1;
        announce('r');
        if (atol(argv[3]))
            usleep((useconds_t)atol(argv[3]));
    }
    return argc != 4;
}
