/* How deep a stack is used by each of many calls, on stacks that are painted: one of a coroutine, and one of a signal handler.
 * Prints a line of each: its name and how many bytes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define SIZE (1 << 20)
#define TIMES 40
#define SIGNALS 5000 /* more than there is room for in a journal */

static unsigned char *stack;
static char *large[512];           /* an environment of 120 KiB */

static void opens(void)
{
    close(open("made", O_WRONLY | O_CREAT, 0600));
}

static void reads(void)
{
    int file = open("made", O_RDWR | O_CREAT, 0600);
    char byte;

    write(file, "1", 1);
    lseek(file, 0, SEEK_SET);
    read(file, &byte, 1);
    write(file, "2", 1);
    close(file);
}

static void renames(void)
{
    opens();
    rename("made", "renamed");
    link("renamed", "linked");
    unlink("linked");
}

static void looks(void)
{
    struct stat found;

    stat("renamed", &found);
    chmod("renamed", 0600);
    access("renamed", R_OK);
}

static void goes(void)
{
    chdir(".");
    mkdir("folder", 0700);
    rmdir("folder");
}

static void duplicates(void)
{
    int other = dup(0);

    dup2(0, other);
    close(other);
}

static void signals(void)
{
    kill(getpid(), 0);
}

static void forks(void)
{
    pid_t child = fork();

    if (!child) {
        opens();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void executes(void)
{
    execve("./missing", (char *[]){"x", NULL}, large);
    execve("/", (char *[]){"x", NULL}, large);
}

static void spawns(void)
{
    pid_t child;

    if (!posix_spawn(&child, "/bin/true", NULL, NULL, (char *[]){"true", NULL}, large))
        waitpid(child, NULL, 0);
}

static void ignores(int number)
{
}

static void paint(void)
{
    memset(stack, 0xa5, SIZE);
}

static long depth(void)
{
    long clean = 0;

    while (stack[clean] == 0xa5)
        clean++;
    return SIZE - clean;
}

static ucontext_t back, there;

static void on_coroutine(const char *name, void (*call)(void))
{
    paint();
    for (int i = 0; i < TIMES; i++) {
        getcontext(&there);
        there.uc_stack = (stack_t){.ss_sp = stack, .ss_size = SIZE};
        there.uc_link = &back;
        makecontext(&there, call, 0);
        swapcontext(&back, &there);
    }
    printf("%s %ld\n", name, depth());
}

static void in_handler(void)
{
    paint();
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = SIZE}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignores, .sa_flags = SA_ONSTACK}, NULL);
    for (int i = 0; i < SIGNALS; i++)
        raise(SIGUSR1);
    printf("handler %ld\n", depth());
}

static void *as_thread(void *call)
{
    for (int i = 0; i < TIMES; i++)
        ((void (*)(void))call)();
    return NULL;
}

/* What hooks use where the stack is known to be large. */
static void on_thread(const char *name, void (*call)(void))
{
    pthread_attr_t attributes;
    pthread_t thread;

    paint();
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, SIZE);
    pthread_create(&thread, &attributes, as_thread, (void *)call);
    pthread_join(thread, NULL);
    printf("%s %ld\n", name, depth());
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } calls[] = {
        {"open", opens}, {"read", reads}, {"rename", renames}, {"stat", looks}, {"chdir", goes}, {"dup", duplicates},
        {"kill", signals}, {"fork", forks}, {"execve", executes}, {"posix_spawn", spawns},
    };

    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < 511; i++) {
        large[i] = malloc(240);
        snprintf(large[i], 240, "V%d=%0220d", i, i);
    }
    stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        (!strcmp(arguments[1], "thread") ? on_thread : on_coroutine)(calls[i].name, calls[i].call);
    in_handler();
    return 0;
}
