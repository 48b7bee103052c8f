/* Handlers registered by every function there is: what was registered is what is reported, and each delivery is told.
 *
 * events:
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=* thread=@t
 *   kill raise signal=12
 *   signal none signal=12 code=-6 sender=* thread=@t
 *   signal none signal=12 code=-1 sender=77 thread=@t
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=40
 *   signal none signal=40 code=-6 sender=*
 */
#include "harness.h"

/* Some libcs have it for old programs only. */
typedef void function(int);
function *bsd_signal(int, function *);
function *__sysv_signal(int, function *);

static volatile int depth;

static void plain(int signal)
{
    say("plain %d\n", signal);
}

static void informed(int signal, siginfo_t *info, void *context)
{
    say("informed %d: number %d, code %d, value %d, context %d\n", signal, info->si_signo, info->si_code,
        info->si_code == SI_QUEUE ? info->si_value.sival_int : 0, context != NULL);
}

static void nested(int signal)
{
    if (depth++ == 0)
        raise(signal);
    say("depth %d\n", depth--);
}

static const char *name_of(void *handler)
{
    return handler == (void *)SIG_DFL    ? "default"
           : handler == (void *)SIG_IGN  ? "ignore"
           : handler == (void *)SIG_ERR  ? "error"
           : handler == (void *)plain    ? "plain"
           : handler == (void *)informed ? "informed"
           : handler == (void *)nested   ? "nested"
                                         : "another";
}

static void say_action(const char *what, int signal)
{
    struct sigaction found = {0};

    SAY(sigaction(signal, NULL, &found));
    /* SA_RESTORER is the kernel's affair */
    say("%s: %s, flags %x, blocks 10: %d, blocks 12: %d\n", what, name_of((void *)found.sa_handler), found.sa_flags & ~0x04000000,
        sigismember(&found.sa_mask, SIGUSR1), sigismember(&found.sa_mask, SIGUSR2));
}

static void use_sigaction(void)
{
    struct sigaction action = {.sa_handler = plain, .sa_flags = SA_RESTART}, old = {0};

    sigaddset(&action.sa_mask, SIGUSR2);
    SAY(sigaction(SIGUSR1, &action, &old));
    say("before: %s\n", name_of((void *)old.sa_handler));
    say_action("sigaction", SIGUSR1);
    raise(SIGUSR1);
    action = (struct sigaction){.sa_sigaction = informed, .sa_flags = SA_SIGINFO | SA_NODEFER};
    SAY(sigaction(SIGUSR2, &action, &action));
    say("before: %s\n", name_of((void *)action.sa_handler));
    say_action("sigaction", SIGUSR2);
    raise(SIGUSR2);
    siginfo_t info = {.si_signo = SIGUSR2, .si_code = SI_QUEUE};
    info.si_pid = 77;
    info.si_value.sival_int = 4711;
    syscall(SYS_rt_tgsigqueueinfo, syscall(SYS_getpid), syscall(SYS_gettid), SIGUSR2, &info);
    SAY(sigaction(SIGKILL, &(struct sigaction){.sa_handler = plain}, NULL));
    SAY(sigaction(-1, &(struct sigaction){.sa_handler = plain}, NULL));
    SAY(sigaction(1000, NULL, &old));
}

static void use_others(void)
{
    say("signal: %s\n", name_of((void *)signal(SIGUSR1, plain)));
    say_action("signal", SIGUSR1);
    raise(SIGUSR1);
    say("bsd_signal: %s\n", name_of((void *)bsd_signal(SIGUSR1, plain)));
    say_action("bsd_signal", SIGUSR1);
    raise(SIGUSR1);
    say("__sysv_signal: %s\n", name_of((void *)__sysv_signal(SIGUSR1, plain)));
    say_action("__sysv_signal", SIGUSR1);
    raise(SIGUSR1);
    say_action("after", SIGUSR1);
    say("sigset: %s\n", name_of((void *)sigset(SIGUSR1, plain)));
    say_action("sigset", SIGUSR1);
    raise(SIGUSR1);
    say("sigset: %s\n", sigset(SIGUSR1, SIG_HOLD) == plain ? "plain" : "another");
    say("sigset: %s\n", sigset(SIGUSR1, SIG_DFL) == SIG_HOLD ? "held" : "another");
    say("signal: %s\n", name_of((void *)signal(SIGKILL, plain)));
    say("signal: %s\n", name_of((void *)signal(SIGUSR1, SIG_IGN)));
    say("signal: %s\n", name_of((void *)signal(SIGUSR1, SIG_DFL)));
}

TOPIC(handlers)
{
    use_sigaction();
    use_others();
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nested, .sa_flags = SA_NODEFER}, NULL);
    raise(SIGUSR1);
    siginterrupt(SIGUSR1, 0);
    say_action("siginterrupt", SIGUSR1);
    siginterrupt(SIGUSR1, 1);
    say_action("siginterrupt", SIGUSR1);
    SAY(sigaction(40, &(struct sigaction){.sa_handler = plain, .sa_flags = SA_RESETHAND}, NULL));
    raise(40);
    say_action("once", 40);
    for (int i = 0; i < 20; i++) /* in turn, more often than there is room for old ones */
        signal(SIGUSR2, i % 2 ? plain : i % 3 ? nested : (function *)informed);
    say_action("in the end", SIGUSR2);
}
