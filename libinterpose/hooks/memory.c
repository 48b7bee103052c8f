#include <linux/mman.h>

#include "effects.h"
#include "files.h"
#include "journal.h"
#include "loads.h"

void ip_after_map(const struct ip_call_map *call)
{
    struct ip_wire_File file;
    struct ip_wire_Map map = {
        .fd = call->fd,
        .length = call->length,
        .offset = (uint64_t)call->offset,
        .read = !!(call->protection & PROT_READ),
        .write = (call->protection & PROT_WRITE) && (call->flags & MAP_TYPE) != MAP_PRIVATE,
        .execute = !!(call->protection & PROT_EXEC),
    };

    if (call->flags & MAP_ANONYMOUS)
        return;
    if (!call->error && !ip_file_of_fd(&file, call->fd))
        map.file = &file;
    if (map.write)
        ip_loads_refresh();
    IP_EMIT(call, MAP, map, &map);
}
