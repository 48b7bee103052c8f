/* Finding `svc 0` in AArch64 code, where each instruction has four bytes and a place of its own. */
#include "../../include/direct.h"

#define SUPERVISOR_CALL 0xd4000001u
#define FARTHEST 16                /* instructions before it, of which one may set the number */
#define UNKNOWN (-1L)

/* movz w8 or x8 with what it holds; UNKNOWN for any other. */
static long number_set_by(uint32_t instruction)
{
    return (instruction & 0x7fe0001f) == 0x52800008 ? (long)(instruction >> 5 & 0xffff) : UNKNOWN;
}

/* Branches and returns, after which the code is reached from elsewhere; moves and loads into x8. */
static int ends_search(uint32_t instruction)
{
    return (instruction & 0x7c000000) == 0x14000000 || (instruction & 0xfe000000) == 0xd6000000 ||
           (instruction & 0x7fe0ffff) == 0x2a0003e8 || (instruction & 0xbfc0001f) == 0xb9400008;
}

static long number_at(const uint32_t *first, const uint32_t *at)
{
    for (const uint32_t *before = at; before > first && at - before < FARTHEST;) {
        long number = number_set_by(*--before);
        if (number != UNKNOWN || ends_search(*before))
            return number;
    }
    return UNKNOWN;
}

void ip_direct_in(const uint8_t *first, const uint8_t *last, struct ip_direct *found)
{
    const uint32_t *code = (const uint32_t *)(((uintptr_t)first + 3) & ~(uintptr_t)3);

    for (const uint32_t *at = code; at + 1 <= (const uint32_t *)last; at++)
        if (*at == SUPERVISOR_CALL)
            ip_direct_count(found, number_at(code, at));
}
