/* The system call instruction of x86-64: syscall(2), "Architecture calling conventions". */
#ifndef IP_ARCH_SYSCALL_H
#define IP_ARCH_SYSCALL_H

static inline long ip_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* valgrind's: these rotations, 128 bits in all, change nothing. 0 where nobody listens. */
static inline unsigned long ip_client_request(const volatile unsigned long given[6])
{
    unsigned long result;

    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                     : "=d"(result)
                     : "a"(given), "0"(0)
                     : "cc", "memory");
    return result;
}

#define IP_MACHINE "x86_64"
#define IP_ELF_MACHINE 62 /* EM_X86_64 */
#define IP_LOGIN_RECORD 384 /* glibc's struct utmp */
#define IP_VDSO_CLOCK_GETTIME "__vdso_clock_gettime"

#endif
