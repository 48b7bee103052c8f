#include <linux/errno.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/un.h>

#include "effects.h"
#include "files.h"
#include "io.h"
#include "syscall.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

union socket_address {
    unsigned short family;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un path;
    uint8_t bytes[128];
};

static uint32_t host_order(uint16_t port)
{
    return (uint32_t)(port >> 8 | (port & 0xff) << 8);
}

static struct ip_wire_Address address_of(const union socket_address *socket, unsigned int length)
{
    struct ip_wire_Address address = {.family = length >= sizeof socket->family ? socket->family : 0};
    const size_t before_path = offsetof(struct sockaddr_un, sun_path);

    if (address.family == AF_INET && length >= sizeof socket->ip4) {
        address.ip = (struct ip_bytes){&socket->ip4.sin_addr, 4};
        address.port = host_order(socket->ip4.sin_port);
    } else if (address.family == AF_INET6 && length >= 24 /* without the scope, RFC 2133 */) {
        address.ip = (struct ip_bytes){&socket->ip6.sin6_addr, 16};
        address.port = host_order(socket->ip6.sin6_port);
    } else if (address.family == AF_UNIX && length > before_path) {
        size_t room = length - before_path, size = 0;
        /* An abstract name begins with a zero and is as long as the call says; a path ends at its zero. */
        if (!socket->path.sun_path[0])
            size = room;
        else
            while (size < room && socket->path.sun_path[size])
                size++;
        address.path = (struct ip_bytes){socket->path.sun_path, size};
    }
    return address;
}

/* A call that failed with one of these has not read the address, which then may point anywhere. */
static int was_read(int error)
{
    return error != EFAULT && error != EBADF && error != ENOTSOCK && error != EINVAL;
}

static unsigned int limited(unsigned int length)
{
    return length < sizeof(union socket_address) ? length : sizeof(union socket_address);
}

/* Asks the kernel for one end of a socket; an end that has no address is of family 0. */
static struct ip_wire_Address ask(long number, int fd, union socket_address *socket)
{
    int length = sizeof *socket;

    if (ip_syscall(number, fd, (long)socket, (long)&length, 0, 0, 0) < 0)
        length = 0;
    return address_of(socket, limited((unsigned int)length));
}

void ip_after_socket(const struct ip_call_socket *call)
{
    struct ip_wire_File file;
    struct ip_wire_Socket socket = {
        .fd = call->fd,
        .pair_fd = call->pair,
        .family = (uint32_t)call->family,
        .type = (uint32_t)call->type,
        .protocol = (uint32_t)call->protocol,
    };

    if (!call->error) {
        if (!ip_file_of_fd(&file, call->fd))
            socket.file = &file;
        ip_fd_opened(call->fd, socket.file);
        if (call->pair >= 0)
            ip_fd_opened(call->pair, NULL);
    }
    IP_EMIT(call, SOCKET, socket, &socket);
}

void ip_after_bind(const struct ip_call_bind *call)
{
    struct ip_wire_File file;
    struct ip_wire_Bind bind = {.fd = call->fd};
    struct ip_wire_Address address = {0};

    if (was_read(call->error))
        address = address_of(call->address, limited(call->length));
    bind.address = &address;
    if (!ip_file_of_fd(&file, call->fd))
        bind.file = &file;
    IP_EMIT(call, BIND, bind, &bind);
}

void ip_after_accept(const struct ip_call_accept *call)
{
    struct ip_wire_File file;
    union socket_address peer_bytes, local_bytes;
    struct ip_wire_Address peer, local;
    struct ip_wire_Accept accept = {.listener = call->listener, .fd = call->fd};

    if (!call->error) {
        if (!ip_file_of_fd(&file, call->fd))
            accept.file = &file;
        ip_fd_opened(call->fd, accept.file);
        peer = ask(__NR_getpeername, call->fd, &peer_bytes);
        local = ask(__NR_getsockname, call->fd, &local_bytes);
        accept.peer = &peer;
        accept.local = &local;
    }
    IP_EMIT(call, ACCEPT, accept, &accept);
}

void ip_after_connect(const struct ip_call_connect *call)
{
    struct ip_wire_File file;
    union socket_address local_bytes;
    struct ip_wire_Address peer, local;
    struct ip_wire_Connect connect = {.fd = call->fd};

    if (call->error && call->error != EINPROGRESS && !ip_level_is_calls())
        return;
    if (was_read(call->error)) {
        peer = address_of(call->address, limited(call->length));
        connect.peer = &peer;
    }
    local = ask(__NR_getsockname, call->fd, &local_bytes);
    connect.local = &local;
    if (!ip_file_of_fd(&file, call->fd))
        connect.file = &file;
    IP_EMIT(call, CONNECT, connect, &connect);
}

struct ip_wire_Address ip_address_of(const void *socket, unsigned int length)
{
    return address_of(socket, limited(length));
}
