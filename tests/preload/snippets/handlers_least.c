/* Handlers on the least stack that the kernel lets a signal have, with a page behind it that nobody may touch: more signals than there is
 * room for in a journal, a child that begins its own there, what is called from there, and
 * the end.
 *
 * events:
 *   fork fork child=@1
 *   wait waitpid child=@1 exit_status=3
 *   fork fork child=@2
 *   wait waitpid child=@2 exit_status=4
 *   fork fork child=@3
 *   wait waitpid child=@3 signal=15
 * process fork ...:
 * process fork:
 *   kill raise signal=12
 *   signal none signal=12 code=-6 sender=@2
 *   open open path=by-handler write create inode=@f fd=@f
 *   io write fd=@f bytes_written=1 inode=@f
 *   rename rename from.path=by-handler to.path=renamed inode=@f
 *   io _exit fd=@f inode=@f final
 *   exit _exit status=4
 * process fork:
 *   kill raise signal=12
 *   signal none signal=12 code=-6 sender=@3
 *   open open path=last write create inode=@g fd=@g
 *   io write fd=@g bytes_written=1 inode=@g
 *   io kill fd=@g bytes_written=1 inode=@g final
 *   kill kill signal=15
 */
#include "harness.h"

#include <sys/auxv.h>

#define PAGE 4096
#define TIMES 3000
#define RESOLVING 4096 /* what it takes to find a function at its first call */

static volatile int taken;

static void count(int signal)
{
    taken++;
}

static void call(int signal)
{
    int file = open("by-handler", O_WRONLY | O_CREAT, 0600);

    write(file, "1", 1);
    rename("by-handler", "renamed");
}

static void end(int signal)
{
    int file = open("last", O_WRONLY | O_CREAT, 0600);

    write(file, "1", 1);
    write(file, "2", 1);
    kill(syscall(SYS_getpid), SIGTERM);
}

static void use_stack(size_t size)
{
    char *memory = mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    mprotect(memory, PAGE, PROT_NONE);
    SAY(sigaltstack(&(stack_t){.ss_sp = memory + PAGE, .ss_size = size}, NULL));
}

static void count_many(void)
{
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = count, .sa_flags = SA_ONSTACK}, NULL);
    for (int i = 0; i < TIMES; i++)
        syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGUSR1);
    say("%d signals\n", taken);
}

static void take(void (*handler)(int))
{
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_ONSTACK}, NULL);
    raise(SIGUSR2);
}

TOPIC(handlers_least)
{
    unsigned long least = getauxval(51 /* AT_MINSIGSTKSZ */);

    least = least > MINSIGSTKSZ ? least : MINSIGSTKSZ;
    use_stack(least);
    IN_CHILD(count_many(); _exit(3));
    use_stack(least + RESOLVING);
    IN_CHILD(take(call); _exit(4));
    IN_CHILD(take(end));
    SAY(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
}
