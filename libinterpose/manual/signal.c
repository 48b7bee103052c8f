/* Signals taken: the kernel calls a function of ours, which tells of the signal and then goes on to the program's handler, by a jump
 * where the compiler can. What the program registered is what it is told is registered.
 *
 * A handler stands in one of a signal's slots, and the function that the kernel calls says in which: a signal on its way to the old
 * handler still finds it there when a new one is being registered. The slots hold the last distinct handlers of a signal, since libc
 * puts back by itself what the kernel knew (system(3), siginterrupt(3)). */
#include "journal.h"
#include "syscall.h"
#include "wrapper.h"

#define SLOTS 4
#define SIGNALS 64
#define SA_SIGINFO 4
#define SA_RESETHAND ((int)0x80000000)
#define SIG_ERR ((void *)-1)
#define SIG_HOLD ((void *)2) /* the highest of the values that are no functions */

typedef void handler(int signal, void *info, void *context);

struct slot {
    _Atomic(handler *) handler;
    _Atomic int wants_info;        /* as the program registered it */
};

static struct slot slots[SIGNALS + 1][SLOTS];
static _Atomic uint32_t next_slot[SIGNALS + 1];
static _Atomic int latest_slot[SIGNALS + 1];

/* Of a signal that a process sent, and of SIGCHLD: sigaction(2). */
struct info {
    int signal, error, code, unused;
    uint32_t sender, user;
};

/* Codes above zero are the kernel's own, and mean something else in each signal. */
static int tells_sender(const struct info *info)
{
    enum { SI_TIMER = -2, SI_ASYNCIO = -4, SI_SIGIO = -5, CHILD = 17 };

    return info->code > 0 ? info->signal == CHILD : info->code != SI_TIMER && info->code != SI_ASYNCIO && info->code != SI_SIGIO;
}

static void tell(const char *function, int number, const struct info *info)
{
    struct ip_wire_Signal signal = {.signal = (uint32_t)number};

    if (info) {
        signal.code = info->code;
        if (tells_sender(info)) {
            signal.sender = info->sender;
            signal.user = info->user;
        }
    }
    struct ip_wire_Event event = ip_event(function, 0);
    event.effect = IP_EVENT_SIGNAL;
    event.signal = &signal;
    ip_append_event(&event);
}

void ip_after_signal(const struct ip_call_signal *call)
{
    if (!call->error)
        tell(call->function, call->signal, (const struct info *)call->info);
}

struct arrival {
    int signal;
    const struct info *info;
};

static void tell_arrival(void *memory)
{
    const struct arrival *arrival = memory;

    if (ip_recording())
        tell("", arrival->signal, arrival->info);
}

/* A signal's stack may have no more room than its frame takes. */
__attribute__((noinline)) static handler *arrive(unsigned slot, int signal, const struct info *info)
{
    if (ip_may_record())
        ip_with_stack(tell_arrival, &(struct arrival){signal, info});
    return atomic_load(&slots[signal][slot].handler);
}

/* `plain` is registered by the functions of libc that ask for no siginfo. */
#define SLOT(n)                                                       \
    static void plain_##n(int signal, void *info, void *context)      \
    {                                                                 \
        arrive(n, signal, NULL)(signal, info, context);               \
    }                                                                 \
    static void informed_##n(int signal, void *info, void *context)   \
    {                                                                 \
        arrive(n, signal, info)(signal, info, context);               \
    }

SLOT(0)
SLOT(1)
SLOT(2)
SLOT(3)

static handler *const plain[SLOTS] = {plain_0, plain_1, plain_2, plain_3};
static handler *const informed[SLOTS] = {informed_0, informed_1, informed_2, informed_3};

static int find_or_fill(int signal, handler *function, int wants_info)
{
    for (int n = 0; n < SLOTS; n++)
        if (atomic_load(&slots[signal][n].handler) == function && slots[signal][n].wants_info == wants_info)
            return n;
    int n = (int)(atomic_fetch_add(&next_slot[signal], 1) % SLOTS);
    atomic_store(&slots[signal][n].handler, function);
    atomic_store(&slots[signal][n].wants_info, wants_info);
    return n;
}

/* The slot to register in place of `function`, or -1 where that stays. What a vfork child registers concerns itself alone, and these
 * slots are its parent's. */
static int place(int signal, void *function, int wants_info)
{
    if (function <= SIG_HOLD || function == SIG_ERR || signal < 1 || signal > SIGNALS || !ip_recording() || ip_is_borrower())
        return -1;
    int slot = find_or_fill(signal, (handler *)function, wants_info);
    atomic_store(&latest_slot[signal], slot);
    return slot;
}

