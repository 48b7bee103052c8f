/* Counts reads and writes that nothing tells of yet, stands at a gate, and makes the call that tells of them:
 * `tells write|close|exit`. The gate is a file of two words: who comes opens it, and is told when the call has returned. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    volatile uint32_t *gate = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open("gate", O_RDWR), 0);
    int output = open("output", O_WRONLY | O_CREAT, 0600), input = open("input", O_RDONLY);
    char bytes[8] = "moved";

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
