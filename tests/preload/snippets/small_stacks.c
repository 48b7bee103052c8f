/* Stacks that are barely enough: a thread's with the least that there is, and a vfork child's that executes a program with an environment
 * of many times its size.
 *
 * needs: exec
 * events:
 *   thread_start pthread_create parent=*
 *   thread_exit pthread_create
 *   fork clone child=@c vfork
 *   wait waitpid child=@c exit_status=5
 * process image:
 *   exit exit status=5
 */
#include "harness.h"

#define PAGE 4096
#define VARIABLES 100

static char *environment[VARIABLES + 1];
static volatile int ran;

static void *run(void *unused)
{
    ran = 1;
    return NULL;
}

static int execute(void *unused)
{
    execve(self, (char *[]){self, "leaf", "execve", "5", NULL}, environment);
    _exit(99);
}

TOPIC(small_stacks)
{
    static char text[VARIABLES][500];
    pthread_attr_t attributes;
    pthread_t thread;
    int status;

    pthread_attr_init(&attributes);
    SAY(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN));
    SAY(pthread_create(&thread, &attributes, run, NULL));
    SAY(pthread_join(thread, NULL));
    say("%d\n", ran);
    for (int i = 0; i < VARIABLES; i++) {
        snprintf(text[i], sizeof text[i], "V%d=%0490d", i, i);
        environment[i] = text[i];
    }
    char *stack = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(stack, PAGE, PROT_NONE);
    pid_t child = clone(execute, stack + 4 * PAGE, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    SAY(waitpid(child, &status, 0) == child);
    say_status("executed", status);
}
