/* Handlers that jump away, run on a stack of their own, cut a call short or let it go on, and one of a fault.
 *
 * events:
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   signal none signal=11 code=1
 *   kill raise signal=12
 *   signal none signal=12 code=-6 sender=*
 *   pipe pipe read_fd=@r write_fd=@w
 *   signal none signal=14 code=-2
 *   signal none signal=14 code=-2
 *   io read fd=@r bytes_read=1
 */
#include "harness.h"

#include <setjmp.h>

static sigjmp_buf return_to;
#define STACK 65536
static char *stack;
static int ends[2];

static void jump(int signal)
{
    siglongjmp(return_to, signal);
}

static void say_stack(int signal)
{
    char here;

    say("on its own stack: %d\n", &here > stack && &here < stack + STACK);
}

static void give_byte(int signal)
{
    syscall(SYS_write, ends[1], "x", 1);
}

static void nothing(int signal)
{
}

static void read_under_alarm(void (*handler)(int), int flags)
{
    struct itimerspec soon = {{0, 0}, {0, 20000000}};
    struct sigevent how = {.sigev_notify = 4 /* SIGEV_THREAD_ID */, .sigev_signo = SIGALRM};
    int timer;
    char byte;

    sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler, .sa_flags = flags}, NULL);
    ((int *)&how)[4] = (int)syscall(SYS_gettid);
    syscall(SYS_timer_create, CLOCK_MONOTONIC, &how, &timer);
    syscall(SYS_timer_settime, timer, 0, &soon, NULL);
    SAY(read(ends[0], &byte, 1));
}

TOPIC(handlers_leave)
{
    signal(SIGUSR1, jump);
    for (volatile int i = 0; i < 3; i++)
        if (!sigsetjmp(return_to, 1))
            raise(SIGUSR1);
    sigaction(SIGSEGV, &(struct sigaction){.sa_handler = jump}, NULL);
    if (!sigsetjmp(return_to, 1))
        *(volatile char *)8 = 0;
    signal(SIGSEGV, SIG_DFL);
    stack = malloc(STACK);
    SAY(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK}, NULL));
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = say_stack, .sa_flags = SA_ONSTACK}, NULL);
    raise(SIGUSR2);
    SAY(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
    SAY(pipe(ends));
    read_under_alarm(nothing, 0);
    read_under_alarm(give_byte, SA_RESTART);
}
