/* Lives long enough to have a stream, then does something to every descriptor that it has not opened: `closes WAY`. Says what each
 * call returned that is not EBADF; the file `sockets` says how many sockets it met. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LAST 1100

/* Not before glibc 2.34, which may be newer than what this is compiled for. */
int close_range(unsigned int first, unsigned int last, int flags) __attribute__((weak));
void closefrom(int first) __attribute__((weak));

static void live(void)
{
    for (int i = 0; i < 80; i++) {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        chmod("file", 0600);
    }
}

static int count_sockets(void)
{
    char link[64], what[64];
    int found = 0;

    for (int fd = 3; fd < LAST; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, what, sizeof what);
        found += size > 7 && !memcmp(what, "socket:", 7);
    }
    return found;
}

static void say(const char *call, int fd, long result)
{
    int error = errno;

    if (result != -1 || error != EBADF)
        printf("%s(%d): %ld %s\n", call, fd, result, result < 0 ? strerror(error) : "");
}

static void do_to_all(const char *way)
{
    if (!strcmp(way, "closefrom"))
        closefrom(3);
    else if (!strcmp(way, "close_range"))
        say("close_range", 3, close_range(3, ~0u, 0));
    else
        for (int fd = 3; fd < LAST; fd++)
            if (!strcmp(way, "close"))
                say("close", fd, close(fd));
            else if (!strcmp(way, "syscall"))
                say("syscall", fd, syscall(SYS_close, fd));
            else
                say("dup2", fd, dup2(1, fd));
}

int main(int argc, char **argv)
{
    FILE *sockets;

    close(creat("file", 0600));
    live();
    sockets = fopen("sockets", "w");
    fprintf(sockets, "%d", count_sockets());
    fclose(sockets);
    do_to_all(argv[1]);
    fflush(stdout);
    live();
    for (int fd = 3; fd < LAST; fd++)
        if (!strcmp(argv[1], "dup2") && write(fd, ".", 1) != 1)
            printf("%d is not what it was\n", fd);
    return 0;
}
