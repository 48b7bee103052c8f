/* syslog(3): libc connects to the system's log by itself, on the lowest descriptor that is free, and keeps the socket. How long its
 * messages are only libc knows. */
#include "log.h"

#include <linux/un.h>

#include "effects.h"
#include "files.h"
#include "io.h"
#include "syscall.h"

#define AF_UNIX 1
#define SOCK_DGRAM 2
#define LOG_PERROR 0x20
#define PATH_OF_PEER offsetof(struct sockaddr_un, sun_path)

static const char place[] = "/dev/log";
static _Atomic int known = -1;     /* the socket's descriptor */
static _Atomic uint64_t known_inode;
static _Atomic int chosen_options;
static _Atomic int chosen_mask = 0xff;

void ip_log_options(int options)
{
    atomic_store(&chosen_options, options);
}

void ip_log_mask(int mask)
{
    if (mask) /* 0 only asks */
        atomic_store(&chosen_mask, mask);
}

void ip_log_closing(const char *function)
{
    int fd = atomic_exchange(&known, -1);

    if (fd >= 0)
        ip_fd_closing(function, fd);
}

static int lowest_free(void)
{
    int fd = (int)ip_syscall(__NR_socket, AF_UNIX, SOCK_DGRAM | O_CLOEXEC, 0, 0, 0, 0);

    if (fd >= 0)
        ip_sys_close(fd);
    return fd;
}

/* Whether a socket's peer has the log's address: that of the path, or of what the path leads to. */
static int is_of_log(int fd)
{
    struct sockaddr_un peer = {0};
    struct ip_wire_File log, other;
    int length = sizeof peer - 1;

    if (ip_syscall(__NR_getpeername, fd, (long)&peer, (long)&length, 0, 0, 0) || peer.sun_family != AF_UNIX ||
        length <= (int)PATH_OF_PEER || peer.sun_path[0] != '/')
        return 0;
    return ip_equal(peer.sun_path, place) ||
           (!ip_file_at(&log, AT_FDCWD, place, 0) && !ip_file_at(&other, AT_FDCWD, peer.sun_path, 0) &&
            log.inode == other.inode && log.device == other.device);
}

/* A socket that the program has made itself is known already. */
static int is_libc_s(int fd, struct ip_wire_File *file)
{
    const struct ip_fd *entry = ip_fd_if_any(fd);

    if (ip_file_of_fd(file, fd) < 0 || (file->mode & S_IFMT) != S_IFSOCK)
        return 0;
    return !entry || !(entry->state & IP_FD_KNOWN) || entry->inode != file->inode;
}

void ip_before_log(struct ip_call_log *call)
{
    struct ip_wire_File log;

    call->lowest = atomic_load(&known);
    if (call->lowest < 0 && !ip_file_at(&log, AT_FDCWD, place, 0))
        call->lowest = lowest_free();
}

/* Where the log came back under another descriptor, that is a lower one. */
static int find_log(int from, struct ip_wire_File *file)
{
    for (int fd = from; fd >= 0; fd--)
        if (is_libc_s(fd, file) && is_of_log(fd))
            return fd;
    return -1;
}

/* The socket's descriptor, -1 if there is none; tells of a new one. */
static int connected(const struct ip_call_log *call)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ip_call_connect connect = {.function = call->function, .address = &address, .length = PATH_OF_PEER + sizeof place};
    struct ip_wire_File file;
    int fd = atomic_load(&known);

    if (fd >= 0 && ip_file_of_fd(&file, fd) >= 0 && file.inode == atomic_load(&known_inode))
        return fd;
    fd = find_log(call->lowest, &file);
    if (fd >= 0) {
        ip_fd_opened(fd, &file);
        atomic_store(&known_inode, file.inode);
        memcpy(address.sun_path, place, sizeof place);
        connect.fd = fd;
        ip_after_connect(&connect);
    }
    atomic_store(&known, fd);
    return fd;
}

void ip_after_log(const struct ip_call_log *call)
{
    struct ip_call_io io = {.function = call->function, .fd = connected(call), .read = -1, .written = 0};

    if (call->priority < 0 || !(atomic_load(&chosen_mask) & 1 << (call->priority & 7)))
        return;
    if (io.fd >= 0)
        ip_after_io(&io);
    io.fd = 2;
    if (atomic_load(&chosen_options) & LOG_PERROR)
        ip_after_io(&io);
}
