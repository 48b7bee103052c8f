#include "files.h"

#include <linux/errno.h>

#include "memory.h"
#include "syscall.h"

static uint64_t nanoseconds(const struct statx_timestamp *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + time->tv_nsec;
}

struct ip_wire_File ip_file_from(const struct statx *status)
{
    return (struct ip_wire_File){
        .device = (uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor,
        .inode = status->stx_ino,
        .birth_time = status->stx_mask & STATX_BTIME ? nanoseconds(&status->stx_btime) : 0,
        .mode = status->stx_mode,
        .size = status->stx_size,
        .modified = nanoseconds(&status->stx_mtime),
    };
}

static int ask(struct ip_wire_File *file, int dir, const char *path, int flags)
{
    struct statx status;
    int result = ip_sys_statx(dir, path, flags, IP_FILE_MASK, &status);

    if (result < 0)
        return result;
    *file = ip_file_from(&status);
    return 0;
}

int ip_path_is_readable(const char *path)
{
    return ip_syscall(__NR_faccessat, AT_FDCWD, (long)path, 0, 0, 0, 0) != -EFAULT;
}

int ip_file_of_fd(struct ip_wire_File *file, int fd)
{
    return ask(file, fd, "", AT_EMPTY_PATH);
}

int ip_file_at(struct ip_wire_File *file, int dir, const char *path, int flags)
{
    return ask(file, dir, path, flags);
}

static const char deleted[] = " (deleted)";

/* proc_pid_fd(5). What does not fit, or is no path (a pipe), is left out. */
static struct ip_bytes link_of_fd(int fd, char buffer[IP_BASE_MAX])
{
    char link[32];
    const char *end = link + sizeof link;

    ip_append_number(ip_append(link, end, "/proc/self/fd/"), end, (uint64_t)fd, 10, 1);
    long length = ip_sys_readlinkat(AT_FDCWD, link, buffer, IP_BASE_MAX);
    if (length <= 0 || length == IP_BASE_MAX || buffer[0] != '/')
        return (struct ip_bytes){0};
    return (struct ip_bytes){buffer, (size_t)length};
}

static int is_deleted(struct ip_bytes path)
{
    size_t suffix = sizeof deleted - 1;

    return path.size > suffix && !memcmp((const char *)path.data + path.size - suffix, deleted, suffix);
}

/* A file that is deleted has no path. */
static struct ip_bytes path_of_fd(int fd, char buffer[IP_BASE_MAX])
{
    struct ip_bytes path = link_of_fd(fd, buffer);

    return is_deleted(path) ? (struct ip_bytes){0} : path;
}

/* Where the process stands, seen from the root that its program began with; its length, or 0 if that is not known. What lies
 * outside of its own root, the kernel names from the first one: getcwd(2). */
static size_t directory_into(char *at, size_t size)
{
    static const char outside[] = "(unreachable)";
    size_t root = strlen(ip_state.root), skip = sizeof outside - 1;
    long length = root < size ? ip_sys_getcwd(at + root, size - root) - 1 : 0;

    if (length <= 0)
        return 0;
    if (at[root] == '/') {
        memcpy(at, ip_state.root, root);
        return root && length == 1 ? root : root + (size_t)length;
    }
    if (memcmp(at + root, outside, skip))
        return 0;
    memmove(at, at + root + skip, (size_t)length - skip);
    return (size_t)length - skip;
}

/* An absolute path, seen from the root that the program began with. One that does not fit is left out. */
static struct ip_bytes from_first_root(const char *path, char buffer[IP_BASE_MAX])
{
    if (!ip_state.root || !ip_state.root[0])
        return ip_text(path);
    char *end = ip_append(buffer, buffer + IP_BASE_MAX, ip_state.root);
    end = ip_append(end, buffer + IP_BASE_MAX, path);
    return end ? (struct ip_bytes){buffer, (size_t)(end - buffer)} : (struct ip_bytes){0};
}

struct ip_wire_Name ip_name_of_fd(int fd, char buffer[IP_BASE_MAX])
{
    return (struct ip_wire_Name){.path = path_of_fd(fd, buffer)};
}

struct ip_wire_Name ip_name_of_nameless(int fd, char buffer[IP_BASE_MAX])
{
    struct ip_bytes path = link_of_fd(fd, buffer);

    path.size -= is_deleted(path) ? sizeof deleted - 1 : 0;
    return (struct ip_wire_Name){.path = path};
}

static const char *after(const char *text, const char *prefix)
{
    return ip_starts_with(text, prefix) ? text + strlen(prefix) : NULL;
}

int ip_path_is_descriptor(const char *path)
{
    const char *at = after(path, "/proc/");

    if (!at)
        return ip_starts_with(path, "/dev/fd/") || ip_starts_with(path, "/dev/std");
    for (; *at; at++)
        if (ip_starts_with(at, "/fd/"))
            return 1;
    return 0;
}

struct ip_wire_Name ip_name(int error, int dir, const char *path, char buffer[IP_BASE_MAX])
{
    struct ip_wire_Name name = {0};

    if (!path || (error && !ip_path_is_readable(path)))
        return name;
    name.path = path[0] == '/' ? from_first_root(path, buffer) : ip_text(path);
    if (path[0] == '/')
        return name;
    if (dir == AT_FDCWD && !ip_is_borrower() && !atomic_load(&ip_state.walks)) {
        name.base = ip_text(ip_state.directory);
        return name;
    }
    if (dir != AT_FDCWD) {
        name.base = path_of_fd(dir, buffer);
        return name;
    }
    name.base = (struct ip_bytes){buffer, directory_into(buffer, IP_BASE_MAX)};
    return name;
}

void ip_directory_refresh(void)
{
    char *other = ip_state.directories[ip_state.directory == ip_state.directories[0]];

    if (ip_is_borrower())
        return;
    other[directory_into(other, IP_PATH_MAX - 1)] = 0;
    ip_state.directory = other;
}

/* Puts a path's parts behind `at`; NULL if they do not fit. */
static char *append_parts(char *at, const char *end, const char *path)
{
    while (*path) {
        size_t length = 0;
        while (path[length] && path[length] != '/')
            length++;
        if (length && !(length == 1 && *path == '.')) {
            if ((size_t)(end - at) < length + 2)
                return NULL;
            *at++ = '/';
            memcpy(at, path, length);
            at += length;
        }
        path += length + !!path[length];
    }
    *at = 0;
    return at;
}

/* One that is too long to be kept is not told wrongly: what is below it has no name. */
void ip_root_entering(const char *path)
{
    ip_state.entering = ip_state.root == ip_state.roots[0];
    char *root = ip_state.roots[ip_state.entering];
    const char *end = root + sizeof ip_state.roots[0];
    char *at = append_parts(root, end, path[0] == '/' ? ip_state.root : ip_state.directory);

    if (!at || !append_parts(at, end, path))
        ip_append(root, end, "?");
}

void ip_root_entered(void)
{
    ip_state.root = ip_state.roots[ip_state.entering];
    ip_directory_refresh();
}
