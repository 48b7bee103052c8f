/* Makes many calls that are told of: `many THREADS CALLS`, each thread CALLS times. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int calls;

static void *run(void *unused)
{
    for (int i = 0; i < calls; i++)
        chmod(".", 0700);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[16];
    int count = atoi(argv[1]);

    calls = atoi(argv[2]);
    for (int i = 1; i < count; i++)
        pthread_create(&threads[i], NULL, run, NULL);
    run(NULL);
    for (int i = 1; i < count; i++)
        pthread_join(threads[i], NULL);
    write(1, "done\n", 5);
    return 3;
}
