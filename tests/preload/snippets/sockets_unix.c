/* Unix sockets: by path, by abstract name, and in pairs.
 *
 * events:
 *   socket socket fd=@l family=1 inode=@listener
 *   bind bind fd=@l address.family=1 address.path=socket inode=@listener
 *   socket socket fd=@c family=1 inode=@client
 *   connect connect fd=@c peer.path=socket inode=@client
 *   accept accept4 listener=@l fd=@s local.path=socket inode=@server
 *   io sendmsg fd=@c bytes_written=6 inode=@client
 *   io recvmsg fd=@s bytes_read=6 inode=@server
 *   socket socketpair fd=@a pair_fd=@b family=1 inode=@end
 *   io write fd=@a bytes_written=4 inode=@end
 *   io read fd=@b bytes_read=4 inode=@other
 *   socket socket family=1 inode=*
 */
#include "harness.h"

TOPIC(sockets_unix)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"}, nowhere = {AF_UNIX, "missing"};
    char text[] = "hello!";
    struct iovec part = {text, 6};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int ends[2];

    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SAY(bind(listener, (struct sockaddr *)&address, sizeof address));
    SAY(listen(listener, 1));
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    SAY(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    SAY(sendmsg(client, &message, 0));
    SAY(recvmsg(server, &message, 0));
    SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    SAY(write(ends[0], "pair", 4));
    SAY(read(ends[1], text, sizeof text));
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    SAY(connect(other, (struct sockaddr *)&nowhere, sizeof nowhere));
}
