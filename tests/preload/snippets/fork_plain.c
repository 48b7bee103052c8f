/* _Fork runs no handlers of pthread_atfork; children of vfork children are told of by their own parent.
 *
 * needs: exec
 * events:
 *   [!glibc<2.34] fork _Fork child=@1
 *   [!glibc<2.34] wait waitpid child=@1 exit_status=1
 *   fork fork child=@2
 *   wait waitpid child=@2 exit_status=2
 *   fork fork child=@4 process.pid=@3
 *   wait waitpid child=@4 exit_status=4 process.pid=@3
 *   exit _exit status=3 process.pid=@3
 *   fork vfork child=@3 vfork
 *   wait waitpid child=@3 exit_status=3
 * [!glibc<2.34] process fork:
 *   exit _exit status=1
 * process fork:
 *   exit _exit status=2
 * process fork:
 *   origin none parent.pid=@3
 *   open open path=by-grandchild write create
 *   exit _exit status=4
 */
#include "harness.h"

pid_t _Fork(void) __attribute__((weak));

static int prepared, followed, begun;

static void prepare(void)
{
    prepared++;
}

static void in_parent(void)
{
    followed++;
}

static void in_child(void)
{
    begun++;
}

static void end(pid_t child)
{
    int status;

    SAY(waitpid(child, &status, 0) == child);
    say_status("child", status);
}

TOPIC(fork_plain)
{
    int status;
    pid_t child;

    pthread_atfork(prepare, in_parent, in_child);
    if (_Fork) {
        child = _Fork();
        if (!child)
            _exit(begun == 0 ? 1 : 91);
        end(child);
        say("%d %d\n", prepared, followed);
    }
    child = fork();
    if (!child)
        _exit(begun == 1 ? 2 : 92);
    end(child);
    say("%d %d\n", prepared, followed);
    child = vfork();
    if (!child) {
        child = fork();
        if (!child) {
            syscall(SYS_close, open("by-grandchild", O_WRONLY | O_CREAT, 0600));
            _exit(4);
        }
        waitpid(child, &status, 0);
        _exit(3);
    }
    end(child);
}
