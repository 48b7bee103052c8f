#include "effects.h"
#include "files.h"
#include "io.h"

/* The kernel copies: a read of the one and a write of the other, without passing through the process. */
void ip_before_transfer(struct ip_call_transfer *call)
{
    call->began = ip_write_begins();
}

void ip_after_process_memory(const struct ip_call_process_memory *call)
{
    struct ip_wire_Transfer transfer = {.process = call->process, .into_process = (uint32_t)call->into};

    if (!call->error)
        transfer.bytes = (uint64_t)call->bytes;
    IP_EMIT(call, TRANSFER, transfer, &transfer);
}

void ip_after_transfer(const struct ip_call_transfer *call)
{
    struct ip_call_io from = {.function = call->function, .fd = call->from, .read = call->bytes, .written = -1};
    struct ip_call_io to = {
        .function = call->function, .fd = call->to, .read = -1, .written = call->bytes, .began = call->began};

    if (!call->error) {
        ip_after_io(&from);
        ip_after_io(&to);
    }
}
