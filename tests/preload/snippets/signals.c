/* Signals sent; a handler may call what is captured.
 *
 * events:
 *   kill kill process=* signal=12
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   open open path=by-handler write create
 */
#include "harness.h"

static void handle(int signal)
{
    int error = errno;

    syscall(SYS_close, open("by-handler", O_WRONLY | O_CREAT, 0600));
    errno = error;
}

TOPIC(signals)
{
    struct sigaction action = {.sa_handler = handle};

    sigaction(SIGUSR1, &action, NULL);
    signal(SIGUSR2, SIG_IGN);
    SAY(kill(getpid(), SIGUSR2));
    SAY(raise(SIGUSR1));
    SAY(killpg(1000000, 0));
    SAY(kill(1 << 28, SIGTERM));
}
