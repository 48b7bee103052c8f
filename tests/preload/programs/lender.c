/* A forked child whose first call, and enough to fill its journal, is made by a vfork child on its memory. Prints the pids of both. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t borrower;

int main(void)
{
    pid_t child = fork();

    if (!child) {
        if (!vfork()) {
            borrower = getpid();
            for (int i = 0; i < 1500; i++)
                chmod(".", 0755);
            _exit(0);
        }
        chmod(".", 0755);
        printf("%d %d\n", getpid(), borrower);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}
