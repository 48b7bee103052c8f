/* Time is taken for every event, so it comes from the vdso, whose clock is not the libc's: a preload that fakes the
 * program's time must not fake the order of its events. */
#include "clock.h"

#include <linux/auxvec.h>
#include <linux/time.h>

#include "elf.h"
#include "syscall.h"

static int (*vdso_clock_gettime)(int clock, struct timespec *time);

void ip_clock_start(const unsigned long *auxiliary_vector)
{
    for (; auxiliary_vector[0]; auxiliary_vector += 2)
        if (auxiliary_vector[0] == AT_SYSINFO_EHDR)
            vdso_clock_gettime =
                (int (*)(int, struct timespec *))ip_elf_find_in_image(auxiliary_vector[1], IP_VDSO_CLOCK_GETTIME);
}

static uint64_t read_clock(int clock)
{
    struct timespec time = {0, 0};

    if (!vdso_clock_gettime || vdso_clock_gettime(clock, &time))
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
