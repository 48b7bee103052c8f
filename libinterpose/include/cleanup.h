/* What is to be done when a thread is cancelled or leaves in the midst of a call: pthread_cleanup_push(3). */
#ifndef IP_CLEANUP_H
#define IP_CLEANUP_H

/* libc keeps it in a list of the thread's: on glibc it lies on the stack, whose depth says when a jump has left it. */
struct ip_cleanup {
    void *opaque[8];
};

/* An asynchronous cancellation may come by musl's signal handler, which leaves the stack as it was interrupted. */
#ifdef __x86_64__
#define IP_CLEANUP_ROUTINE __attribute__((force_align_arg_pointer))
#else
#define IP_CLEANUP_ROUTINE
#endif

void ip_cleanup_push(struct ip_cleanup *cleanup, void (*routine)(void *), void *argument);
void ip_cleanup_pop(struct ip_cleanup *cleanup);   /* without doing it */

#endif
