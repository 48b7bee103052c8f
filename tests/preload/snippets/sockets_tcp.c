/* A TCP connection to oneself.
 *
 * events:
 *   socket socket fd=@l family=2 type=1 inode=@listener
 *   bind bind fd=@l address.family=2 address.port=0 inode=@listener
 *   socket socket fd=@c family=2 inode=@client
 *   connect connect fd=@c peer.port=@port local.port=@from inode=@client
 *   accept accept listener=@l fd=@s local.port=@port peer.port=@from inode=@server
 *   io send fd=@c bytes_written=5 inode=@client
 *   io recv fd=@s bytes_read=0 reads=1 inode=@server
 *   io sendto fd=@s bytes_written=2 bytes_read=5 inode=@server
 *   io recvfrom fd=@c bytes_read=2 inode=@client
 *   io close fd=@c final inode=@client
 *   io close fd=@s final inode=@server
 */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>

TOPIC(sockets_tcp)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char buffer[16];

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    SAY(bind(listener, (struct sockaddr *)&address, sizeof address));
    SAY(listen(listener, 1));
    SAY(getsockname(listener, (struct sockaddr *)&address, &length));
    int client = socket(AF_INET, SOCK_STREAM, 0);
    SAY(connect(client, (struct sockaddr *)&address, sizeof address));
    int server = accept(listener, NULL, NULL);
    SAY(send(client, "hello", 5, 0));
    struct pollfd ready = {server, POLLIN, 0};
    SAY(poll(&ready, 1, 5000));
    SAY(recv(server, buffer, sizeof buffer, MSG_PEEK));
    SAY(recv(server, buffer, sizeof buffer, 0));
    SAY(sendto(server, "ok", 2, 0, NULL, 0));
    SAY(recvfrom(client, buffer, sizeof buffer, 0, NULL, NULL));
    SAY(close(client));
    SAY(close(server));
    SAY(accept(-1, NULL, NULL));
    SAY(connect(listener, NULL, 0));
}
