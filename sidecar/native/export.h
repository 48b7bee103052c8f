/* What the library of the sidecar shows, and what it uses of the process that loads it, whatever its libc. */
#ifndef IP_EXPORT_H
#define IP_EXPORT_H

#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#endif
