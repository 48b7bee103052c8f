/* Single files of the system that glibc opens by itself: the number of the host, the lock of the users' files.
 *
 * needs: glibc root
 * events:
 *   open lckpwdf path=/etc/.pwd.lock fd=-1 write create mode=0o600 inode=@lock
 *   open sethostid path=/etc/hostid fd=-1 write create truncate mode=0o644 inode=@id
 *   io sethostid fd=-1 bytes_written=4 writes=1 inode=@id
 *   consult gethostid path=/etc/hostid inode=@id
 */
#include "harness.h"

#include <shadow.h>

TOPIC(system_files)
{
#ifdef __GLIBC__
    replace_folder("/etc");
    SAY(lckpwdf());
    SAY(ulckpwdf());
    SAY(sethostid(0x12345678));
    SAY(gethostid());
#endif
}
