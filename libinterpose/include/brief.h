/* Descriptors that the library has for a moment. A child that another thread forks meanwhile gets a copy, and gives it back. */
#ifndef IP_BRIEF_H
#define IP_BRIEF_H

#include <linux/fcntl.h>

int ip_brief_open(int dir, const char *path, int flags, unsigned int mode); /* a descriptor or -errno */
void ip_brief_close(int fd);
/* Around a fork; the latter in the child. */
void ip_brief_before_fork(void);
void ip_brief_forked(void);

#endif
