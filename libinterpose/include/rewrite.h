/* Files that libc opens, writes and closes by itself. */
#ifndef IP_REWRITE_H
#define IP_REWRITE_H

#include "effects.h"

/* Tells of one that was opened with `flags`. */
void ip_rewritten(const struct ip_call_rewrite *call, int flags);

#endif
