/* Of a process that the library had to let go at its start: a mark that the sidecar finds. */
#ifndef IP_UNSTARTED_H
#define IP_UNSTARTED_H

#include "spool.h"

/* `error` is what a system call said (-errno) without which there is no start. `control` is the control page, or, where that could not be
 * mapped, an error: then it is written through `fd`. `program` is what was executed, by AT_EXECFN. */
void ip_unstarted(struct ip_control *control, int fd, int error, const char *program);

#endif
