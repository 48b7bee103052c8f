/* syscall(2): what it does is known by its number. */
#ifndef IP_NUMBER_H
#define IP_NUMBER_H

#include "syscall.h"
#include "files.h"
#include "wrapper.h"

/* libc's function, as the kernel takes its arguments: where a call site passes fewer, the rest is whatever is there. */
typedef long ip_gate(long number, long a0, long a1, long a2, long a3, long a4, long a5);

#define IP_NUMBERS 512
extern const unsigned char ip_numbers[IP_NUMBERS];
long ip_by_number(ip_gate *real, long number, long a0, long a1, long a2, long a3, long a4, long a5);

/* Whether it makes a child that runs on another stack than this one, or on this very one with its parent: it must be called as its caller
 * has called us. What is to be known of such a child is noted. */
int ip_number_leaves_stack(long number, long a0, long a1);

/* Those that no binding describes. */
#define IP_NUMBER(name) long ip_number_##name(ip_gate *real, long a0, long a1, long a2, long a3, long a4, long a5)
IP_NUMBER(fcntl);
IP_NUMBER(ioctl);
IP_NUMBER(close_range);
IP_NUMBER(waitid);
IP_NUMBER(fork);
IP_NUMBER(vfork);
IP_NUMBER(clone);
IP_NUMBER(clone3);
IP_NUMBER(execve);
IP_NUMBER(execveat);
IP_NUMBER(exit_group);
IP_NUMBER(msgsnd);
IP_NUMBER(msgrcv);
IP_NUMBER(shmat);
IP_NUMBER(io_submit);
IP_NUMBER(io_uring_setup);
IP_NUMBER(seccomp);
IP_NUMBER(prctl);

#endif
