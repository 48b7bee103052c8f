/* What every topic uses. A topic is one file: its first comment says the events, its TOPIC is run in the four harnesses. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

/* System calls past libc and so past the library; topics call it `syscall`. Like libc's it returns -1 and sets errno. */
#define syscall unseen
static inline long unseen(long number, ...)
{
    long given[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        given[i] = va_arg(arguments, long);
    va_end(arguments);
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = given[3];
    register long r8 __asm__("r8") = given[4];
    register long r9 __asm__("r9") = given[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(given[0]), "S"(given[1]), "d"(given[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = number;
    register long result __asm__("x0") = given[0];
    register long x1 __asm__("x1") = given[1];
    register long x2 __asm__("x2") = given[2];
    register long x3 __asm__("x3") = given[3];
    register long x4 __asm__("x4") = given[4];
    register long x5 __asm__("x5") = given[5];
    __asm__ volatile("svc 0" : "+r"(result) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
#endif
    if ((unsigned long)result <= -4096UL)
        return result;
    errno = (int)-result;
    return -1;
}

struct topic {
    const char *name;
    void (*run)(void);
};

/* Gathered by the linker. */
#define TOPIC(name)                                                                             \
    static void run_topic(void);                                                                \
    static const struct topic topic = {#name, run_topic};                                       \
    static const struct topic *place __attribute__((section("topics"), used, retain)) = &topic; \
    static void run_topic(void)

extern char self[PATH_MAX];        /* the harness's own path */
extern char **main_environment;    /* what main was given; NULL before main */

/* Prints by a raw system call: what a topic says of itself is no event. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* `call` with its result and errno. */
#define SAY(call)                                                          \
    do {                                                                   \
        errno = 0;                                                         \
        long said = (long)(call);                                          \
        say("%s: %ld %s\n", #call, said, errno ? strerror(errno) : "");    \
    } while (0)
/* Whether it returned something that is no error, where the value itself differs between runs. */
#define SAY_DONE(call) say("%s: %s\n", #call, (long)(call) != -1 ? "done" : strerror(errno))
/* How a child ended. */
void say_status(const char *what, int status);
/* An empty folder in the place of one of the system's, for this thread and its children only. Takes root. */
void replace_folder(const char *path);
/* What is to execute another program, and how that ended. */
#define IN_CHILD(statement)                      \
    do {                                         \
        int status;                              \
        pid_t child = fork();                    \
        if (!child) {                            \
            statement;                           \
            _exit(99);                           \
        }                                        \
        waitpid(child, &status, 0);              \
        say_status(#statement, status);          \
    } while (0)
/* Makes a file past the library. */
void make_file(const char *path, const char *content);
