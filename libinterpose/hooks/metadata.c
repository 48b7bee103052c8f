#include <linux/fcntl.h>

#include "effects.h"
#include "files.h"
#include "journal.h"

/* What a call meant by a descriptor or by a path. */
struct subject {
    char base[IP_BASE_MAX];
    struct ip_wire_Name name_value;
    struct ip_wire_File file_value;
    const struct ip_wire_Name *name;
    const struct ip_wire_File *file;
};

static void find(struct subject *subject, int error, int fd, int dir, const char *path, int follow)
{
    int flags = follow ? 0 : AT_SYMLINK_NOFOLLOW;

    subject->name_value = ip_name(error, dir, path, subject->base);
    subject->name = path ? &subject->name_value : NULL;
    subject->file = NULL;
    if (!error && !(path ? ip_file_at(&subject->file_value, dir, path, flags)
                         : ip_file_of_fd(&subject->file_value, fd >= 0 ? fd : dir)))
        subject->file = &subject->file_value;
}

void ip_after_stat(const struct ip_call_stat *call)
{
    struct subject subject;
    struct ip_wire_Stat stat = {0};

    if (!ip_level_is_calls())
        return;
    find(&subject, call->error, call->fd, call->dir, call->path, 1);
    stat.name = subject.name;
    stat.file = subject.file;
    IP_EMIT(call, STAT, stat, &stat);
}

void ip_after_chmod(const struct ip_call_chmod *call)
{
    struct subject subject;
    struct ip_wire_Chmod chmod = {.mode = call->mode};

    find(&subject, call->error, call->fd, call->dir, call->path, 1);
    chmod.name = subject.name;
    chmod.file = subject.file;
    IP_EMIT(call, CHMOD, chmod, &chmod);
}

void ip_after_chown(const struct ip_call_chown *call)
{
    struct subject subject;
    struct ip_wire_Chown chown = {.user = (int)call->user, .group = (int)call->group};

    find(&subject, call->error, call->fd, call->dir, call->path, call->follow);
    chown.name = subject.name;
    chown.file = subject.file;
    IP_EMIT(call, CHOWN, chown, &chown);
}

void ip_after_utime(const struct ip_call_utime *call)
{
    struct subject subject;
    struct ip_wire_Utime utime = {0};

    find(&subject, call->error, call->fd, call->dir, call->path, call->follow);
    utime.name = subject.name;
    utime.file = subject.file;
    IP_EMIT(call, UTIME, utime, &utime);
}

void ip_after_truncate(const struct ip_call_truncate *call)
{
    struct subject subject;
    struct ip_wire_Truncate truncate = {.length = call->length};

    find(&subject, call->error, call->fd, AT_FDCWD, call->path, 1);
    truncate.name = subject.name;
    truncate.file = subject.file;
    IP_EMIT(call, TRUNCATE, truncate, &truncate);
}

void ip_after_xattr(const struct ip_call_xattr *call)
{
    struct subject subject;
    struct ip_wire_Xattr xattr = {.write = (uint32_t)call->write};

    if (!call->write && !ip_level_is_calls())
        return;
    find(&subject, call->error, call->fd, AT_FDCWD, call->path, call->follow);
    if (!call->error)
        xattr.attribute = ip_text(call->attribute);
    xattr.name = subject.name;
    xattr.file = subject.file;
    IP_EMIT(call, XATTR, xattr, &xattr);
}
