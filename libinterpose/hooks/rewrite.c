#include "rewrite.h"

#include "files.h"
#include "io.h"

void ip_before_rewrite(struct ip_call_rewrite *call)
{
    call->began = ip_write_begins();
}

void ip_rewritten(const struct ip_call_rewrite *call, int flags)
{
    struct ip_wire_File file;
    struct ip_call_open open = {
        .function = call->function, .error = call->error, .fd = -1, .dir = AT_FDCWD, .path = call->path, .flags = flags, .mode = call->mode};

    ip_after_open(&open);
    if (!call->error && !ip_file_at(&file, AT_FDCWD, call->path, 0))
        ip_io_of_file(call->function, &file, -1, (long)call->bytes, call->began);
}

void ip_after_rewrite(const struct ip_call_rewrite *call)
{
    ip_rewritten(call, O_WRONLY | O_CREAT | O_TRUNC);
}
