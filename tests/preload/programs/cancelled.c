/* A thread that is cancelled in a blocking call: what its frames were to clean up is cleaned up. And a backtrace from within a
 * callback reaches main. */
#define _GNU_SOURCE
#include <execinfo.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int ends[2];

static void clean(int *what)
{
    printf("frame %d\n", *what);
}

static void handle(void *what)
{
    printf("handler %s\n", (char *)what);
}

static void *block(void *unused)
{
    int outer __attribute__((cleanup(clean))) = 1;
    char byte;

    pthread_cleanup_push(handle, "pushed");
    {
        int inner __attribute__((cleanup(clean))) = 2;
        read(ends[0], &byte, 1);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *leave(void *unused)
{
    int frame __attribute__((cleanup(clean))) = 3;

    pthread_exit("left");
}

static int visit(const char *path, const struct stat *status, int type, struct FTW *place)
{
    void *frames[32];
    int count = backtrace(frames, 32), found = 0;
    char **names = backtrace_symbols(frames, count);

    for (int i = 0; i < count; i++)
        found |= strstr(names[i], "libc_start") != NULL || strstr(names[i], "_start") != NULL;
    printf("the backtrace reaches the start: %d\n", found);
    return 1;
}

int main(void)
{
    pthread_t thread;
    void *result;

    pipe(ends);
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_create(&thread, NULL, block, NULL);
    usleep(20000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
    pthread_create(&thread, NULL, leave, NULL);
    pthread_join(thread, &result);
    printf("%s\n", (char *)result);
    nftw(".", visit, 4, 0);
    return 0;
}
