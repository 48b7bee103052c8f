/* clone(2) as a fork and as a vfork on a stack of its own, and a vfork within a vfork: each child's events are its own.
 *
 * needs: exec
 * events:
 *   fork clone child=@1
 *   wait waitpid child=@1 exit_status=1
 *   open open path=borrowed write create process.pid=@2
 *   exit _exit status=2 process.pid=@2
 *   fork clone child=@2 vfork
 *   wait waitpid child=@2 exit_status=2
 *   open open path=outer write create process.pid=@3
 *   open open path=inner write create process.pid=@4
 *   exit _exit status=4 process.pid=@4
 *   fork vfork child=@4 vfork process.pid=@3
 *   open open path=again write create process.pid=@3
 *   exit _exit status=3 process.pid=@3
 *   fork vfork child=@3 vfork
 *   open open path=mine write create process.pid=0
 *   wait waitpid child=@3 exit_status=3
 * process fork:
 *   open open path=copied write create
 *   exit _exit status=1
 */
#include "harness.h"

static int make(const char *path)
{
    return close(open(path, O_WRONLY | O_CREAT, 0600));
}

static int copied(void *status)
{
    make("copied");
    _exit((int)(long)status);
}

static int borrowed(void *status)
{
    make("borrowed");
    _exit((int)(long)status);
}

TOPIC(clone)
{
    static char stack[65536] __attribute__((aligned(16)));
    int status;

    pid_t child = clone(copied, stack + sizeof stack, SIGCHLD, (void *)1L);
    SAY(waitpid(child, &status, 0) == child);
    say_status("copied", status);
    child = clone(borrowed, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)2L);
    SAY(waitpid(child, &status, 0) == child);
    say_status("borrowed", status);
    child = vfork();
    if (!child) {
        make("outer");
        if (!vfork()) {
            make("inner");
            _exit(4);
        }
        make("again");
        _exit(3);
    }
    make("mine");
    SAY(waitpid(child, &status, 0) == child);
    say_status("outer", status);
}
