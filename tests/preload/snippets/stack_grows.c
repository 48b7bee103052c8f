/* A thread's stack that the kernel lets grow, into a hole that was just made: what it does first is told there, in a child's first journal.
 *
 * needs: exec
 * events:
 *   fork fork child=@c
 *   wait waitpid child=@c exit_status=3
 * process fork ...:
 */
#include "harness.h"

#define PAGE 4096
#define STACK (32 * PAGE)
#define ROOM (256 * PAGE + STACK) /* the kernel keeps 256 pages free below what grows */

static void *go_deep(void *unused)
{
    volatile char deep[20 * PAGE];

    for (size_t i = sizeof deep; i; i -= PAGE)
        deep[i - 1] = 1;
    return NULL;
}

static void grow(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, flags, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;

    munmap(room, ROOM);
    mmap(room + ROOM - 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, room + ROOM - STACK, STACK);
    if (pthread_create(&thread, &attributes, go_deep, NULL) || pthread_join(thread, NULL))
        _exit(99);
}

TOPIC(stack_grows)
{
    IN_CHILD(grow(); _exit(3));
}
