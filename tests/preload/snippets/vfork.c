/* A vfork child borrows its parent's memory, not its descriptors and directory: nothing that it does to them may reach the
 * parent's state.
 *
 * needs: exec
 * events:
 *   open open path=file write create fd=@f inode=@file
 *   io write fd=@f bytes_written=1 inode=@file
 *   open open path=in-child write create process.pid=@child base=WORK inode=@other
 *   io write bytes_written=5 process.pid=@child inode=@other
 *   chdir chdir path=sub process.pid=@child
 *   open open path=in-sub write create process.pid=@child base=WORK/sub
 *   exit _exit status=6 process.pid=@child
 *   fork vfork child=@child vfork
 *   wait waitpid child=@child exit_status=6
 *   open open path=after write create base=WORK
 *   io close fd=@f bytes_written=2 final inode=@file
 *   fork vfork child=* vfork
 *   wait waitpid exit_status=7 child=*
 *   exec execv error=2 path=/missing process.pid=@failed
 *   exit _exit status=8 process.pid=@failed
 *   fork vfork child=@failed vfork
 *   wait waitpid exit_status=8 child=@failed
 * process image:
 *   exit exit status=7
 */
#include "harness.h"

/* A frame of its own: the child must not disturb the parent's, as it would by returning. */
__attribute__((noinline)) static pid_t start(char *const *arguments, int file)
{
    pid_t child = vfork();

    if (!child) {
        close(file);
        dup2(1, file);
        execv(arguments[0], arguments);
        _exit(8);
    }
    return child;
}

TOPIC(vfork)
{
    char *arguments[] = {self, "leaf", "vforked", "7", NULL}, *missing[] = {"/missing", NULL};
    int status, file = open("file", O_WRONLY | O_CREAT, 0600);
    volatile int shared = 0;

    syscall(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    SAY(write(file, "1", 1));
    SAY(write(file, "22", 2));
    pid_t child = vfork();
    if (!child) {
        shared = 1;
        close(file);
        int other = open("in-child", O_WRONLY | O_CREAT, 0600);
        write(other, "child", 5);
        close(other);
        chdir("sub");
        close(open("in-sub", O_WRONLY | O_CREAT, 0600));
        _exit(6);
    }
    say("%d\n", shared);
    SAY(waitpid(child, &status, 0) == child);
    say_status("vforked", status);
    close(open("after", O_WRONLY | O_CREAT, 0600));
    SAY(close(file));
    child = start(arguments, 60);
    SAY(waitpid(child, &status, 0) == child);
    say_status("executed", status);
    child = start(missing, 60);
    SAY(waitpid(child, &status, 0) == child);
    say_status("failed", status);
}
