/* Copies each file that it is given to FILE.copy, every one in a thread of its own. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *copy(void *name)
{
    char target[4096], buffer[4096];
    ssize_t size;
    int from = open(name, O_RDONLY);

    snprintf(target, sizeof target, "%s.copy", (char *)name);
    int to = open(target, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    while ((size = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, (size_t)size) != size)
            return name;
    close(to);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];

    for (int i = 1; i < argc && i < 64; i++)
        pthread_create(&threads[i], NULL, copy, argv[i]);
    for (int i = 1; i < argc && i < 64; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
