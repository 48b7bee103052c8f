/* Telling of programs that are about to run. */
#ifndef IP_EXEC_H
#define IP_EXEC_H

#include "image.h"
#include "stack.h"

/* Whether these may be looked at; where not, the kernel refuses them with EFAULT. */
int ip_exec_is_readable(const char *path, char *const *arguments, char *const *environment);
/* The environment for a program: `given`, or merged in `memory` as ip_environment_merge does. */
char *const *ip_environment_for(const struct ip_image *image, char *const *arguments, char *const *given, void *memory);
/* Before a program replaces this one. */
void ip_exec_begins(const char *function, const struct ip_image *image, char *const *arguments);
/* It did not. */
void ip_exec_failed(const char *function, const struct ip_image *image, int error);
/* Before a program replaces this one whose seccomp filter may end it for a system call of ours, and after that failed: as much as can be
 * told without those. */
int ip_exec_is_sandboxed(void);
void ip_exec_told_in_sandbox(const char *function, int dir, const char *path, char *const *arguments, int error);
/* A child runs it; `child` is 0 where the libc keeps its pid to itself. */
void ip_spawned(const char *function, uint32_t child, const struct ip_image *image, char *const *arguments);
void ip_forked(const char *function, uint32_t child, int vfork);

/* What the parent reads from here on, the child does not have: it counts as started now, also if it first runs later. */
void ip_before_fork(void);
/* In a forked child, whichever function made it: takes up the process if nothing has yet. */
void ip_after_fork_in_child(void);

/* Memory for what a program is and for a merged environment: on the stack as long as that is reasonable. What a vfork child maps stays
 * with its parent, which releases it. NULL where there is none. */
#define IP_STACK_ROOM 65536u
void *ip_large_room(size_t size);
void ip_release_room(void *room, size_t size);
#define IP_WITH_ROOM(room, size)                                                                                \
    size_t ip_room_size = (size);                                                                               \
    int ip_room_is_here = ip_room_size <= IP_STACK_ROOM && ip_room_size + IP_STACK_SIZE / 2 <= ip_stack_left(); \
    char ip_small_room[ip_room_is_here ? ip_room_size : 1] __attribute__((aligned(16)));                        \
    void *room = ip_room_is_here ? ip_small_room : ip_large_room(ip_room_size)
#define IP_ROOM_DONE(room)                       \
    do {                                         \
        if (!ip_room_is_here)                    \
            ip_release_room(room, ip_room_size); \
    } while (0)

#endif
