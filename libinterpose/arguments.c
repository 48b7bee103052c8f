#include "arguments.h"

#define ROOM (24u * 1024) /* of a record: less than half a journal, so that it always finds place in a new one */

struct ip_strings ip_arguments_that_fit(char *const *arguments, uint64_t *omitted)
{
    struct ip_strings fitting = {arguments, 0};
    size_t size = 0;

    *omitted = 0;
    for (size_t i = 0; arguments && arguments[i]; i++) {
        size += strlen(arguments[i]) + 4;
        if (size <= ROOM)
            fitting.count = i + 1;
        else
            ++*omitted;
    }
    return fitting;
}
