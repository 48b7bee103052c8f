/* Enters seccomp mode: `confined WHICH kill|trap|errno [PROGRAM ARGUMENTS...]`. WHICH is `allow` (what a small program needs, and no other
 * call), the name of one call that is refused, `worker` and `strict` (a child that executes nothing); `confined filter` writes a filter. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int small[] = {
    SYS_write, SYS_exit_group, SYS_openat, SYS_close, SYS_execve, SYS_mmap, SYS_brk, SYS_read, SYS_pread64, SYS_newfstatat,
    SYS_fstat, SYS_mprotect, SYS_set_tid_address, SYS_set_robust_list, SYS_prlimit64, SYS_getrandom, SYS_munmap, SYS_rseq,
    SYS_fadvise64, SYS_lseek, SYS_futex, SYS_copy_file_range,
#ifdef SYS_access
    SYS_access, SYS_arch_prctl,
#endif
    SYS_faccessat,
};
#define SMALL (sizeof small / sizeof *small)

static struct sock_filter code[2 * SMALL + 4];

static unsigned action_of(const char *name)
{
    return !strcmp(name, "kill") ? SECCOMP_RET_KILL_PROCESS : !strcmp(name, "trap") ? SECCOMP_RET_TRAP : SECCOMP_RET_ERRNO | 1;
}

static struct sock_fprog filter_of(const int *calls, size_t count, unsigned theirs, unsigned others)
{
    unsigned short size = 0;

    code[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) {
        code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, theirs);
    }
    code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
    return (struct sock_fprog){size, code};
}

static void enter(struct sock_fprog program)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        perror("seccomp");
}

/* Reads and writes what was opened before, as a parser in a sandbox does. */
static int work(int strict)
{
    int input = open("heap.c", O_RDONLY), output = open("worked", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    char bytes[64];
    pid_t child = fork();

    if (!child) {
        if (strict)
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        else
            enter(filter_of(small, SMALL, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS));
        for (ssize_t size; (size = read(input, bytes, sizeof bytes)) > 0;)
            write(output, bytes, (size_t)size);
        syscall(strict ? SYS_exit : SYS_exit_group, 6);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("the child ended with %d by signal %d\n", WEXITSTATUS(status), WTERMSIG(status));
    return 0;
}

int main(int count, char **arguments)
{
    const char *which = count > 1 ? arguments[1] : "";
    unsigned action = action_of(count > 2 ? arguments[2] : "");
    int call = !strcmp(which, "statx") ? SYS_statx : !strcmp(which, "socket") ? SYS_socket : SYS_readlinkat;

    if (!strcmp(which, "worker") || !strcmp(which, "strict"))
        return work(*which == 's');
    if (!strcmp(which, "filter"))
        return fwrite(code, sizeof *code, filter_of(&call, 1, action, SECCOMP_RET_ALLOW).len, stdout) == 0;
    enter(!strcmp(which, "allow") ? filter_of(small, SMALL, SECCOMP_RET_ALLOW, action) : filter_of(&call, 1, action, SECCOMP_RET_ALLOW));
    execvp(arguments[3], arguments + 3);
    return 9;
}
