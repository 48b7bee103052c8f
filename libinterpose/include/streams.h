/* The streams' own reads, writes and closes: a libc's stdio calls them through tables of function pointers, which are hooked, so
 * that every byte is counted once per system call and not per character. */
#ifndef IP_STREAMS_H
#define IP_STREAMS_H

#include "types.h"

void ip_stdio_start(void);
/* Where each stream has its own pointers (musl): hooks those of a new one. */
void ip_stdio_opened(FILE *stream);
/* Whether its close function tells of the descriptor's end. */
int ip_stdio_is_hooked(FILE *stream);
/* Whether the tables of all streams are hooked, also of those that libc opens for itself. */
int ip_stdio_is_shared(void);

#endif
