/* What specs bind to an effect's fields beyond parameters and results. */
#ifndef IP_BINDINGS_H
#define IP_BINDINGS_H

#include "types.h"

/* Whether libc is glibc, and one older than 2.`minor`. */
int ip_is_glibc(void);
int ip_glibc_is_before(int minor);

/* POSIX objects have names, not paths, and where libc keeps them is its own affair: the path, in `buffer`. `folder` ends
 * with a slash. NULL if the name is too long to be one. */
#define IP_OBJECT_PATH_MAX 300
const char *ip_object_path(char buffer[IP_OBJECT_PATH_MAX], const char *folder, const char *name);
const char *ip_semaphore_path(char buffer[IP_OBJECT_PATH_MAX], const char *name);
/* Memory for one, as long as the wrapper's call lasts. */
#define IP_OBJECT_PATH ((char[IP_OBJECT_PATH_MAX]){0})

/* Bytes of the first `count` messages of sendmmsg or recvmmsg; `count` if that is no number of messages. */
long ip_messages_length(const struct mmsghdr *messages, long count);
/* Whether a descriptor can be written to. */
int ip_is_writable(int fd);
/* Whether it has positions: a pipe, a socket and a terminal have none. */
int ip_is_seekable(int fd);
/* The process that a pidfd stands for; 0 if it cannot be told. */
uint32_t ip_pid_of_pidfd(int fd);
/* A socket's ends, as the kernel knows them, in `buffer`. */
#define IP_ADDRESS_MAX 128
#define IP_ADDRESS ((char[IP_ADDRESS_MAX]){0})
const void *ip_peer_address(int fd, char buffer[IP_ADDRESS_MAX]);
const void *ip_local_address(int fd, char buffer[IP_ADDRESS_MAX]);

/* libc opened a terminal by itself: tells of it. */
void ip_terminal_opened(const char *function, int fd);

#endif
