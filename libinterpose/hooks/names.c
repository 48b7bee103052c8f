#include <linux/fcntl.h>
#include <linux/fs.h>

#include "effects.h"
#include "files.h"
#include "journal.h"

void ip_after_rename(const struct ip_call_rename *call)
{
    char from_base[IP_BASE_MAX], to_base[IP_BASE_MAX];
    struct ip_wire_File file, displaced;
    struct ip_wire_Name from = ip_name(call->error, call->from_dir, call->from, from_base);
    struct ip_wire_Name to = ip_name(call->error, call->to_dir, call->to, to_base);
    struct ip_wire_Rename rename = {.from = &from, .to = &to, .exchange = !!(call->flags & RENAME_EXCHANGE)};

    if (!call->error && !ip_file_at(&file, call->to_dir, call->to, AT_SYMLINK_NOFOLLOW))
        rename.file = &file;
    if (rename.exchange && !call->error && !ip_file_at(&displaced, call->from_dir, call->from, AT_SYMLINK_NOFOLLOW))
        rename.displaced = &displaced;
    IP_EMIT(call, RENAME, rename, &rename);
}

void ip_after_link(const struct ip_call_link *call)
{
    char from_base[IP_BASE_MAX], to_base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name from = ip_name(call->error, call->from_dir, call->from, from_base);
    struct ip_wire_Name to = ip_name(call->error, call->to_dir, call->to, to_base);
    struct ip_wire_Link link = {.from = &from, .to = &to};

    if (!call->error && !ip_file_at(&file, call->to_dir, call->to, AT_SYMLINK_NOFOLLOW))
        link.file = &file;
    IP_EMIT(call, LINK, link, &link);
}

void ip_after_symlink(const struct ip_call_symlink *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name = ip_name(call->error, call->dir, call->path, base);
    struct ip_wire_Symlink symlink = {.name = &name};

    if (!call->error) {
        symlink.target = ip_text(call->target);
        if (!ip_file_at(&file, call->dir, call->path, AT_SYMLINK_NOFOLLOW))
            symlink.file = &file;
    }
    IP_EMIT(call, SYMLINK, symlink, &symlink);
}

/* What goes is asked before it is gone. */
void ip_before_unlink(struct ip_call_unlink *call)
{
    call->file = (struct ip_wire_File){0};
    ip_file_at(&call->file, call->dir, call->path, AT_SYMLINK_NOFOLLOW);
}

void ip_after_unlink(const struct ip_call_unlink *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = ip_name(call->error, call->dir, call->path, base);
    struct ip_wire_Unlink unlink = {.name = &name, .directory = (call->file.mode & S_IFMT) == S_IFDIR};

    if (call->file.inode)
        unlink.file = &call->file;
    IP_EMIT(call, UNLINK, unlink, &unlink);
}

void ip_after_mkdir(const struct ip_call_mkdir *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name = ip_name(call->error, call->dir, call->path, base);
    struct ip_wire_Mkdir mkdir = {.name = &name, .mode = call->mode};

    if (!call->error && !ip_file_at(&file, call->dir, call->path, AT_SYMLINK_NOFOLLOW))
        mkdir.file = &file;
    IP_EMIT(call, MKDIR, mkdir, &mkdir);
}

void ip_after_mknod(const struct ip_call_mknod *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name = ip_name(call->error, call->dir, call->path, base);
    struct ip_wire_Mknod mknod = {.name = &name, .mode = call->mode, .device = call->device};

    if (!call->error && !ip_file_at(&file, call->dir, call->path, AT_SYMLINK_NOFOLLOW))
        mknod.file = &file;
    IP_EMIT(call, MKNOD, mknod, &mknod);
}
