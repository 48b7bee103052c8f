/* Opens a file again and again, and announces each call that has returned on stdout, past the library: `opener THREADS`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *run(void *memory)
{
    uint32_t announcement[2] = {(uint32_t)(uintptr_t)memory, 0};
    char path[] = "thread-a";

    path[7] = (char)('a' + announcement[0]);
    for (;; announcement[1]++) {
        int fd = openat(AT_FDCWD, path, O_RDONLY | O_CREAT, 0600);
        if (syscall(SYS_write, 1, announcement, sizeof announcement) != sizeof announcement)
            _exit(1);
        syscall(SYS_close, fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    for (int i = 1; i < atoi(argv[1]); i++)
        pthread_create(&thread, NULL, run, (void *)(uintptr_t)i);
    run(NULL);
}
