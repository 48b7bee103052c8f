/* Asynchronous requests of the kernel's own: io_submit(2) and io_uring(7). */
#include <linux/aio_abi.h>

#include "journal.h"
#include "number.h"
#include "unseen.h"

/* How much each request will move is known to nobody yet; that it reads or writes the file is. */
static void submitted(const struct iocb *request)
{
    struct ip_call_io call = {.function = "syscall", .fd = (int)request->aio_fildes, .read = -1, .written = -1};

    if (request->aio_lio_opcode == IOCB_CMD_PREAD || request->aio_lio_opcode == IOCB_CMD_PREADV)
        call.read = 0;
    else if (request->aio_lio_opcode == IOCB_CMD_PWRITE || request->aio_lio_opcode == IOCB_CMD_PWRITEV)
        call.written = 0;
    ip_after_io(&call);
}

IP_NUMBER(io_submit)
{
    long result = real(__NR_io_submit, a0, a1, a2, a3, a4, a5);

    for (long i = 0; i < result; i++)
        submitted(((struct iocb **)a2)[i]);
    return result;
}

/* Once in a program; a forked child that has it tells of it again. */
IP_NUMBER(io_uring_setup)
{
    long result = real(__NR_io_uring_setup, a0, a1, a2, a3, a4, a5);

    if (result >= 0 && !atomic_exchange(&ip_state.rings, 1))
        ip_unseen_rings("syscall");
    return result;
}
