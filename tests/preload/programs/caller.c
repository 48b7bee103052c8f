/* A library that loads others, by search paths of its own. */
#include <dlfcn.h>

void *call_dlopen(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW);

    __asm__ volatile(""); /* lest it jumps there: the loader looks at who called it */
    return handle;
}
