/* Bytes that several messages carry, that a call moves always, and that stand for a change without any.
 *
 * events:
 *   socket socketpair fd=@a pair_fd=@b family=1
 *   io sendmmsg fd=@a bytes_written=5 writes=1
 *   io recvmmsg fd=@b bytes_read=5 reads=1
 *   io eventfd_write fd=@e bytes_written=8 writes=1
 *   io eventfd_read fd=@e bytes_read=8 reads=1
 *   pipe pipe read_fd=@r write_fd=@w
 *   io vmsplice fd=@w bytes_written=4 writes=1
 *   open open path=file write create fd=@f inode=@file
 *   io fallocate fd=@f bytes_written=0 writes=1 inode=@file
 *   io msgsnd fd=-1 bytes_written=6 writes=1 inode=@queue
 *   io msgrcv fd=-1 bytes_read=6 reads=1 inode=@queue
 *   map shmat fd=-1 read write inode=@shared
 */
#include "harness.h"

#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>

TOPIC(messages)
{
    int pair[2], ends[2];
    char one[8], two[8];
    struct iovec parts[2] = {{"abc", 3}, {"de", 2}}, room[2] = {{one, sizeof one}, {two, sizeof two}};
    struct mmsghdr sent[2] = {{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &parts[1], .msg_iovlen = 1}}};
    struct mmsghdr taken[2] = {{.msg_hdr = {.msg_iov = &room[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &room[1], .msg_iovlen = 1}}};
    struct {
        long type;
        char text[8];
    } message = {1, "queue"};
    eventfd_t value = 7;

    SAY(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SAY(sendmmsg(pair[0], sent, 2, 0));
    SAY(recvmmsg(pair[1], taken, 2, MSG_DONTWAIT, NULL));
    SAY(taken[1].msg_len);
    SAY(sendmmsg(-1, sent, 2, 0));
    int event = eventfd(0, 0);
    SAY(eventfd_write(event, value));
    SAY(eventfd_read(event, &value));
    SAY(value);
    SAY(pipe(ends));
    SAY(vmsplice(ends[1], &(struct iovec){"abcd", 4}, 1, 0));
    int file = open("file", O_WRONLY | O_CREAT, 0600);
    SAY(fallocate(file, 0, 0, 100));
    SAY(fallocate(-1, 0, 0, 100));
    SAY(posix_fallocate(-1, 0, 100));
    int queue = msgget(IPC_PRIVATE, 0600);
    SAY(msgsnd(queue, &message, 6, 0));
    SAY(msgrcv(queue, &message, sizeof message.text, 0, 0));
    SAY(msgrcv(queue, &message, sizeof message.text, 0, IPC_NOWAIT));
    SAY(msgctl(queue, IPC_RMID, NULL));
    int segment = shmget(IPC_PRIVATE, 4096, 0600);
    void *memory = shmat(segment, NULL, 0);
    SAY(memory != (void *)-1);
    SAY(shmctl(segment, IPC_RMID, NULL));
    SAY(shmdt(memory));
    SAY(shmat(-1, NULL, 0));
}
