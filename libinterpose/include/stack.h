/* How much stack there is. Wrappers run on whatever stack the program has: a signal's, a coroutine's, one that clone was given. What is
 * not known to suffice for a hook is left alone, and the hook runs on a stack of ours. */
#ifndef IP_STACK_H
#define IP_STACK_H

#include "state.h"

#define IP_STACK_SIZE 32768u       /* of ours; hooks need less than half of it */

typedef void ip_routine(void *argument);

/* Remembers that this thread has `size` bytes from about here on. Half of them counts: how much of the other half libc and the program
 * have taken is not known. */
void ip_stack_is(size_t size);
/* The same for the thread of main, where the kernel put `arguments`. */
void ip_stack_is_mains(const void *arguments);
/* What a thread gets that asks for no size. */
size_t ip_stack_default(void);
void ip_stacks_forked(void);       /* in a forked child: other threads' are nobody's */
/* On a stack of ours, with all signals blocked: a handler might want an alternate stack that is in use below. */
void ip_stack_switch(ip_routine *routine, void *argument);

/* Which signals the program has blocked. */
uint64_t ip_stack_blocked(void);

/* How many bytes are known to be left here; 0 if nothing is known. */
static inline size_t ip_stack_left(void)
{
    size_t above = (uintptr_t)__builtin_frame_address(0) - ip_thread.stack;

    return IP_RARE(above >= ip_thread.stack_size) ? 0 : above;
}

static inline int ip_stack_suffices(void)
{
    return ip_stack_left() >= IP_STACK_SIZE / 2;
}

static inline void ip_with_stack(ip_routine *routine, void *argument)
{
    __asm__("" : "+r"(routine)); /* inlined, its frame would be in the way of a call that switches */
    if (IP_RARE(!ip_stack_suffices()))
        ip_stack_switch(routine, argument);
    else
        routine(argument);
}

/* Calls a hook, which takes one pointer. */
#define IP_HOOK(hook, call)                                                   \
    do {                                                                      \
        if (IP_RARE(!ip_stack_suffices()))                                    \
            ip_stack_switch((ip_routine *)(hook), (void *)(uintptr_t)(call)); \
        else                                                                  \
            hook(call);                                                       \
    } while (0)

#endif
