/* Left to itself the kernel takes the highest hole that is large enough, such as one that the program has just made: below a stack that
 * is to grow there, or at an address where it is about to map something. So everything of ours is far below the libraries, whence the
 * kernel goes downwards with what others map: in one place, for the sake of its page tables, and nothing is reserved there, since
 * RLIMIT_AS counts that. */
#include "place.h"

#include <linux/mman.h>
#include <stdatomic.h>

#include "state.h"
#include "syscall.h"

#define BELOW (UINT64_C(256) << 30)
#define LOW (UINT64_C(4) << 30)    /* where a program may want each address for itself */
#define AREA (UINT64_C(64) << 20)
#define UNIT 65536u                /* the largest pages */
#define TRIES 4

/* Where to try next; NULL in an address space that is too small. */
static void *next_place(size_t size)
{
    static _Atomic uint64_t used;
    uintptr_t here = (uintptr_t)&ip_state & ~(uintptr_t)(UNIT - 1);
    uint64_t offset = atomic_fetch_add(&used, (size + UNIT - 1) & ~(size_t)(UNIT - 1)) % AREA;

    return here > BELOW + LOW ? (void *)(here - BELOW + offset) : NULL;
}

void *ip_map(size_t size, int protection, int flags, int fd, long offset)
{
    void *place = NULL, *mapping = NULL;

    for (int tries = 0; tries < TRIES; tries++) {
        if (mapping)
            ip_sys_munmap(mapping, size);
        place = next_place(size);
        mapping = ip_sys_mmap(place, size, protection, flags, fd, offset);
        if (ip_is_error(mapping) || !place || mapping == place)
            break;
    }
    if (!ip_is_error(mapping))
        ip_valgrind_ignore(mapping, size);
    return mapping;
}

void *ip_map_memory(size_t size)
{
    return ip_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
