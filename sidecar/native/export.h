/* What the sidecar's library shows, and the functions that it needs: zig brings them along, else they are the libc's of the
 * process that loads it. */
#ifndef IP_EXPORT_H
#define IP_EXPORT_H

#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
