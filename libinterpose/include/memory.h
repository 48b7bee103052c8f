/* Bytes and strings, for a library that has no libc. */
#ifndef IP_MEMORY_H
#define IP_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

int ip_equal(const char *a, const char *b);
int ip_starts_with(const char *text, const char *prefix);
const char *ip_find(const char *text, char wanted);
/* Appends `text` at `at` and ends it with zero; NULL if it does not fit before `end`, or if `at` is NULL. */
char *ip_append(char *at, const char *end, const char *text);
/* Appends `number` in base 10 or 16, with zeros up to `digits`. */
char *ip_append_number(char *at, const char *end, uint64_t number, unsigned int base, unsigned int digits);

#endif
