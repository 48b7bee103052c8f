/* The old functions that register handlers, and what each leaves registered; a value queued arrives with its signal.
 *
 * events:
 *   [glibc] kill raise signal=10
 *   [glibc] signal none signal=10 code=-6 sender=*
 *   [glibc] kill raise signal=10
 *   [glibc] signal none signal=10 code=-6 sender=*
 *   [glibc] kill raise signal=10
 *   [glibc] signal none signal=10 code=-6 sender=*
 *   [glibc] kill raise signal=10
 *   [glibc] signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   fork fork child=@c
 *   wait waitpid child=@c exit_status=3
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 * process fork:
 *   kill sigqueue signal=12 process=@c
 *   signal none signal=12 code=-1 sender=@c
 *   kill kill signal=12 process=@c
 *   signal none signal=12 code=0 sender=@c
 *   exit _exit status=3
 */
#include "harness.h"

#include <dlfcn.h>

#ifdef __x86_64__
#define FIRST_GLIBC "GLIBC_2.2.5"
#else
#define FIRST_GLIBC "GLIBC_2.17"
#endif

struct vector { /* struct sigvec of 4.2BSD */
    void (*function)(int);
    int mask, flags;
};

static void plain(int signal)
{
    say("plain %d\n", signal);
}

static void informed(int signal, siginfo_t *info, void *context)
{
    say("informed %d: from here: %d, value %d\n", signal, info->si_pid == getpid(),
        info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
}

static void say_action(const char *what)
{
    struct sigaction found = {0};

    sigaction(SIGUSR1, NULL, &found);
    say("%s: plain %d, default %d, flags %x, blocks 10: %d, blocks 12: %d\n", what, found.sa_handler == plain,
        found.sa_handler == SIG_DFL, found.sa_flags & ~0x04000000, sigismember(&found.sa_mask, SIGUSR1),
        sigismember(&found.sa_mask, SIGUSR2));
}

/* glibc has them for old programs only: no linker finds them. */
static void use_sigvec(void)
{
    int (*sigvec)(int, const struct vector *, struct vector *) = dlvsym(RTLD_DEFAULT, "sigvec", FIRST_GLIBC);
    struct vector vector = {plain, 1 << (SIGUSR2 - 1), 2 /* SV_INTERRUPT */}, old = {0};

    if (!sigvec)
        return;
    SAY(sigvec(SIGUSR1, &vector, NULL));
    say_action("sigvec");
    raise(SIGUSR1);
    vector.flags = 4 /* SV_RESETHAND */;
    SAY(sigvec(SIGUSR1, &vector, &old));
    say("before: plain %d, mask %x, flags %x\n", old.function == plain, old.mask, old.flags);
    raise(SIGUSR1);
    say_action("reset");
    SAY(sigvec(SIGUSR1, NULL, &old));
    say("now: default %d\n", old.function == (void *)SIG_DFL);
    SAY(sigvec(SIGKILL, &vector, NULL));
}

static void use_named(const char *name)
{
    sighandler_t (*function)(int, sighandler_t) = dlsym(RTLD_DEFAULT, name);

    if (!function)
        return;
    say("%s: default %d\n", name, function(SIGUSR1, plain) == SIG_DFL);
    say_action(name);
    raise(SIGUSR1);
    say_action(name);
    signal(SIGUSR1, SIG_DFL);
}

/* To the process as a whole, so it is one of a single thread. */
static void send_value(void)
{
    int status;
    pid_t child = fork();

    if (!child) {
        sigaction(SIGUSR2, &(struct sigaction){.sa_sigaction = informed, .sa_flags = SA_SIGINFO}, NULL);
        SAY(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 12345}));
        SAY(kill(getpid(), SIGUSR2));
        _exit(3);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
}

TOPIC(handlers_old)
{
    sigset_t set;

#ifdef __GLIBC__
    use_sigvec();
    use_named("sysv_signal");
    use_named("ssignal");
#endif
    use_named("sigset");
    send_value();
    signal(SIGUSR1, plain);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    SAY(raise(SIGUSR1)); /* taken once it is let through */
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    say_action("signal");
    signal(SIGUSR1, SIG_DFL);
}
