/* Makes an empty file. */
#include <fcntl.h>

int main(int argc, char **argv)
{
    return argc != 2 || open(argv[1], O_CREAT | O_WRONLY, 0666) < 0;
}
