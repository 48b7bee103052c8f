/* The directory that a spawned child's file actions change to. */
#ifndef IP_SPAWN_ACTIONS_H
#define IP_SPAWN_ACTIONS_H

#include <stddef.h>

/* `path` as the parent sees it: `actions` may change the child's directory first. It starts at *dir and may stand in `room`. NULL if
 * it cannot be told. */
const char *ip_spawn_path(const void *actions, const char *path, int *dir, char *room, size_t size);

#endif
