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

/* Those that no binding describes. */
#define IP_NUMBER(name) long ip_number_##name(ip_gate *real, long a0, long a1, long a2, long a3, long a4, long a5)
IP_NUMBER(fcntl);
IP_NUMBER(ioctl);
IP_NUMBER(close_range);
IP_NUMBER(waitid);
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
