/* Signals that end whoever sends them, by every function: the last thing that it does is told, as is what it had not told yet.
 *
 * events:
 *   limit setrlimit|prlimit resource=4
 *   fork fork child=@1
 *   wait waitpid child=@1 signal=9
 *   fork fork child=@2
 *   wait waitpid child=@2 signal=15
 *   fork fork child=@3
 *   wait waitpid child=@3 signal=15
 *   fork fork child=@4
 *   wait waitpid child=@4 signal=6
 *   fork fork child=@5
 *   wait waitpid child=@5 signal=9
 *   fork fork child=@6
 *   wait waitpid child=@6 signal=10
 *   fork fork child=@7
 *   wait waitpid child=@7 signal=9
 *   fork fork child=@8
 *   wait waitpid child=@8 signal=9
 *   fork fork child=@9
 *   wait waitpid child=@9 signal=12
 *   fork fork child=@a
 *   wait waitpid child=@a signal=9
 *   fork fork child=@b
 *   wait waitpid child=@b signal=40
 *   fork fork child=@d
 *   wait waitpid child=@d
 * process fork:
 *   open open path=file write create truncate fd=@f
 *   io write fd=@f bytes_written=3
 *   io kill fd=@f bytes_written=4 final
 *   kill kill process=@1 signal=9
 * process fork:
 *   kill kill signal=15
 * process fork:
 *   kill killpg signal=15
 * process fork:
 *   kill raise signal=6
 * process fork:
 *   kill pthread_kill signal=9
 * process fork:
 *   kill sigqueue process=@6 signal=10
 * process fork:
 *   kill syscall process=@7 signal=9
 * process fork:
 *   kill syscall process=@8 thread=@8 signal=9
 * process fork:
 *   kill syscall thread=@9 signal=12
 * process fork:
 *   kill kill process=* signal=9
 * process fork:
 *   kill kill process=@b signal=40
 * process fork:
 *   kill kill process=@d signal=15
 *   kill kill process=@d signal=15
 *   exit _exit
 */
#include "harness.h"

#undef syscall
long syscall(long, ...);

static void leave_bytes(void)
{
    int file = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    write(file, "one", 3);
    write(file, "more", 4);
    kill(getpid(), SIGKILL);
}

/* A signal that is blocked ends nobody, one that is ignored neither. */
static void live_on(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGTERM);
    signal(SIGTERM, SIG_IGN);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), SIGTERM);
    _exit(0);
}

TOPIC(signals_ending)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    IN_CHILD(leave_bytes());
    IN_CHILD(setpgid(0, 0); kill(0, SIGTERM));
    IN_CHILD(setpgid(0, 0); killpg(getpid(), SIGTERM));
    IN_CHILD(raise(SIGABRT));
    IN_CHILD(pthread_kill(pthread_self(), SIGKILL));
    IN_CHILD(sigqueue(getpid(), SIGUSR1, (union sigval){0}));
    IN_CHILD(syscall(SYS_kill, getpid(), SIGKILL));
    IN_CHILD(syscall(SYS_tgkill, getpid(), (long)getpid(), SIGKILL));
    IN_CHILD(syscall(SYS_tkill, (long)getpid(), SIGUSR2));
    IN_CHILD(setpgid(0, 0); kill(-getpid(), SIGKILL));
    IN_CHILD(kill(getpid(), 40));
    IN_CHILD(live_on());
}
