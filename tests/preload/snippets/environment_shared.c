/* A thread changes the environment while another one waits for a shell: nothing of the library stays in it.
 *
 * needs: exec
 * events:
 *   thread_start pthread_create parent=*
 *   spawn system path=/bin/sh inode=*
 *   thread_exit pthread_create
 * process image ...:
 */
#include "harness.h"

extern char **environ;

static _Atomic int running;

static void *change(void *unused)
{
    running = 1;
    while (syscall(SYS_faccessat, AT_FDCWD, "started", F_OK) != 0)
        ;
    setenv("CHANGED", "1", 1);
    make_file("changed", "");
    return NULL;
}

/* Overwrites what a call has left below. */
__attribute__((noinline)) static void overwrite(void)
{
    volatile char room[32768];

    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 'x';
}

TOPIC(environment_shared)
{
    pthread_t thread;

    pthread_create(&thread, NULL, change, NULL);
    while (!running)
        ;
    say_status("system", system("> started; while [ ! -e changed ]; do :; done"));
    overwrite();
    pthread_join(thread, NULL);
    for (char **entry = environ; *entry; entry++)
        say("%s\n", *entry);
    say("%s\n", getenv("LD_PRELOAD") ? "LD_PRELOAD is there" : "no LD_PRELOAD");
}
