/* Enters seccomp mode with a filter and executes a program there: `sandboxes FILTER PLACE PROGRAM`. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#define MOST 128
#define ADD(...) (filter[length++] = (struct sock_filter)__VA_ARGS__)
#define LOAD(member) ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member)))
#define RETURN(action) ADD(BPF_STMT(BPF_RET | BPF_K, action))
#define UNLESS(number) ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1))

static struct sock_filter filter[MOST];
static unsigned short length;

/* What a small program needs of the kernel, and what runs one. */
static const int few[] = {
    SYS_write, SYS_exit_group, SYS_openat, SYS_close, SYS_execve, SYS_mmap, SYS_brk, SYS_read, SYS_pread64, SYS_newfstatat, SYS_fstat,
    SYS_mprotect, SYS_set_tid_address, SYS_set_robust_list, 334 /* rseq */, SYS_prlimit64, SYS_getrandom, SYS_munmap, SYS_clone, SYS_wait4,
    SYS_futex,
#ifdef SYS_access
    SYS_access, SYS_arch_prctl, SYS_vfork,
#endif
};

static void allow_few(unsigned int otherwise)
{
    LOAD(nr);
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        UNLESS(few[i]);
        RETURN(SECCOMP_RET_ALLOW);
    }
    RETURN(otherwise);
}

static void forbid(int number, unsigned int action)
{
    LOAD(nr);
    UNLESS(number);
    RETURN(action);
    RETURN(SECCOMP_RET_ALLOW);
}

/* An argument that is always the same in what the library does, and one that may be anything. */
static void forbid_argument(int number, int place, unsigned int value, unsigned int action)
{
    LOAD(nr);
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3));
    LOAD(args[place]);
    UNLESS(value);
    RETURN(action);
    RETURN(SECCOMP_RET_ALLOW);
}

/* Compares one argument again and again, far more often than anybody would follow both answers. */
static void ask_without_end(void)
{
    LOAD(args[1]);
    for (int i = 0; i < 60; i++)
        ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1u << i % 32, 1, 0)), ADD(BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 1));
    RETURN(SECCOMP_RET_ALLOW);
}

static void make(const char *name)
{
    if (!strcmp(name, "allow-few"))
        allow_few(SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "allow-few-trap"))
        allow_few(SECCOMP_RET_TRAP);
    else if (!strcmp(name, "allow-few-errno"))
        allow_few(SECCOMP_RET_ERRNO | EPERM);
    else if (!strcmp(name, "kill-statx"))
        forbid(SYS_statx, SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "trap-statx"))
        forbid(SYS_statx, SECCOMP_RET_TRAP);
    else if (!strcmp(name, "errno-statx"))
        forbid(SYS_statx, SECCOMP_RET_ERRNO | EPERM);
    else if (!strcmp(name, "errno-uname"))
        forbid(SYS_uname, SECCOMP_RET_ERRNO | EPERM);
    else if (!strcmp(name, "kill-uname"))
        forbid(SYS_uname, SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "kill-faccessat"))
        forbid(SYS_faccessat, SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "kill-ptrace"))
        forbid(SYS_ptrace, SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "kill-netlink"))
        forbid_argument(SYS_socket, 0, AF_NETLINK, SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "kill-some-statx"))
        forbid_argument(SYS_statx, 2, 12345, SECCOMP_RET_KILL_PROCESS);
    else if (!strcmp(name, "no-shared-memory"))
        forbid_argument(SYS_mmap, 3, 1 /* MAP_SHARED */, SECCOMP_RET_ERRNO | ENOMEM);
    else if (!strcmp(name, "endless"))
        ask_without_end();
    else
        exit(97);
}

static void enter(int by_number)
{
    struct sock_fprog program = {length, filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _exit(96);
    if (by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(95);
}

/* `one+other`: one filter after another. */
static void enter_each(char *names, int by_number)
{
    for (char *at, *name = strtok_r(names, "+", &at); name; name = strtok_r(NULL, "+", &at)) {
        length = 0;
        make(name);
        enter(by_number);
    }
}

static int status_of(pid_t child)
{
    int status = -1;

    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void took(int signal)
{
    (void)signal;
}

static void *in_thread(void *stream)
{
    fputs("from a thread\n", stream);
    return NULL;
}

/* Something of each kind that the library has a hand in: registered, opened and begun before, and after. */
static int be_busy(char **argv)
{
    char *arguments[] = {argv[3], NULL}, resolved[4096];
    FILE *stream = fopen("busy", "w+");
    pthread_t thread;
    pid_t child;

    signal(SIGUSR1, took);
    enter_each(argv[1], 0);
    raise(SIGUSR1);
    signal(SIGUSR2, took);
    raise(SIGUSR2);
    if (pthread_create(&thread, NULL, in_thread, stream) || pthread_join(thread, NULL))
        return 91;
    rewind(stream);
    if (fgetc(stream) != 'f' || fclose(stream))
        return 92;
    DIR *folder = opendir(".");
    int listed = folder && readdir(folder) && !closedir(folder);
    void *loaded = dlopen("libm.so.6", RTLD_NOW);
    if (!listed || !realpath(".", resolved) || !loaded || dlclose(loaded) || rename("busy", "done"))
        return 93;
    getpwuid(0);
    setlocale(LC_ALL, "");
    if (posix_spawn(&child, argv[3], NULL, NULL, arguments, environ) || status_of(child) || system(argv[3]))
        return 94;
    FILE *shell = popen("echo from a shell", "r");
    if (!shell || fgetc(shell) != 'f' || (fclose(fopen("other", "w")), pclose(shell)))
        return 95;
    child = vfork();
    if (!child)
        _exit(7);
    return status_of(child) == 7 ? 0 : 96;
}

int main(int argc, char **argv)
{
    char *arguments[] = {argv[3], NULL};

    if (argc < 4)
        return 98;
    if (!strcmp(argv[2], "busy"))
        return be_busy(argv);
    if (!strcmp(argv[2], "exec")) {
        enter_each(argv[1], 1);
        execv(argv[3], arguments);
        return 94;
    }
    if (!strcmp(argv[2], "failing-exec")) {
        enter_each(argv[1], 0);
        execv("/nowhere", arguments);
        return errno;
    }
    if (!strcmp(argv[2], "vfork")) { /* the child enters alone */
        pid_t child = vfork();
        if (!child) {
            enter_each(argv[1], 0);
            execv(argv[3], arguments);
            _exit(94);
        }
        int status = status_of(child);
        FILE *file = fopen("written", "w");
        fputs("captured", file);
        fclose(file);
        return status;
    }
    enter_each(argv[1], 0);
    pid_t child = fork();
    if (!child) {
        execv(argv[3], arguments);
        _exit(94);
    }
    return status_of(child);
}
