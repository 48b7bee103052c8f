#include "maps.h"

#include "brief.h"
#include "memory.h"
#include "place.h"
#include "syscall.h"

#define ROOM 65536

static int walk_in(char *text, int fd, int (*visit)(void *, char *), void *context)
{
    long size, kept = 0;

    while ((size = ip_sys_read(fd, text + kept, ROOM - 1 - (size_t)kept)) > 0) {
        char *line = text, *end;
        text[kept + size] = 0;
        for (; (end = (char *)ip_find(line, '\n')); line = end + 1) {
            *end = 0;
            int result = visit(context, line);
            if (result)
                return result;
        }
        kept = (long)strlen(line);
        memmove(text, line, (size_t)kept);
    }
    return 0;
}

int ip_maps_walk(int (*visit)(void *context, char *line), void *context)
{
    char *text = ip_map_memory(ROOM);

    if (ip_is_error(text))
        return (int)(long)text;
    int fd = ip_brief_open(AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
    int result = fd < 0 ? fd : walk_in(text, fd, visit, context);
    if (fd >= 0)
        ip_brief_close(fd);
    ip_sys_munmap(text, ROOM);
    return result;
}
