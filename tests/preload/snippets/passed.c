/* Descriptors that come from elsewhere: sent through a socket, of memory, of a ring.
 *
 * needs: exec
 * events:
 *   socket socketpair fd=@a pair_fd=@b family=1
 *   open open path=given read fd=@sent inode=@given
 *   io sendmsg fd=@a bytes_written=1 writes=1
 *   io recvmsg fd=@b bytes_read=1 reads=1
 *   io read fd=@taken bytes_read=7 reads=1 inode=@given path=WORK/given
 *   open memfd_create fd=@m read write create inode=@memory
 *   io write fd=@m bytes_written=4 writes=1 inode=@memory
 *   map mmap fd=@m read write length=4096 inode=@memory
 */
#include "harness.h"

TOPIC(passed)
{
    int pair[2], taken = -1;
    char byte = 'x', text[8] = "", room[CMSG_SPACE(sizeof(int))] = "";
    struct iovec one = {&byte, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    make_file("given", "content");
    SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int sent = open("given", O_RDONLY);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof sent);
    memcpy(CMSG_DATA(head), &sent, sizeof sent);
    SAY(sendmsg(pair[0], &message, 0));
    memset(room, 0, sizeof room);
    SAY(recvmsg(pair[1], &message, 0));
    memcpy(&taken, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof taken);
    SAY(taken != sent);
    SAY(read(taken, text, 7));
    say("%s\n", text);
    int memory = memfd_create("memory", 0);
    SAY(write(memory, "1234", 4));
    SAY(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) != MAP_FAILED);
}
