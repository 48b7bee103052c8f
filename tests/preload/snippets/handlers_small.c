/* Handlers on a stack of the usual size for them, SIGSTKSZ, with a page behind it that nobody may touch: one does nothing, the other calls
 * what is captured; and a child that begins its own journal there.
 *
 * events:
 *   kill raise signal=10
 *   signal none signal=10 code=-6 sender=*
 *   kill raise signal=12
 *   signal none signal=12 code=-6 sender=*
 *   open open path=by-handler write create inode=@f fd=@f
 *   io write fd=@f bytes_written=1 inode=@f
 *   rename rename from.path=by-handler to.path=renamed inode=@f
 *   fork fork child=@c
 *   wait waitpid child=@c exit_status=4
 * process fork:
 *   signal none signal=10 code=0 sender=@c
 *   exit _exit status=4
 */
#include "harness.h"

#define SIZE 8192
#define PAGE 4096

static void nothing(int signal)
{
}

static void call(int signal)
{
    int file = open("by-handler", O_WRONLY | O_CREAT, 0600);

    write(file, "1", 1);
    rename("by-handler", "renamed");
    syscall(SYS_close, file);
}

TOPIC(handlers_small)
{
    char *memory = mmap(NULL, PAGE + SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;

    mprotect(memory, PAGE, PROT_NONE);
    SAY(sigaltstack(&(stack_t){.ss_sp = memory + PAGE, .ss_size = SIZE}, NULL));
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nothing, .sa_flags = SA_ONSTACK}, NULL);
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = call, .sa_flags = SA_ONSTACK}, NULL);
    SAY(raise(SIGUSR1));
    SAY(raise(SIGUSR2));
    pid_t child = fork();
    if (!child) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
        _exit(4);
    }
    waitpid(child, &status, 0);
    say_status("child", status);
    SAY(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}
