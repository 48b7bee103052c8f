/* A process that enters seccomp mode is recorded up to there, and lives on where a system call of the library's would end it.
 *
 * needs: !aarch64
 * events:
 *   open open path=before write create fd=@f inode=@file
 *   io write fd=@f bytes_written=2 writes=1 inode=@file
 *   io close fd=@f inode=@file final
 *   blind_spot prctl cause=6
 */
#include "harness.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

/* linux/filter.h and linux/seccomp.h, which musl does not come with */
struct instruction {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t operand;
};
struct filter {
    unsigned short length;
    struct instruction *program;
};
enum { LOAD = 0x20, JUMP_IF_EQUAL = 0x15, RETURN = 0x06, MODE_FILTER = 2 };
#define KILL_PROCESS 0x80000000u
#define ALLOW 0x7fff0000u

static void make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    SAY(write(fd, "x\n", 2));
    SAY_DONE(close(fd));
}

TOPIC(sandbox)
{
    struct instruction program[] = {
        {LOAD, 0, 0, 0}, /* the number */
        {JUMP_IF_EQUAL, 0, 1, SYS_statx},
        {RETURN, 0, 0, KILL_PROCESS},
        {RETURN, 0, 0, ALLOW},
    };
    struct filter filter = {sizeof program / sizeof *program, program};

    make("before");
    SAY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SAY(prctl(PR_SET_SECCOMP, MODE_FILTER, &filter, 0, 0));
    make("after");
}
