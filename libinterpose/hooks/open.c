#include <linux/fcntl.h>

#include "effects.h"
#include "files.h"
#include "io.h"
#include "streams.h"

static int makes_nameless(int flags)
{
    return (flags & __O_TMPFILE) == __O_TMPFILE; /* open(2), O_TMPFILE: the path is a directory's */
}

/* What was opened by no path, or in none, is named by the kernel. */
static struct ip_wire_Name name_of(const struct ip_call_open *call, char buffer[IP_BASE_MAX])
{
    if (!call->error && call->fd >= 0 && (!call->path || makes_nameless(call->flags)))
        return ip_name_of_nameless(call->fd, buffer);
    return ip_name(call->error, call->dir, call->path, buffer);
}

void ip_after_open(const struct ip_call_open *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name = name_of(call, base);
    int access = call->flags & O_ACCMODE, path_only = !!(call->flags & O_PATH);
    struct ip_wire_Open open = {
        .name = &name,
        .fd = call->fd,
        .read = !path_only && access != O_WRONLY,
        .write = !path_only && access != O_RDONLY,
        .append = !!(call->flags & O_APPEND),
        .create = call->flags & O_CREAT || makes_nameless(call->flags),
        .truncate = !path_only && !!(call->flags & O_TRUNC),
        .exclusive = !!(call->flags & O_EXCL),
        .directory = call->flags & O_DIRECTORY && !makes_nameless(call->flags),
        .path_only = (uint32_t)path_only,
        .mode = call->mode,
    };

    if (call->fd < 0 && !call->path && !call->error)
        return; /* this libc opens nothing there */
    /* libc may have closed the descriptor again. */
    if (!call->error && !(call->fd >= 0 ? ip_file_of_fd(&file, call->fd) : ip_file_at(&file, call->dir, call->path, 0))) {
        open.file = &file;
        open.directory |= (file.mode & S_IFMT) == S_IFDIR;
    }
    /* At its first use the kernel is asked for its path. */
    int is_again = !call->error && call->path && ip_path_is_descriptor(call->path);
    if (!call->error)
        ip_fd_opened(call->fd, is_again ? NULL : open.file);
    if (!call->error && call->stream)
        ip_stdio_opened(call->stream);
    IP_EMIT(call, OPEN, open, &open);
    if (!call->error && call->mapped && open.file && (file.mode & S_IFMT) == S_IFREG && file.size) {
        struct ip_wire_Map map = {.fd = call->fd, .file = &file, .length = file.size, .read = 1};
        IP_EMIT(call, MAP, map, &map);
    }
}
