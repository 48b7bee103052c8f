/* The memory of another process, read and written.
 *
 * needs: exec
 * events:
 *   pipe pipe read_fd=* write_fd=*
 *   fork fork child=@child
 *   transfer process_vm_readv process=@child bytes=5
 *   transfer process_vm_writev process=@child bytes=4 into_process
 *   transfer process_vm_readv process=@child
 * process fork:
 *   exit _exit
 */
#include "harness.h"

static char words[] = "there";

TOPIC(other_memory)
{
    char here[8] = "";
    int ends[2], status;

    pipe(ends);
    pid_t child = fork();
    if (!child) {
        char told[1];
        syscall(SYS_close, ends[1]);
        syscall(SYS_read, ends[0], told, 1);
        say("%s\n", words);
        _exit(0);
    }
    struct iovec far = {words, 5}, near = {here, 5};
    SAY(process_vm_readv(child, &near, 1, &far, 1, 0));
    say("%s\n", here);
    SAY(process_vm_writev(child, &(struct iovec){"here", 4}, 1, &(struct iovec){words, 4}, 1, 0));
    SAY(process_vm_readv(child, &near, 0, &far, 0, 0));
    SAY(process_vm_readv(-1, &near, 1, &far, 1, 0));
    syscall(SYS_close, ends[1]);
    syscall(SYS_wait4, child, &status, 0, NULL);
    say_status("child", status);
}
