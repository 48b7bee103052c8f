/* A thread is cancelled where it would be without the library, in the midst of a call; the call that was cut off left no event,
 * and nothing of the library stays behind.
 *
 * needs: exec
 * events:
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   spawn system path=/bin/sh inode=*
 *   thread_exit pthread_create unwound
 *   thread_start pthread_create
 *   thread_exit pthread_create unwound
 * process image ...:
 */
#include "harness.h"

extern char **environ;
static int ends[2], full[2], pair[2], listener;
static pid_t sleeper;
static _Atomic int ready;

static void *by_read(void *unused)
{
    char byte;
    read(ends[0], &byte, 1);
    return NULL;
}

static void *by_write(void *unused)
{
    write(full[1], "x", 1);
    return NULL;
}

static void *by_readv(void *unused)
{
    char byte;
    readv(ends[0], &(struct iovec){&byte, 1}, 1);
    return NULL;
}

static void *by_recv(void *unused)
{
    char byte;
    recv(pair[0], &byte, 1, 0);
    return NULL;
}

static void *by_recvmsg(void *unused)
{
    char byte;
    recvmsg(pair[0], &(struct msghdr){.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1}, 0);
    return NULL;
}

static void *by_accept(void *unused)
{
    accept(listener, NULL, NULL);
    return NULL;
}

static void *by_open(void *unused)
{
    open("fifo", O_RDONLY);
    return NULL;
}

static void *by_waitpid(void *unused)
{
    int status;
    waitpid(sleeper, &status, 0);
    return NULL;
}

static void *by_sigwait(void *unused)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwaitinfo(&set, NULL);
    return NULL;
}

static void *by_lock(void *unused)
{
    struct flock lock = {.l_type = F_WRLCK};
    int file = (int)syscall(SYS_openat, AT_FDCWD, "locked", O_RDWR);
    fcntl(file, F_SETLKW, &lock);
    return NULL;
}

/* The last thread's stack is this one's too. */
static void *by_overwriting(void *unused)
{
    volatile char room[65536];

    for (size_t i = 0; i < sizeof room; i++)
        room[i] = 'x';
    return by_read(NULL);
}

static void *by_system(void *unused)
{
    system(": > started; : < fifo");
    return NULL;
}

static void *run(void *function)
{
    ready = 1;
    return ((void *(*)(void *))function)(NULL);
}

static void cancel(const char *name, void *(*function)(void *))
{
    pthread_t thread;
    void *result = NULL;

    ready = 0;
    pthread_create(&thread, NULL, run, (void *)function);
    while (!ready)
        syscall(SYS_sched_yield);
    syscall(SYS_nanosleep, &(struct timespec){0, 30000000}, NULL);
    while (function == by_system && syscall(SYS_faccessat, AT_FDCWD, "started", F_OK) < 0)
        syscall(SYS_sched_yield);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    say("%s: cancelled %d\n", name, result == PTHREAD_CANCELED);
}

static pid_t start_sleeper(void)
{
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (!child) {
        struct flock lock = {.l_type = F_WRLCK};
        int file = (int)syscall(SYS_openat, AT_FDCWD, "locked", O_RDWR | O_CREAT, 0600);
        syscall(SYS_fcntl, file, F_SETLK, &lock);
        make_file("is-locked", "");
        for (;;)
            syscall(SYS_nanosleep, &(struct timespec){100, 0}, NULL);
    }
    while (syscall(SYS_faccessat, AT_FDCWD, "is-locked", F_OK) < 0)
        syscall(SYS_sched_yield);
    return child;
}

TOPIC(cancellation)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    char block[4096] = "";

    sleeper = start_sleeper();
    syscall(SYS_pipe2, ends, 0);
    syscall(SYS_pipe2, full, O_NONBLOCK);
    while (syscall(SYS_write, full[1], block, sizeof block) > 0)
        ;
    syscall(SYS_fcntl, full[1], F_SETFL, 0);
    syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
    listener = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    syscall(SYS_bind, listener, &address, sizeof address);
    syscall(SYS_listen, listener, 5);
    syscall(SYS_mknodat, AT_FDCWD, "fifo", S_IFIFO | 0600, 0);
    cancel("read", by_read);
    cancel("write", by_write);
    cancel("readv", by_readv);
    cancel("recv", by_recv);
    cancel("recvmsg", by_recvmsg);
    cancel("accept", by_accept);
    cancel("open", by_open);
    cancel("waitpid", by_waitpid);
    cancel("sigwaitinfo", by_sigwait);
    cancel("fcntl", by_lock);
    cancel("system", by_system);
    syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, "fifo", O_WRONLY | O_NONBLOCK)); /* ends a shell that goes on waiting */
    cancel("read", by_overwriting);
    for (char **entry = environ; *entry; entry++)
        say("%s\n", *entry);
    syscall(SYS_kill, sleeper, SIGKILL);
    syscall(SYS_wait4, sleeper, NULL, 0, NULL);
}
