/* clone(2) children that share some of what their parent has: descriptors, the directory, handlers, or memory while both run.
 *
 * needs: exec
 * events:
 *   open open path=shared write create fd=@s inode=@shared
 *   io write fd=@s bytes_written=1 inode=@shared
 *   io clone fd=@s inode=@shared final
 *   fork clone child=@1
 *   wait waitpid child=@1 exit_status=1
 *   open open path=in-sub write create base=WORK/sub
 *   open open path=by-parent write create inode=@other base=WORK/sub
 *   io write fd=@s bytes_written=3 inode=@other
 *   chdir chdir path=.. process.pid=@2
 *   exit _exit status=2 process.pid=@2
 *   fork clone child=@2 vfork
 *   wait waitpid child=@2 exit_status=2
 *   open open path=in-work write create base=WORK
 *   fork clone child=@3
 *   open open path=by-companion write create process.pid=@3 base=WORK
 *   io write bytes_written=5 process.pid=@3
 *   exit _exit status=3 process.pid=@3
 *   wait waitpid child=@3 exit_status=3
 *   open open path=after write create base=WORK process.pid=0
 * process fork:
 *   chdir chdir path=sub
 *   exit _exit status=1
 */
#include "harness.h"

static char stack[65536] __attribute__((aligned(16)));
static int shared;
static _Atomic int go;

static void make(const char *path)
{
    syscall(SYS_close, open(path, O_WRONLY | O_CREAT, 0600));
}

static int share_files(void *status)
{
    syscall(SYS_write, shared, "2", 1);
    syscall(SYS_close, shared);
    chdir("sub");
    _exit((int)(long)status);
}

static void handle(int signal)
{
    say("handled %d\n", signal);
}

static int share_all(void *status)
{
    chdir("..");
    signal(SIGUSR2, handle);
    syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGUSR2);
    _exit((int)(long)status);
}

static int run_beside(void *status)
{
    while (!go)
        ;
    int file = open("by-companion", O_WRONLY | O_CREAT, 0600);
    write(file, "12345", 5);
    syscall(SYS_close, file);
    _exit((int)(long)status);
}

static void end(pid_t child)
{
    int status;

    SAY(waitpid(child, &status, 0) == child);
    say_status("child", status);
}

TOPIC(clone_shared)
{
    syscall(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    shared = open("shared", O_WRONLY | O_CREAT, 0600);
    SAY(write(shared, "1", 1));
    end(clone(share_files, stack + sizeof stack, CLONE_FILES | CLONE_FS | SIGCHLD, (void *)1L));
    make("in-sub");
    SAY(open("by-parent", O_WRONLY | O_CREAT, 0600) == shared);
    SAY(write(shared, "333", 3));
    end(clone(share_all, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_SIGHAND | SIGCHLD, (void *)2L));
    struct sigaction found;
    sigaction(SIGUSR2, NULL, &found);
    say("the child's handler is the parent's: %d\n", found.sa_handler == handle);
    signal(SIGUSR2, SIG_DFL);
    make("in-work");
    pid_t child = clone(run_beside, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)3L);
    go = 1;
    end(child);
    make("after");
}
