/* What valgrind's tools watch: `heap [leak|locks|forks]`. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int done;

static void *work(void *unused)
{
    for (int i = 0; i < 20; i++) {
        FILE *file = fopen("heap.c", "r");
        pthread_mutex_lock(&lock);
        done += file != NULL;
        pthread_mutex_unlock(&lock);
        if (file)
            fclose(file);
        if (getenv("NOWHERE"))
            puts("a variable that nobody set");
    }
    return unused;
}

static void run_threads(void)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static void run_children(void)
{
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (!child) {
            work(NULL);
            _exit(done == 20 ? 3 : 4);
        }
        int status;
        waitpid(child, &status, 0);
        done += WEXITSTATUS(status);
    }
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";
    char *text = malloc(100), byte[2] = "";
    FILE *file = fopen("heap.c", "r");

    if (!text || !file)
        return 1;
    if (!strcmp(what, "locks"))
        run_threads();
    if (!strcmp(what, "forks"))
        run_children();
    fread(byte, 1, 1, file);
    fclose(file);
    snprintf(text, 100, "read %s, done %d", byte, done);
    puts(text);
    if (strcmp(what, "leak"))
        free(text);
    return 0;
}
