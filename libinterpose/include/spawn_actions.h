/* What a spawned child does before it executes its program: posix_spawn(3)'s file actions. */
#ifndef IP_SPAWN_ACTIONS_H
#define IP_SPAWN_ACTIONS_H

#include "files.h"

/* `path` as the parent sees it: `actions` may change the child's directory first. It starts at *dir and may stand in `room`. NULL if
 * it cannot be told. */
const char *ip_spawn_path(const void *actions, const char *path, int *dir, char room[IP_BASE_MAX]);

#define IP_SPAWN_FILES 16
/* What the files that a child will open are before it does. */
struct ip_spawn_files {
    const void *actions;
    uint64_t began;
    struct ip_wire_File before[IP_SPAWN_FILES]; /* of the first ones; without an inode where there is none */
};

void ip_spawn_files_look(struct ip_spawn_files *files, const void *actions);
/* The child has done all of it. Its start time is asked, unless it is known to the parent alone (`unseen`). */
void ip_spawn_files_tell(const struct ip_spawn_files *files, const char *function, uint32_t child, int unseen);
/* There is no child, but one may have opened files before it failed. */
void ip_spawn_files_failed(const struct ip_spawn_files *files, const char *function);

#endif
