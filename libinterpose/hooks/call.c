#include <linux/fcntl.h>

#include "effects.h"
#include "files.h"
#include "io.h"
#include "journal.h"
#include "streams.h"

void ip_after_call(const struct ip_call_call *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = ip_name(call->error, AT_FDCWD, call->path, base);
    struct ip_wire_Call message = {.result = call->result, .name = call->path ? &name : NULL, .fd = call->fd};

    if (!call->error && call->stream) {
        ip_fd_streamed(call->fd);
        ip_stdio_opened(call->stream);
    }
    if (ip_level_is_calls())
        IP_EMIT(call, CALL, call, &message);
}
