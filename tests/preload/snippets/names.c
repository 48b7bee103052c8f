/* Names made, moved and removed.
 *
 * events:
 *   rename rename from.path=a from.base=WORK to.path=b inode=@a
 *   rename renameat from.path=b from.base=WORK to.path=c to.base=WORK/dir inode=@a
 *   link link from.path=dir/c to.path=d inode=@a
 *   link linkat from.path=c from.base=WORK/dir to.path=e to.base=WORK inode=@a
 *   symlink symlink target=d path=s inode=@s
 *   symlink symlinkat target=nowhere path=t base=WORK/dir inode=*
 *   unlink unlink path=s inode=@s
 *   unlink unlinkat path=t base=WORK/dir inode=*
 *   mkdir mkdir path=sub mode=0o711 inode=@sub
 *   mkdir mkdirat path=sub2 base=WORK/dir mode=0o700 inode=*
 *   unlink rmdir path=sub inode=@sub directory
 *   unlink remove path=d inode=@a
 *   unlink remove path=dir/sub2 directory inode=*
 *   mknod mkfifo path=pipe mode=0o10600 inode=*
 *   mknod mknod path=pipe2 mode=0o10644 inode=*
 *   mknod mknodat path=pipe3 base=WORK/dir mode=0o10600 inode=*
 *   [glibc] rename renameat2 from.path=pipe to.path=pipe2 exchange inode=* displaced.inode=*
 */
#include "harness.h"

TOPIC(names)
{
    make_file("a", "a");
    syscall(SYS_mkdirat, AT_FDCWD, "dir", 0755);
    int dir = (int)syscall(SYS_openat, AT_FDCWD, "dir", O_RDONLY);
    SAY(rename("a", "b"));
    SAY(renameat(AT_FDCWD, "b", dir, "c"));
    SAY(link("dir/c", "d"));
    SAY(linkat(dir, "c", AT_FDCWD, "e", 0));
    SAY(symlink("d", "s"));
    SAY(symlinkat("nowhere", dir, "t"));
    SAY(unlink("s"));
    SAY(unlinkat(dir, "t", 0));
    SAY(mkdir("sub", 0711));
    SAY(mkdirat(dir, "sub2", 0700));
    SAY(rmdir("sub"));
    SAY(remove("d"));
    SAY(remove("dir/sub2"));
    SAY(mkfifo("pipe", 0600));
    SAY(mknod("pipe2", S_IFIFO | 0644, 0));
    SAY(mknodat(dir, "pipe3", S_IFIFO | 0600, 0));
#ifdef __GLIBC__
    SAY(renameat2(AT_FDCWD, "pipe", AT_FDCWD, "pipe2", RENAME_EXCHANGE));
#endif
    SAY(rename("missing", "b"));
    SAY(unlink("missing"));
    SAY(unlink("dir"));
    SAY(mkdir("dir", 0700));
}
