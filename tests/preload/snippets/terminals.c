/* Terminals that libc opens by itself.
 *
 * events:
 *   [glibc<2.34] open getpt path=/dev/ptmx read write fd=@t
 *   [!glibc<2.34] open openpty path=/dev/*ptmx read write fd=@t
 *   open openpty|ioctl path=/dev/pts/* read write fd=@s
 *   io write fd=@s bytes_written=3 writes=1
 *   io read fd=@t bytes_read=3 reads=1
 *   fork fork child=*
 *   wait waitpid child=* exit_status=4
 * process fork:
 *   exit _exit status=4
 */
#include "harness.h"

#include <pty.h>
#include <termios.h>
#include <utmp.h>

TOPIC(terminals)
{
    int terminal, slave, status;
    char text[8];
    struct termios settings;

    SAY(openpty(&terminal, &slave, NULL, NULL, NULL));
    tcgetattr(slave, &settings);
    cfmakeraw(&settings);
    tcsetattr(slave, TCSANOW, &settings);
    SAY(write(slave, "abc", 3));
    SAY(read(terminal, text, sizeof text));
    pid_t child = fork();
    if (!child) {
        if (login_tty(slave))
            _exit(1);
        write(1, "def", 3);
        _exit(4);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
    long taken = syscall(SYS_read, terminal, text, sizeof text);
    say("%.*s\n", (int)taken, text);
}
