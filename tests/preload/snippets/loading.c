/* A library loaded later on, and again when it is loaded again. (qemu's emulation does not find a library under its path.)
 *
 * needs: glibc
 * events:
 *   open open path=before write create inode=@b
 *   [exec] load dlopen path=*libm.so.6 inode=*
 *   open open path=after write create inode=@a
 *   io write bytes_written=1 inode=@a
 *   [exec] load dlopen path=*libm.so.6 inode=*
 */
#include "harness.h"

#include <dlfcn.h>

TOPIC(loading)
{
    int before = open("before", O_WRONLY | O_CREAT, 0600);
    void *library = dlopen("libm.so.6", RTLD_NOW);
    SAY(library != NULL);
    SAY(dlopen("libmissing.so", RTLD_NOW) == NULL);
    int after = open("after", O_WRONLY | O_CREAT, 0600);
    SAY(write(after, "1", 1));
    if (library)
        SAY(dlclose(library));
    SAY(dlclose(dlopen("libm.so.6", RTLD_NOW)));
}
