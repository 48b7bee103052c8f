#include <linux/fcntl.h>

#include "effects.h"
#include "files.h"
#include "journal.h"
#include "reserve.h"

void ip_after_list(const struct ip_call_list *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name = ip_name(call->error, call->dir, call->path, base);
    struct ip_wire_List list = {.name = call->path ? &name : NULL, .fd = call->fd};

    if (!call->error && !(call->path ? ip_file_at(&file, call->dir, call->path, 0) : ip_file_of_fd(&file, call->fd)))
        list.file = &file;
    IP_EMIT(call, LIST, list, &list);
}

void ip_after_chdir(const struct ip_call_chdir *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = {0};
    struct ip_wire_Chdir chdir = {.name = call->path ? &name : NULL};

    /* The path started from where the process was. */
    name = ip_name(call->error, AT_FDCWD, call->path, base);
    if (!call->error && !ip_is_borrower()) {
        ip_directory_refresh();
        chdir.directory = ip_text(ip_state.directory);
    }
    IP_EMIT(call, CHDIR, chdir, &chdir);
}

/* A vfork child's root is its own, and its parent's state is not. */
void ip_before_chroot(struct ip_call_chroot *call)
{
    ip_reserve_make();
    if (call->path && !ip_is_borrower() && ip_path_is_readable(call->path))
        ip_root_entering(call->path);
}

void ip_after_chroot(const struct ip_call_chroot *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = ip_name(call->error, AT_FDCWD, call->path, base);
    struct ip_wire_Chroot chroot = {.name = &name};

    if (!call->error && !ip_is_borrower())
        ip_root_entered();
    IP_EMIT(call, CHROOT, chroot, &chroot);
}

void ip_before_depart(struct ip_call_depart *call)
{
    (void)call;
    ip_reserve_make();
}

void ip_after_depart(const struct ip_call_depart *call)
{
    struct ip_call_call done = {call->function, call->error, call->result, call->fd, call->path, NULL};

    ip_after_call(&done);
}

void ip_before_mount(struct ip_call_mount *call)
{
    (void)call;
    ip_reserve_make();
}

void ip_after_mount(const struct ip_call_mount *call)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name target = ip_name(call->error, call->dir, call->target, base);
    struct ip_wire_Mount mount = {.target = &target, .flags = call->flags, .unmount = (uint32_t)call->unmount};

    if (!call->error) {
        mount.source = ip_text(call->source);
        mount.type = ip_text(call->type);
    }
    IP_EMIT(call, MOUNT, mount, &mount);
}
