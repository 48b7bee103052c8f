/* Time is taken for every event, so it comes from the vdso, whose clock is not the libc's: a preload that fakes the
 * program's time must not fake the order of its events. */
#include "clock.h"

#include <linux/auxvec.h>
#include <linux/prctl.h>
#include <linux/time.h>
#include <stdatomic.h>

#include "elf.h"
#include "syscall.h"

typedef int clock_function(int clock, struct timespec *time);

static _Atomic(clock_function *) vdso_clock_gettime;

/* Whether the processor's counter may be read: what forbade it may have executed this program. */
static int counter_is_allowed(void)
{
    int mode = PR_TSC_ENABLE;

    ip_syscall(__NR_prctl, PR_GET_TSC, (long)&mode, 0, 0, 0, 0);
    return mode == PR_TSC_ENABLE;
}

void ip_clock_start(const unsigned long *auxiliary_vector)
{
    if (!counter_is_allowed())
        return;
    for (; auxiliary_vector[0]; auxiliary_vector += 2)
        if (auxiliary_vector[0] == AT_SYSINFO_EHDR)
            atomic_store(&vdso_clock_gettime, (clock_function *)ip_elf_find_in_image(auxiliary_vector[1], IP_VDSO_CLOCK_GETTIME));
}

void ip_clock_ask_kernel(void)
{
    atomic_store(&vdso_clock_gettime, NULL);
}

static uint64_t read_clock(int clock)
{
    struct timespec time = {0, 0};
    clock_function *vdso = atomic_load_explicit(&vdso_clock_gettime, memory_order_relaxed);

    if (!vdso || vdso(clock, &time))
        ip_syscall(__NR_clock_gettime, clock, (long)&time, 0, 0, 0, 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t ip_now(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t ip_realtime_offset(void)
{
    return (int64_t)(read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME));
}
