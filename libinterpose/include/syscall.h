/* Raw system calls: they return -errno, leave errno alone and pass no wrapper. Only what the library itself needs. */
#ifndef IP_SYSCALL_H
#define IP_SYSCALL_H

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdint.h>

#include "valgrind.h"

#if defined(__x86_64__)
#include "../arch/x86_64/syscall.h"
#elif defined(__aarch64__)
#include "../arch/aarch64/syscall.h"
#else
#error "no system call instruction for this architecture: add arch/<cpu>/syscall.h"
#endif

static inline int ip_sys_openat(int dir, const char *path, int flags, unsigned int mode)
{
    return (int)ip_syscall(__NR_openat, dir, (long)path, flags, (long)mode, 0, 0);
}

static inline int ip_sys_close(int fd)
{
    return (int)ip_syscall(__NR_close, fd, 0, 0, 0, 0, 0);
}

static inline long ip_sys_read(int fd, void *buffer, size_t size)
{
    return ip_syscall(__NR_read, fd, (long)buffer, (long)size, 0, 0, 0);
}

static inline long ip_sys_pread(int fd, void *buffer, size_t size, long offset)
{
    return ip_syscall(__NR_pread64, fd, (long)buffer, (long)size, offset, 0, 0);
}

static inline long ip_sys_pwrite(int fd, const void *buffer, size_t size, long offset)
{
    return ip_syscall(__NR_pwrite64, fd, (long)buffer, (long)size, offset, 0, 0);
}

static inline int ip_sys_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *out)
{
    return (int)ip_syscall(__NR_statx, dir, (long)path, flags, (long)mask, (long)out, 0);
}

static inline long ip_sys_readlinkat(int dir, const char *path, char *buffer, size_t size)
{
    return ip_syscall(__NR_readlinkat, dir, (long)path, (long)buffer, (long)size, 0, 0);
}

static inline int ip_sys_fcntl(int fd, int command, long argument)
{
    return (int)ip_syscall(__NR_fcntl, fd, command, argument, 0, 0, 0);
}

static inline int ip_sys_fallocate(int fd, int mode, long offset, long size)
{
    return (int)ip_syscall(__NR_fallocate, fd, mode, offset, size, 0, 0);
}

/* An address, or -errno: ip_is_error tells which. */
static inline void *ip_sys_mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
{
    return (void *)ip_syscall(__NR_mmap, (long)address, (long)size, protection, flags, fd, offset);
}

static inline int ip_sys_munmap(void *address, size_t size)
{
    return (int)ip_syscall(__NR_munmap, (long)address, (long)size, 0, 0, 0, 0);
}

static inline int ip_sys_mprotect(void *address, size_t size, int protection)
{
    return (int)ip_syscall(__NR_mprotect, (long)address, (long)size, protection, 0, 0, 0);
}

static inline int ip_sys_madvise(void *address, size_t size, int advice)
{
    return (int)ip_syscall(__NR_madvise, (long)address, (long)size, advice, 0, 0, 0);
}

static inline int ip_sys_getpid(void)
{
    return (int)ip_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0);
}

static inline int ip_sys_gettid(void)
{
    return (int)ip_syscall(__NR_gettid, 0, 0, 0, 0, 0, 0);
}

static inline long ip_sys_getcwd(char *buffer, size_t size)
{
    return ip_syscall(__NR_getcwd, (long)buffer, (long)size, 0, 0, 0, 0);
}

/* Whether there are eight bytes at `address`: rt_sigprocmask(2) reads them before it refuses what it shall do. valgrind says that it was
 * refused; there, they are a path of which nobody wants to know anything. */
static inline int ip_sys_can_read(const void *address)
{
    if (__builtin_expect(ip_valgrind, 0))
        return ip_syscall(__NR_faccessat, AT_FDCWD, (long)address, 0, 0, 0, 0) != -14 /* EFAULT */;
    return ip_syscall(__NR_rt_sigprocmask, -1, (long)address, 0, 8, 0, 0) != -14 /* EFAULT */;
}

static inline int ip_is_error(const void *address)
{
    return (unsigned long)address > -4096UL;
}

#endif
