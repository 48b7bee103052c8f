/* workload NAME COUNT FILE: does one thing COUNT times and prints the nanoseconds that it took. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *file;

static void open_close(long count)
{
    for (long i = 0; i < count; i++) {
        int fd = open(file, O_RDONLY);
        if (fd < 0 || close(fd))
            abort();
    }
}

static void read_byte(long count)
{
    char byte;
    int fd = open("/dev/zero", O_RDONLY);

    for (long i = 0; i < count; i++)
        if (read(fd, &byte, 1) != 1)
            abort();
}

static void write_byte(long count)
{
    int fd = open("/dev/null", O_WRONLY);

    for (long i = 0; i < count; i++)
        if (write(fd, "x", 1) != 1)
            abort();
}

static void get_character(long count)
{
    FILE *stream = fopen("/dev/zero", "r");

    for (long i = 0; i < count; i++)
        if (fgetc(stream) == EOF)
            abort();
}

static void get_and_put(long count)
{
    FILE *in = fopen("/dev/zero", "r"), *out = fopen("/dev/null", "w");

    for (long i = 0; i < count; i++)
        if (putc(getc(in), out) == EOF)
            abort();
}

static void fork_exec_exit(long count)
{
    for (long i = 0; i < count; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            execl(file, file, "exec", "0", file, (char *)NULL);
            _exit(127);
        }
        if (waitpid(child, &status, 0) != child || status)
            abort();
    }
}

static void nothing(long count)
{
    (void)count;
}

static const struct {
    const char *name;
    void (*run)(long count);
} workloads[] = {
    {"open+close", open_close}, {"read", read_byte}, {"write", write_byte}, {"fgetc", get_character},
    {"getc+putc", get_and_put}, {"fork+exec+exit", fork_exec_exit}, {"exec", nothing},
};

int main(int argc, char **argv)
{
    struct timespec start, end;
    long count = argc == 4 ? atol(argv[2]) : -1;

    if (count < 0)
        return 2;
    file = argv[3];
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(workloads[i].name, argv[1]))
            continue;
        clock_gettime(CLOCK_MONOTONIC, &start);
        workloads[i].run(count);
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (count)
            printf("%ld\n", (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec);
        return 0;
    }
    return 2;
}
