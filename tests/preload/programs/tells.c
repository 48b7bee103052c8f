/* Counts reads and writes that nothing tells of yet, stands at a gate, and makes the call that tells of them:
 * `tells write|close|exit`. SIGUSR1 writes to the same descriptor, SIGUSR2 closes it. The gate is a file of two words: who
 * comes opens it, and is told when the call has returned. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int output;

static void handle(int signal)
{
    if (signal == SIGUSR1)
        write(output, "h", 1);
    else
        close(output);
}

int main(int argc, char **argv)
{
    volatile uint32_t *gate = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open("gate", O_RDWR), 0);
    int input = open("input", O_RDONLY);
    char bytes[8] = "moved";

    output = open("output", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    signal(SIGUSR1, handle);
    signal(SIGUSR2, handle);
    for (int i = 0; i < 4; i++)
        if (write(output, bytes, 1) != 1)
            return 1;
    for (int i = 0; i < 3; i++)
        if (read(input, bytes, 1) != 1)
            return 1;
    gate[1] = 1;
    while (!gate[0])
        ;
    if (!strcmp(argv[1], "write") && write(output, "moved", 5) != 5)
        return 1;
    if (!strcmp(argv[1], "close") && close(output))
        return 1;
    if (!strcmp(argv[1], "exit"))
        _exit(0);
    gate[1] = 2;
    pause();
}
