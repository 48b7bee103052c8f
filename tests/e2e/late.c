/* Forks; the parent then reads the file `secret`, and the child, after that, writes the file `out`. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char buffer[100];
    int turn[2];

    if (pipe(turn))
        return 1;
    if (fork() == 0) {
        close(turn[1]);
        /* Its end tells that the parent has read; nothing comes through it. */
        if (read(turn[0], buffer, 1))
            _exit(1);
        int out = open("out", O_CREAT | O_WRONLY | O_TRUNC, 0666);
        _exit(write(out, "x", 1) != 1);
    }
    int secret = open("secret", O_RDONLY), status = 1;
    if (read(secret, buffer, sizeof buffer) <= 0)
        return 1;
    close(secret);
    close(turn[1]);
    wait(&status);
    return status != 0;
}