/* Puts what the program had registered in the place of what the kernel knows. */
static void show_registered(int signal, void **function, int *flags)
{
    int slot = -1;

    if (signal < 1 || signal > SIGNALS)
        return;
    for (int n = 0; n < SLOTS; n++)
        if (*function == (void *)plain[n] || *function == (void *)informed[n])
            slot = n;
    if (slot >= 0)
        *function = (void *)atomic_load(&slots[signal][slot].handler);
    else if (!*function && *flags & SA_RESETHAND) /* the kernel has, and has kept the flags */
        slot = atomic_load(&latest_slot[signal]);
    if (slot >= 0)
        *flags = (*flags & ~SA_SIGINFO) | slots[signal][slot].wants_info;
}

static void *registered(int signal, void *function)
{
    int flags = 0;

    show_registered(signal, &function, &flags);
    return function;
}

struct action { /* libc's, the same in glibc and musl */
    void *function;
    unsigned long mask[16];
    int flags;
    void (*restorer)(void);
};

typedef int action_function(int, const struct action *, struct action *);

static int change_action(action_function *real, int signal, const struct action *new, struct action *old)
{
    struct action ours;
    int slot = new ? place(signal, new->function, new->flags & SA_SIGINFO) : -1;

    if (slot >= 0) {
        ours = *new;
        ours.function = (void *)informed[slot];
        ours.flags |= SA_SIGINFO;
        new = &ours;
    }
    int result = real(signal, new, old);
    if (result == 0 && old)
        show_registered(signal, &old->function, &old->flags);
    return result;
}

#define SIGACTION(name)                                                                     \
    IP_EXPORT int name(int signal, const struct sigaction *action, struct sigaction *old);  \
    IP_EXPORT int name(int signal, const struct sigaction *action, struct sigaction *old)   \
    {                                                                                       \
        action_function *real = (action_function *)IP_REAL(name);                           \
        if (!real) {                                                                        \
            ip_absent();                                                                    \
            return -1;                                                                      \
        }                                                                                   \
        return change_action(real, signal, (const struct action *)action, (struct action *)old); \
    }

SIGACTION(sigaction)
SIGACTION(__sigaction)

/* libc has registered the function by rules of its own; all that is changed is that the kernel tells it who sent the signal. */
static void ask_for_info(int signal, int slot)
{
    struct { /* rt_sigaction(2) */
        void *function;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } action;

    if (ip_syscall(__NR_rt_sigaction, signal, 0, (long)&action, sizeof action.mask, 0, 0) || action.function != (void *)plain[slot])
        return;
    action.function = (void *)informed[slot];
    action.flags |= SA_SIGINFO;
    ip_syscall(__NR_rt_sigaction, signal, (long)&action, 0, sizeof action.mask, 0, 0);
}

typedef void *signal_function(int, void *);

static void *change_function(signal_function *real, int signal, void *function)
{
    int slot = place(signal, function, 0);

    if (!real) {
        ip_absent();
        return SIG_ERR;
    }
    void *old = real(signal, slot < 0 ? function : (void *)plain[slot]);
    if (slot >= 0 && old != SIG_ERR)
        ask_for_info(signal, slot);
    return registered(signal, old);
}

#define SIGNAL(name)                                                                 \
    IP_EXPORT sighandler_t name(int signal, sighandler_t function);                  \
    IP_EXPORT sighandler_t name(int signal, sighandler_t function)                   \
    {                                                                                \
        return (sighandler_t)change_function((signal_function *)IP_REAL(name), signal, (void *)function); \
    }

SIGNAL(signal)
SIGNAL(bsd_signal)
SIGNAL(ssignal)
SIGNAL(sysv_signal)
SIGNAL(__sysv_signal)
SIGNAL(sigset)

struct vector { /* struct sigvec of 4.2BSD */
    void *function;
    int mask, flags;
};

typedef int vector_function(int, const struct vector *, struct vector *);

IP_EXPORT int sigvec(int signal, const struct sigvec *vector, struct sigvec *old);
IP_EXPORT int sigvec(int signal, const struct sigvec *vector, struct sigvec *old)
{
    vector_function *real = (vector_function *)IP_REAL(sigvec);
    const struct vector *new = (const struct vector *)vector;
    struct vector ours, *before = (struct vector *)old;

    if (!real) {
        ip_absent();
        return -1;
    }
    int slot = new ? place(signal, new->function, 0) : -1;
    if (slot >= 0) {
        ours = (struct vector){(void *)plain[slot], new->mask, new->flags};
        new = &ours;
    }
    int result = real(signal, new, before);
    if (result == 0 && slot >= 0)
        ask_for_info(signal, slot);
    if (result == 0 && before)
        before->function = registered(signal, before->function);
    return result;
}
