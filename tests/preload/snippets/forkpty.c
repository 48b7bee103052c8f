/* forkpty(3) makes a terminal and a child that has it as its own.
 *
 * events:
 *   [glibc<2.34] open getpt path=/dev/ptmx read write
 *   [glibc<2.34] open ioctl path=/dev/pts/* read write
 *   [glibc<2.34] fork fork child=@c
 *   [!glibc<2.34] open forkpty path=/dev/*ptmx read write
 *   [!glibc<2.34] fork forkpty child=@c
 *   wait waitpid child=@c exit_status=7
 * process fork:
 *   open open path=by-child write create
 *   exit _exit status=7
 */
#include "harness.h"

#include <pty.h>
#include <termios.h>

TOPIC(forkpty)
{
    struct winsize size = {.ws_row = 33, .ws_col = 44}, found = {0};
    char name[128] = "", text[128];
    int terminal = -1, status;
    pid_t child = forkpty(&terminal, name, NULL, &size);

    if (!child) {
        syscall(SYS_ioctl, 0, TIOCGWINSZ, &found);
        say("%d rows, %d columns, session %d, foreground %d\n", found.ws_row, found.ws_col, getsid(0) == getpid(),
            tcgetpgrp(0) == getpid());
        syscall(SYS_close, open("by-child", O_WRONLY | O_CREAT, 0600));
        _exit(7);
    }
    say("child: %d, terminal: %d, name: %.9s\n", child > 0, terminal, name);
    long size_read = syscall(SYS_read, terminal, text, sizeof text);
    say("%.*s", (int)size_read, text);
    waitpid(child, &status, 0);
    say_status("child", status);
    syscall(SYS_close, terminal);
}
