#include "stack.h"

#include "bindings.h"
#include "clock.h"
#include "journal.h"
#include "place.h"
#include "syscall.h"

#define STACKS 64                  /* as many threads at once; each is given back when its hook is over */
#define MOST_YIELDS 1000
#define LIMIT_STACK 3              /* RLIMIT_STACK */
#define MOST ((size_t)8 << 20)     /* of a limit that counts: what is mapped below the stack of main is not known */
#define GLIBCS_WITHOUT_LIMIT ((size_t)2 << 20)
#define MUSLS ((size_t)80 << 10)   /* of the first versions, the least that there was */
#define ABOVE 4096                 /* what callers have: a thread ends in a frame that is higher than the one it begins in */

/* arch/<cpu>/stack.S */
void ip_stack_call(ip_routine *routine, void *argument, void *top);

/* There is one where nothing can be mapped, too. */
static uint8_t first[IP_STACK_SIZE] __attribute__((aligned(64)));

static struct stack {
    _Atomic int taken;
    _Atomic(uint8_t *) memory;
} stacks[STACKS] = {[0].memory = first};

static size_t main_limit;

static size_t stack_limit(void)
{
    uint64_t limit[2] = {0, 0};

    ip_syscall(__NR_prlimit64, 0, LIMIT_STACK, 0, (long)limit, 0, 0);
    return (size_t)limit[0];
}

void ip_stack_is(size_t size)
{
    ip_thread.stack = (uintptr_t)__builtin_frame_address(0) - size / 2;
    ip_thread.stack_size = size < 2 * IP_STACK_SIZE ? 0 : size / 2 + ABOVE;
}

void ip_stack_is_mains(const void *arguments)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), top = (uintptr_t)arguments;
    size_t size;

    main_limit = stack_limit();
    size = main_limit < MOST ? main_limit : MOST;
    if (top - here > size)
        return;
    ip_stack_is(size);
    if (ip_thread.stack_size)
        ip_thread.stack_size = top - ip_thread.stack;
}

size_t ip_stack_default(void)
{
    if (!ip_is_glibc())
        return MUSLS;
    return main_limit == SIZE_MAX ? GLIBCS_WITHOUT_LIMIT : main_limit;
}

static int has_memory(struct stack *stack)
{
    if (atomic_load(&stack->memory))
        return 1;
    uint8_t *memory = ip_map_memory(IP_STACK_SIZE);
    if (ip_is_error(memory))
        return 0;
    atomic_store(&stack->memory, memory);
    return 1;
}

static struct stack *take(void)
{
    for (struct stack *stack = stacks; stack < stacks + STACKS; stack++) {
        int free = 0;
        if (!atomic_compare_exchange_strong(&stack->taken, &free, 1))
            continue;
        if (has_memory(stack))
            return stack;
        atomic_store(&stack->taken, 0);
    }
    return NULL;
}

/* Who has one is no handler and waits for nobody. Yet it may have been killed there, and share its memory with us. */
static struct stack *take_in_the_end(void)
{
    struct stack *stack = take();

    for (int yields = 0; !stack && yields < MOST_YIELDS; yields++) {
        ip_syscall(__NR_sched_yield, 0, 0, 0, 0, 0, 0);
        stack = take();
    }
    return stack;
}

struct guest {
    ip_routine *routine;
    void *argument;
    uint64_t blocked;
    struct stack *stack;
};

static void run(void *memory)
{
    const struct guest *guest = memory;
    uintptr_t stack = ip_thread.stack;
    size_t size = ip_thread.stack_size;

    ip_thread.stack = (uintptr_t)atomic_load(&guest->stack->memory);
    ip_thread.stack_size = IP_STACK_SIZE;
    ip_thread.blocked = guest->blocked;
    ip_thread.switched = 1;
    guest->routine(guest->argument);
    ip_thread.switched = 0;
    ip_thread.stack = stack;
    ip_thread.stack_size = size;
}

uint64_t ip_stack_blocked(void)
{
    uint64_t blocked = ip_thread.blocked;

    if (!ip_thread.switched)
        ip_syscall(__NR_rt_sigprocmask, 0, 0, (long)&blocked, sizeof blocked, 0, 0);
    return blocked;
}

void ip_stack_switch(ip_routine *routine, void *argument)
{
    static const uint64_t all = ~UINT64_C(0);
    struct guest guest = {.routine = routine, .argument = argument};

    if (ip_valgrind) { /* whose tools take notice of a change of stacks, and one of which fails of it */
        routine(argument);
        return;
    }
    ip_syscall(__NR_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&all, (long)&guest.blocked, sizeof all, 0, 0);
    guest.stack = take_in_the_end();
    if (guest.stack) {
        ip_stack_call(run, &guest, atomic_load(&guest.stack->memory) + IP_STACK_SIZE);
        atomic_store(&guest.stack->taken, 0);
    } else {
        ip_count_skipped();
    }
    ip_syscall(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&guest.blocked, 0, sizeof guest.blocked, 0, 0);
}

void ip_stacks_forked(void)
{
    for (struct stack *stack = stacks; stack < stacks + STACKS; stack++)
        atomic_store(&stack->taken, 0);
}
