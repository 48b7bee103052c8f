/* The system call instruction of AArch64: syscall(2), "Architecture calling conventions". */
#ifndef IP_ARCH_SYSCALL_H
#define IP_ARCH_SYSCALL_H

static inline long ip_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}

/* valgrind's: these rotations, 128 bits in all, change nothing. 0 where nobody listens. */
static inline unsigned long ip_client_request(const volatile unsigned long given[6])
{
    register unsigned long x3 __asm__("x3") = 0;
    register const volatile unsigned long *x4 __asm__("x4") = given;

    __asm__ volatile("ror x12, x12, #3; ror x12, x12, #13; ror x12, x12, #51; ror x12, x12, #61; orr x10, x10, x10"
                     : "+r"(x3)
                     : "r"(x4)
                     : "cc", "memory");
    return x3;
}

#define IP_MACHINE "aarch64"
#define IP_ELF_MACHINE 183 /* EM_AARCH64 */
#define IP_LOGIN_RECORD 400 /* glibc's struct utmp */
#define IP_VDSO_CLOCK_GETTIME "__kernel_clock_gettime"

#endif
