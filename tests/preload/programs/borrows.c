/* A process with much memory makes children: prints how many pages each kind made the parent write anew. A copied page table makes a
 * fault of every page that is written after it; a vfork makes none. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 16384

static char *memory;

static long faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static int end(void *unused)
{
    _exit(0);
}

static pid_t by_vfork(void)
{
    pid_t child = vfork();

    if (!child)
        _exit(0);
    return child;
}

static pid_t by_clone(void)
{
    static char stack[65536] __attribute__((aligned(16)));

    return clone(end, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
}

static pid_t by_spawn(void)
{
    pid_t child = -1;

    posix_spawn(&child, "/bin/true", NULL, NULL, (char *[]){"true", NULL}, (char *[]){NULL});
    return child;
}

static pid_t by_fork(void)
{
    pid_t child = fork();

    if (!child)
        _exit(0);
    return child;
}

static void measure(const char *name, pid_t (*make)(void))
{
    long before = faults();

    for (int i = 0; i < 3; i++) {
        waitpid(make(), NULL, 0);
        for (size_t page = 0; page < PAGES; page++)
            memory[page * 4096] = (char)i;
    }
    printf("%s %ld\n", name, faults() - before);
}

int main(void)
{
    memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, PAGES * 4096, MADV_NOHUGEPAGE);
    memset(memory, 1, PAGES * 4096);
    measure("vfork", by_vfork);
    measure("clone", by_clone);
    measure("spawn", by_spawn);
    measure("fork", by_fork);
    return 0;
}
