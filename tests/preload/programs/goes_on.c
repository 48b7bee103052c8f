/* Makes calls before and after a gate: `goes_on CALLS`, then reads and writes one file. The gate is standard input: a byte lets it on.
 * What it says on standard output is that it stands there. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int calls = atoi(argv[1]), file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char byte;

    for (int i = 0; i < calls; i++)
        chmod("before", 0600);
    if (write(file, "before", 6) != 6 || write(1, ".", 1) != 1 || read(0, &byte, 1) != 1)
        return 1;
    for (int i = 0; i < calls; i++)
        chmod("after", 0600);
    if (write(file, "after", 5) != 5 || close(file))
        return 1;
    return 3;
}
