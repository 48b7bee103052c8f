/* Children that signals kill, with and without leave to dump core; says for each whether the kernel did. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(int signal, rlim_t size)
{
    struct rlimit limit = {size, size};
    int status = 0;
    pid_t child = fork();

    if (!child) {
        setrlimit(RLIMIT_CORE, &limit);
        raise(signal);
        _exit(99);
    }
    waitpid(child, &status, 0);
    printf("%d %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1, !!WCOREDUMP(status));
}

int main(void)
{
    die(SIGABRT, 0);
    die(SIGABRT, 1 << 20);
    die(SIGSEGV, 1 << 20);
    die(SIGKILL, 1 << 20);
    return 0;
}
