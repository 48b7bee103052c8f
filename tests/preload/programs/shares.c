/* Threads and a signal handler that write to one descriptor all at once, and read what is new in between:
 * `shares COUNT`. Prints how many writes and reads have returned. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "alarms.h"

static int count, output;
static _Atomic int written, were_read;

static void write_one(void)
{
    if (write(output, "x", 1) == 1)
        written++;
}

static void handle(int signal)
{
    write_one();
}

static void *write_often(void *unused)
{
    for (int i = 0; i < count; i++)
        write_one();
    return NULL;
}

static void *read_often(void *unused)
{
    for (int i = 0; i < count; i++) {
        char byte;
        int input = open("input", O_RDONLY);
        if (read(input, &byte, 1) == 1)
            were_read++;
        close(input);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    void *(*const bodies[])(void *) = {read_often, write_often, write_often, write_often};

    count = atoi(argv[1]);
    output = open("output", O_WRONLY | O_CREAT | O_APPEND, 0600);
    run_under_alarms(handle, bodies);
    printf("%d %d\n", written, were_read);
    close(output);
}
