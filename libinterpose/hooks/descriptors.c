#include "effects.h"
#include "files.h"
#include "io.h"
#include "stream.h"

/* What a descriptor moved is reported before it is closed: afterwards its number may already be another thread's. */
void ip_before_close(struct ip_call_close *call)
{
    ip_fd_closing(call->function, call->fd);
    ip_stream_closing(call->fd);
}

void ip_after_close(const struct ip_call_close *call)
{
    struct ip_wire_Close close = {.fd = call->fd};

    if (ip_level_is_calls())
        IP_EMIT(call, CLOSE, close, &close);
}

void ip_before_dup(struct ip_call_dup *call)
{
    if (call->onto >= 0 && call->onto != call->from)
        ip_fd_closing(call->function, call->onto);
}

/* A duplicate is known by what it refers to at its first use, so only level `calls` tells of the call. */
void ip_after_dup(const struct ip_call_dup *call)
{
    struct ip_wire_Dup dup = {.from = call->from, .fd = call->fd};

    if (!call->error && call->fd != call->from)
        ip_fd_opened(call->fd, NULL);
    if (ip_level_is_calls())
        IP_EMIT(call, DUP, dup, &dup);
}

void ip_after_pipe(const struct ip_call_pipe *call)
{
    struct ip_wire_File file;
    struct ip_wire_Pipe pipe = {0};

    if (!call->error) {
        pipe.read_fd = call->fds[0];
        pipe.write_fd = call->fds[1];
        if (!ip_file_of_fd(&file, pipe.read_fd))
            pipe.file = &file;
        ip_fd_opened(pipe.read_fd, pipe.file);
        ip_fd_opened(pipe.write_fd, pipe.file);
    }
    IP_EMIT(call, PIPE, pipe, &pipe);
}

void ip_after_lock(const struct ip_call_lock *call)
{
    struct ip_wire_File file;
    struct ip_wire_Lock lock = {.fd = call->fd, .operation = call->operation};

    if (!ip_file_of_fd(&file, call->fd))
        lock.file = &file;
    IP_EMIT(call, LOCK, lock, &lock);
}
