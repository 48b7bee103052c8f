/* Calls that fail, with numbers that stand for nothing, and then some that do not: what failed leaves no trace in what is kept. Prints
 * the size of its address space, and then that of a child which closes what it has inherited. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAR 60000
#define TIMES 20

int close_range(unsigned int first, unsigned int last, int flags) __attribute__((weak)); /* since glibc 2.34 */

static char stack[65536] __attribute__((aligned(16)));

static int nothing(void *unused)
{
    return 0;
}

static void say_size(void)
{
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY);
    ssize_t size = read(file, text, sizeof text - 1);

    close(file);
    text[size > 0 ? size : 0] = 0;
    char *found = strstr(text, "VmSize:");
    dprintf(1, "%ld\n", found ? atol(found + 7) : -1);
}

static void fail(int fd)
{
    struct iovec part = {"x", 1};

    write(fd, "x", 1);
    pwrite(fd, "x", 1, 0);
    writev(fd, &part, 1);
    send(fd, "x", 1, 0);
    read(fd, stack, 1);
    dup2(fd, fd + 1);
    dup(fd);
    close(fd);
    fcntl(fd, F_DUPFD, 0);
    if (close_range)
        close_range(fd, fd + 1, 1);
}

static void fail_to_clone(void)
{
    clone(nothing, stack + sizeof stack, CLONE_FS | CLONE_FILES | CLONE_NEWNS | SIGCHLD, NULL);
    clone(nothing, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_NEWNS | SIGCHLD, NULL);
}

int main(void)
{
    struct rlimit limit = {4096, 4096};

    fail(FAR);
    fail(-1);
    fail(2147483647);
    fail_to_clone();
    int file = open("made", O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < TIMES; i++)
        write(file, "abc", 3);
    say_size();
    /* A child, of a parent that has a high one. */
    setrlimit(RLIMIT_NOFILE, &limit);
    int high = fcntl(file, F_DUPFD, 3000);
    write(high, "jkl", 3);
    if (!fork()) {
        write(file, "m", 1);
        close(high);
        if (close_range)
            close_range(3, 4000, 0);
        say_size();
        _exit(0);
    }
    wait(NULL);
    return 0;
}
