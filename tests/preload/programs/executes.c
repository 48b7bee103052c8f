/* `executes PROGRAM ARGUMENT...`: becomes it. */
#include <unistd.h>

int main(int count, char **arguments)
{
    (void)count;
    execv(arguments[1], arguments + 1);
    return 99;
}
