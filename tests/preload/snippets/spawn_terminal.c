/* A child that posix_spawn puts into the foreground of its terminal.
 *
 * needs: exec glibc>=2.35
 * events:
 *   open forkpty path=/dev/*ptmx read write
 *   fork forkpty child=@c
 *   wait waitpid child=@c exit_status=5
 * process fork:
 *   open open path=before write create
 *   spawn posix_spawn child=@s path=* inode=*
 *   wait waitpid child=@s exit_status=3
 *   exit _exit status=5
 * process image:
 *   exit exit status=3
 */
#include "harness.h"

#include <pty.h>

int posix_spawn_file_actions_addtcsetpgrp_np(posix_spawn_file_actions_t *, int) __attribute__((weak));

static void spawn_in_front(void)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t child = -1;
    int status;

    syscall(SYS_close, open("before", O_WRONLY | O_CREAT, 0600));
    signal(SIGTTOU, SIG_IGN);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    SAY(posix_spawn_file_actions_addtcsetpgrp_np(&actions, 0));
    int error = posix_spawn(&child, self, &actions, &attributes, (char *[]){self, "report", "0", "3", NULL}, (char *[]){NULL});
    waitpid(child, &status, 0);
    say("posix_spawn: %d\n", error);
    say_status("spawned", status);
}

TOPIC(spawn_terminal)
{
    char text[4096];
    int terminal = -1, status;
    long size;
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);

    if (!child) {
        spawn_in_front();
        _exit(5);
    }
    while ((size = syscall(SYS_read, terminal, text, sizeof text)) > 0)
        say("%.*s", (int)size, text);
    waitpid(child, &status, 0);
    say_status("child", status);
    syscall(SYS_close, terminal);
}
