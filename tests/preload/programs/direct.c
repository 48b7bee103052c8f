/* A program with system call instructions of its own. What it is compiled with says which: WRITES, WAITS (what a lock asks for), RINGS,
 * ANY (of a number that is known when it is called), DATA (bytes that look like one), NOTHING; FORKS: a child does something, too. */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline __attribute__((always_inline)) long call(long number, long a, long b, long c)
{
#ifdef __x86_64__
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory", "cc");
    return x0;
#endif
}

__attribute__((noinline)) long any(long number, long a, long b, long c)
{
#ifdef ANY
    return call(number, a, b, c);
#else
    return number + a + b + c;
#endif
}

/* mov $1, %eax; syscall; ret */
__attribute__((used)) static const unsigned char data[] = {0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0xc3, 0xb8, 2, 0, 0, 0, 0x0f, 0x05, 0xc3};

int act(void)
{
    int value = 0;
#ifdef WRITES
    call(SYS_write, 1, (long)"written\n", 8);
#endif
#ifdef WAITS
    call(SYS_futex, (long)&value, 1 /* FUTEX_WAKE */, 1);
    call(SYS_gettid, 0, 0, 0);
#endif
#ifdef RINGS
    call(425 /* io_uring_setup */, 0, 0, 0);
#endif
#ifdef DATA
    value = data[any(0, 0, 0, 0)] != 0xb8;
#endif
    any(SYS_write, 1, (long)"any\n", 4);
    return value;
}

#ifndef OBJECT
int main(void)
{
#ifdef FORKS
    int status;
    if (!fork())
        _exit(close(open("made", O_CREAT | O_WRONLY, 0600)));
    wait(&status);
#endif
    return act();
}
#endif
