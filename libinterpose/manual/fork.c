/* fork(2), clone(2) and vfork(2): the child's side and the parent's. */
#include <linux/sched.h>

#include "exec.h"
#include "files.h"
#include "io.h"
#include "loads.h"
#include "number.h"
#include "syscall.h"
#include "wrapper.h"

static pid_t after_fork(const char *function, pid_t child)
{
    if (child == 0) {
        ip_after_fork_in_child();
        return 0;
    }
    ip_thread.forking = 0;
    if (child > 0 && ip_recording())
        ip_forked(function, (uint32_t)child, 0);
    return child;
}

#define FORK(name)                                       \
    IP_EXPORT pid_t name(void);                          \
    IP_EXPORT pid_t name(void)                           \
    {                                                    \
        pid_t (*real)(void) = (pid_t(*)(void))IP_REAL(name); \
        if (!real) {                                     \
            ip_absent();                                 \
            return -1;                                   \
        }                                                \
        ip_before_fork();                                \
        return after_fork(#name, real());                \
    }

FORK(fork)
FORK(__fork)
FORK(_Fork)

IP_EXPORT pid_t forkpty(int *terminal, char *name, const struct termios *settings, const struct winsize *size);
IP_EXPORT pid_t forkpty(int *terminal, char *name, const struct termios *settings, const struct winsize *size)
{
    pid_t (*real)(int *, char *, const struct termios *, const struct winsize *) =
        (pid_t(*)(int *, char *, const struct termios *, const struct winsize *))IP_REAL(forkpty);

    if (!real) {
        ip_absent();
        return -1;
    }
    ip_before_fork();
    pid_t child = real(terminal, name, settings, size);
    if (child)
        ip_thread.forking = 0;
    /* It calls openpty and fork, whose wrappers tell of them. */
    if (ip_glibc_is_before(34))
        return child;
    if (child > 0 && ip_recording())
        ip_terminal_opened("forkpty", *terminal);
    return after_fork("forkpty", child);
}

/* It returns in the child only; the parent ends inside. */
IP_EXPORT int daemon(int stay, int keep_open);
IP_EXPORT int daemon(int stay, int keep_open)
{
    int (*real)(int, int) = (int (*)(int, int))IP_REAL(daemon);

    if (!real) {
        ip_absent();
        return -1;
    }
    ip_before_fork();
    int result = real(stay, keep_open);
    ip_after_fork_in_child();
    ip_thread.forking = 0;
    if (!stay && ip_recording())
        ip_directory_refresh();
    return result;
}

/* The two halves of arch/<cpu>/vfork.S. */
void ip_vfork_before(void);
pid_t ip_vfork_after(long result);

/* Where companions run, threads' memory may be theirs too, and a vfork child is known as one of them. The child must not be
 * the first to ask who its lender is. */
void ip_vfork_before(void)
{
    ip_thread.sandboxed += ip_thread.sandboxed > 0;
    if (!ip_recording() || atomic_load(&ip_state.companions))
        return;
    if (!ip_thread.id && !ip_is_borrower())
        ip_thread.id = (uint32_t)ip_sys_gettid();
    ip_loads_refresh();
    ip_thread.vforks++;
}

/* In the parent: the child has executed a program or ended, and the memory is the parent's own again. */
static void end_loan(void)
{
    if (ip_thread.sandboxed > 1) {
        ip_thread.sandboxed--;
        return;
    }
    ip_thread.sandboxed = 0;
    if (!ip_thread.vforks)
        return;
    ip_release_room(ip_thread.room, ip_thread.room_size);
    ip_thread.vforks--;
    ip_thread.borrower = ip_thread.vforks ? (uint32_t)ip_sys_getpid() : 0;
    ip_thread.borrower_start = 0;
}

pid_t ip_vfork_after(long result)
{
    if (result == 0) {
        if (ip_thread.vforks && !ip_thread.sandboxed) {
            ip_thread.borrower = (uint32_t)ip_sys_getpid();
            ip_thread.borrower_start = 0;
        }
        return 0;
    }
    end_loan();
    if (result > 0 && ip_recording())
        ip_forked("vfork", (uint32_t)result, 1);
    if (result > 0)
        return (pid_t)result;
    ip_set_errno((int)-result);
    return -1;
}

/* What a child of clone shares with its parent. A vfork child's parent waits; a companion runs in the same memory meanwhile. */
enum kind { COPY, VFORK, COMPANION };

struct clone_call {
    int (*function)(void *);
    void *argument;
    enum kind kind;
    int flags;
};

/* Both sides ask for the working directory anew each time, and count nothing by descriptor. */
static void share(int flags)
{
    if (flags & CLONE_FS)
        atomic_fetch_add(&ip_state.walks, 1);
    if (flags & CLONE_FILES)
        atomic_fetch_add(&ip_state.files_shared, 1);
}

/* There is no child that shares anything. */
static void share_no_more(const struct clone_call *call)
{
    if (call->kind == VFORK)
        return;
    if (call->kind == COMPANION)
        atomic_fetch_sub(&ip_state.companions, 1);
    if (call->flags & CLONE_FS)
        atomic_fetch_sub(&ip_state.walks, 1);
    if (call->flags & CLONE_FILES)
        atomic_fetch_sub(&ip_state.files_shared, 1);
}

/* Runs in the child, with the parent's memory or a copy of it. */
static int clone_child(void *memory)
{
    struct clone_call call = *(struct clone_call *)memory;

    if (call.kind == VFORK)
        ip_vfork_after(0);
    if (call.kind == COPY) {
        ip_after_fork_in_child();
        share(call.flags);
    }
    return call.function(call.argument);
}

typedef int clone_function(int (*)(void *), void *, int, void *, ...);

static void before_clone(const char *name, const struct clone_call *call)
{
    if (call->flags & CLONE_FILES)
        ip_fds_flush(name);
    switch (call->kind) {
    case VFORK: ip_vfork_before(); return;
    case COMPANION: atomic_fetch_add(&ip_state.companions, 1); break;
    case COPY: ip_before_fork(); break;
    }
    share(call->flags);
}

static void after_clone(const char *name, const struct clone_call *call, int child)
{
    ip_thread.forking = 0;
    if (call->kind == VFORK) {
        end_loan();
        if (call->flags & CLONE_FS)
            ip_directory_refresh();
        if (call->flags & CLONE_FILES)
            ip_fds_forget();
    }
    if (child > 0)
        ip_forked(name, (uint32_t)child, call->kind == VFORK);
    else
        share_no_more(call);
}

static int run_clone(const char *name, clone_function *real, struct clone_call *call, void *stack, void *const *extra)
{
    int flags = call->flags;

    if (!real) {
        ip_absent();
        return -1;
    }
    if (!ip_recording() || !call->function || flags & CLONE_THREAD)
        return real(call->function, stack, flags, call->argument, extra[0], extra[1], extra[2]);
    call->kind = !(flags & CLONE_VM) ? COPY : flags & CLONE_VFORK ? VFORK : COMPANION;
    before_clone(name, call);
    /* A companion may begin when this frame is gone. */
    int child = call->kind == COMPANION ? real(call->function, stack, flags, call->argument, extra[0], extra[1], extra[2])
                                        : real(clone_child, stack, flags, call, extra[0], extra[1], extra[2]);
    after_clone(name, call, child);
    return child;
}

#define CLONE(name)                                                                                                   \
    IP_EXPORT int name(int (*function)(void *), void *stack, int flags, void *argument, ...);                         \
    IP_EXPORT int name(int (*function)(void *), void *stack, int flags, void *argument, ...)                          \
    {                                                                                                                 \
        struct clone_call call = {function, argument, COPY, flags};                                                   \
        void *extra[3];                                                                                               \
        va_list arguments;                                                                                            \
        va_start(arguments, argument);                                                                                \
        for (int i = 0; i < 3; i++)                                                                                   \
            extra[i] = va_arg(arguments, void *);                                                                     \
        va_end(arguments);                                                                                            \
        return run_clone(#name, (clone_function *)IP_REAL(name), &call, stack, extra);                                \
    }

CLONE(clone)
CLONE(__clone)

/* A child that has memory of its own and goes on where its parent does is as one of clone's; the others are known by their pid. Only
 * threads share all with who made them. */
static int leaves_stack(uint64_t flags, uint64_t stack)
{
    if (!(flags & (CLONE_VM | CLONE_SETTLS)) && !stack)
        return 0;
    if (!(flags & CLONE_THREAD) && (flags & CLONE_VM || !ip_state.wiped))
        atomic_store(&ip_state.companions, 1);
    return 1;
}

int ip_number_leaves_stack(long number, long a0, long a1)
{
    switch (number) {
#ifdef __NR_vfork
    case __NR_vfork: return leaves_stack(CLONE_VM, 0);
#endif
    case __NR_clone: return leaves_stack((uint64_t)a0, (uint64_t)a1);
    case __NR_clone3:
        if (!ip_sys_can_read((const void *)a0))
            return 1;
        return leaves_stack(((const struct clone_args *)a0)->flags, ((const struct clone_args *)a0)->stack);
    default: return 0;
    }
}

static long after_copy_by_number(const struct clone_call *call, long child)
{
    if (child == 0) {
        ip_after_fork_in_child();
        share(call->flags);
        return 0;
    }
    after_clone("syscall", call, (int)child);
    return child;
}

#ifdef __NR_fork
IP_NUMBER(fork)
{
    struct clone_call call = {.kind = COPY};

    before_clone("syscall", &call);
    return after_copy_by_number(&call, real(__NR_fork, a0, a1, a2, a3, a4, a5));
}
#endif

#ifdef __NR_vfork
IP_NUMBER(vfork)
{
    return real(__NR_vfork, a0, a1, a2, a3, a4, a5);
}
#endif

IP_NUMBER(clone)
{
    struct clone_call call = {.kind = COPY, .flags = (int)a0};

    before_clone("syscall", &call);
    return after_copy_by_number(&call, real(__NR_clone, a0, a1, a2, a3, a4, a5));
}

IP_NUMBER(clone3)
{
    struct clone_call call = {.kind = COPY, .flags = (int)((const struct clone_args *)a0)->flags};

    before_clone("syscall", &call);
    return after_copy_by_number(&call, real(__NR_clone3, a0, a1, a2, a3, a4, a5));
}
