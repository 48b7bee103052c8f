/* What the compiler calls behind one's back, and the few string functions that the library needs. Built with
 * -fno-builtin, and for gcc with the pragma, lest these loops become calls to themselves. */
#include "memory.h"

#ifndef __clang__
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    for (; size >= 8; size -= 8, target += 8, source += 8) {
        uint64_t word;
        __builtin_memcpy(&word, source, 8);
        __builtin_memcpy(target, &word, 8);
    }
    while (size--)
        *target++ = *source++;
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    if (target <= source)
        return memcpy(to, from, size);
    while (size--)
        target[size] = source[size];
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    uint8_t *target = to;

    while (size--)
        *target++ = (uint8_t)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *left = a, *right = b;

    for (; size--; left++, right++)
        if (*left != *right)
            return *left < *right ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    const char *end = text;

    while (*end)
        end++;
    return (size_t)(end - text);
}

int ip_equal(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return *a == *b;
}

int ip_starts_with(const char *text, const char *prefix)
{
    while (*prefix)
        if (*text++ != *prefix++)
            return 0;
    return 1;
}

const char *ip_find(const char *text, char wanted)
{
    for (; *text; text++)
        if (*text == wanted)
            return text;
    return NULL;
}

char *ip_append(char *at, const char *end, const char *text)
{
    if (!at)
        return NULL;
    while (*text && at < end)
        *at++ = *text++;
    if (at >= end)
        return NULL;
    *at = 0;
    return at;
}

char *ip_append_number(char *at, const char *end, uint64_t number, unsigned int base, unsigned int digits)
{
    char text[24];
    char *first = text + sizeof text - 1;

    *first = 0;
    for (; number || digits; number /= base, digits -= digits > 0)
        *--first = "0123456789abcdef"[number % base];
    return ip_append(at, end, *first ? first : "0");
}
