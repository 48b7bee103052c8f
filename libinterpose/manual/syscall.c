/* syscall(2). It is on the hot path of programs that wait by futexes: a number of no interest is passed on as it came, on the stack
 * that the caller prepared, which is also what a clone or vfork by number needs. */
#include "exec.h"
#include "number.h"

/* In a sandbox nothing is recorded, but a further filter counts. */
static int is_of_interest(long number)
{
    return ip_recording() || (ip_exec_is_sandboxed() && (number == __NR_seccomp || number == __NR_prctl));
}

__attribute__((noinline)) static long rare(long number, long a0, long a1, long a2, long a3, long a4, long a5)
{
    ip_gate *real = (ip_gate *)IP_REAL(syscall);

    if ((unsigned long)number < IP_NUMBERS && ip_numbers[number] && is_of_interest(number) && !ip_number_leaves_stack(number, a0, a1))
        return ip_by_number(real, number, a0, a1, a2, a3, a4, a5);
    return real(number, a0, a1, a2, a3, a4, a5);
}

IP_EXPORT long syscall(long number, long a0, long a1, long a2, long a3, long a4, long a5);
IP_EXPORT long syscall(long number, long a0, long a1, long a2, long a3, long a4, long a5)
{
    ip_gate *real = (ip_gate *)__atomic_load_n(&ip_reals[IP_FUNCTION_syscall], __ATOMIC_RELAXED);

    if (IP_RARE(!real || ((unsigned long)number < IP_NUMBERS && ip_numbers[number])))
        return rare(number, a0, a1, a2, a3, a4, a5);
    return real(number, a0, a1, a2, a3, a4, a5);
}
