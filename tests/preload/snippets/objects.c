/* Objects that have names and no paths: shared memory, semaphores, message queues.
 *
 * events:
 *   open shm_open|open path=/dev/shm/interpose-* fd=@m read write create mode=0o600 inode=@memory
 *   unlink shm_unlink|unlink path=/dev/shm/interpose-* inode=@memory
 *   [glibc<2.34] map mmap fd=* read write inode=@s
 *   [glibc<2.34] link link to.path=/dev/shm/sem.interpose-* inode=@s
 *   [glibc<2.34] unlink unlink path=/dev/shm/* inode=@s
 *   [glibc] open sem_open path=/dev/shm/sem.interpose-* fd=-1 read write create mode=0o600 inode=@s
 *   [glibc] unlink sem_unlink|unlink path=/dev/shm/sem.interpose-* inode=@s
 *   [musl] open sem_open path=/dev/shm/interpose-* fd=-1 read write create mode=0o600 inode=@s
 *   [musl] unlink sem_unlink path=/dev/shm/interpose-* inode=@s
 *   [x86_64] open mq_open path=/dev/mqueue/interpose-* fd=@q read write create mode=0o600 inode=@queue
 *   [x86_64] io mq_send fd=@q bytes_written=5 writes=1 inode=@queue
 *   [x86_64] io mq_receive fd=@q bytes_read=5 reads=1 inode=@queue
 *   [x86_64] io mq_close fd=@q inode=@queue final
 *   [x86_64] unlink mq_unlink path=/dev/mqueue/interpose-*
 */
#include "harness.h"

#include <mqueue.h>
#include <semaphore.h>

TOPIC(objects)
{
    char name[32];
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};
    char buffer[8];

    snprintf(name, sizeof name, "/interpose-%d", getpid());
    int memory = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    SAY(memory > 2);
    SAY(shm_unlink(name));
    SAY(shm_unlink(name));
    SAY(shm_open("/interpose/not", O_RDONLY, 0));
    sem_t *semaphore = sem_open(name, O_CREAT, 0600, 3);
    int value = 0;
    SAY(sem_getvalue(semaphore, &value));
    SAY(value);
    SAY(sem_close(semaphore));
    SAY(sem_unlink(name));
    SAY(sem_open(name, 0) == SEM_FAILED);
#ifdef __x86_64__
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);
    SAY(queue > 2);
    SAY(mq_send(queue, "hello", 5, 1));
    SAY(mq_receive(queue, buffer, sizeof buffer, NULL));
    SAY(mq_getattr(queue, &attributes));
    SAY(attributes.mq_maxmsg);
    SAY(mq_close(queue));
    SAY(mq_unlink(name));
    SAY(mq_unlink(name));
#endif
}
