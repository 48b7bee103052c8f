/* What goes through an io_uring nobody sees: that there is one is told, and by a forked child that has it.
 *
 * needs: rings
 * events:
 *   blind_spot syscall cause=5
 *   fork fork child=*
 *   wait waitpid exit_status=0 child=*
 * process fork:
 *   blind_spot - cause=5
 *   open open path=made write create
 *   exit _exit
 */
#include "harness.h"

#undef syscall

TOPIC(rings)
{
    char parameters[120] = "";

    SAY_DONE(syscall(SYS_io_uring_setup, 2, parameters));
    memset(parameters, 0, sizeof parameters);
    SAY_DONE(syscall(SYS_io_uring_setup, 2, parameters));
    int status;
    pid_t child = fork();
    if (!child) {
        open("made", O_WRONLY | O_CREAT, 0600);
        _exit(0);
    }
    SAY_DONE(waitpid(child, &status, 0));
}
