/* What the sidecar's library shows, and the functions that it needs: zig brings them along, else they are the libc's of the
 * process that loads it. */
#ifndef IP_EXPORT_H
#define IP_EXPORT_H

#include "memory.h"

#define EXPORT __attribute__((visibility("default")))

#endif
