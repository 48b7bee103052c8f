/* Time, without a system call where the kernel allows it. */
#ifndef IP_CLOCK_H
#define IP_CLOCK_H

#include <stdint.h>

void ip_clock_start(const unsigned long *auxiliary_vector);
void ip_clock_ask_kernel(void);    /* from now on: the vdso reads a counter that the program is about to forbid itself */
uint64_t ip_now(void);             /* CLOCK_BOOTTIME, nanoseconds */
int64_t ip_realtime_offset(void);  /* CLOCK_REALTIME - CLOCK_BOOTTIME, nanoseconds */

#endif
