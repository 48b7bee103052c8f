/* A program that forbids itself the processor's time-stamp counter, which the vdso reads, is recorded on, also in a handler of the
 * signal that reading it brings.
 *
 * needs: !aarch64
 * events:
 *   open open path=file write create fd=@f inode=@file
 *   io write fd=@f bytes_written=2 writes=1 inode=@file
 *   io close fd=@f inode=@file final
 *   signal none signal=11 code=128 thread=@t
 *   unlink unlink path=file
 */
#include "harness.h"

#include <setjmp.h>
#include <sys/prctl.h>

static sigjmp_buf before;

static void leave(int signal)
{
    siglongjmp(before, signal);
}

static void read_counter(void)
{
#ifdef __x86_64__
    unsigned int low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
#endif
}

TOPIC(no_counter)
{
    struct sigaction action = {.sa_handler = leave};

    SAY(sigaction(SIGSEGV, &action, NULL));
    SAY(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
    int fd = open("file", O_WRONLY | O_CREAT, 0600);
    SAY(write(fd, "x\n", 2));
    SAY_DONE(close(fd));
    int signal = sigsetjmp(before, 1);
    if (!signal)
        read_counter();
    say("signal %d\n", signal);
    SAY(unlink("file"));
    SAY(prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0));
}
