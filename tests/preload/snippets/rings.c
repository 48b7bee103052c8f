/* What goes through an io_uring nobody sees: that there is one is told.
 *
 * needs: rings
 * events:
 *   blind_spot syscall cause=5
 */
#include "harness.h"

#undef syscall

TOPIC(rings)
{
    char parameters[120] = "";

    SAY_DONE(syscall(SYS_io_uring_setup, 2, parameters));
    memset(parameters, 0, sizeof parameters);
    SAY_DONE(syscall(SYS_io_uring_setup, 2, parameters));
}
