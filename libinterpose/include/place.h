/* Where our mappings are. */
#ifndef IP_PLACE_H
#define IP_PLACE_H

#include <stddef.h>

/* As ip_sys_mmap, where no program's memory grows to. */
void *ip_map(size_t size, int protection, int flags, int fd, long offset);
void *ip_map_memory(size_t size);  /* of nobody else's, for reading and writing */

#endif
