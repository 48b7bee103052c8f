/* Permissions, owners, times, sizes, extended attributes, limits, ids.
 *
 * events:
 *   chmod chmod path=file mode=0o640 inode=@f
 *   chmod fchmod mode=0o600 inode=@f
 *   chmod fchmodat path=file base=WORK mode=0o644 inode=@f
 *   chown chown path=file user=@u group=@g inode=@f
 *   chown fchown user=@u group=-1 inode=@f
 *   chown lchown path=link user=@u group=@g inode=@link
 *   chown fchownat path=link user=@u group=@g inode=@f
 *   chown fchownat path=link user=@u group=@g inode=@link
 *   utime utime path=file inode=@f
 *   utime utimes path=file inode=@f
 *   utime utimensat path=link base=WORK inode=@link
 *   utime futimens inode=@f
 *   truncate truncate path=file length=3 inode=@f
 *   truncate ftruncate length=1 inode=@f
 *   xattr setxattr path=file attribute=user.test inode=@f write
 *   xattr removexattr path=file attribute=user.test inode=@f write
 *   limit setrlimit resource=4 soft=0
 *   set_id setgid group=@g effective_group=@g user=@u
 *   set_id setuid user=@u effective_user=@u group=@g
 */
#include "harness.h"

TOPIC(metadata)
{
    char value[8];
    struct rlimit no_core = {0, 0};

    make_file("file", "content");
    syscall(SYS_symlinkat, "file", AT_FDCWD, "link");
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "file", O_RDWR);
    SAY(chmod("file", 0640));
    SAY(fchmod(fd, 0600));
    SAY(fchmodat(AT_FDCWD, "file", 0644, 0));
    SAY(chown("file", getuid(), getgid()));
    SAY(fchown(fd, getuid(), (gid_t)-1));
    SAY(lchown("link", getuid(), getgid()));
    SAY(fchownat(AT_FDCWD, "link", getuid(), getgid(), 0));
    SAY(fchownat(AT_FDCWD, "link", getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
    SAY(utime("file", NULL));
    SAY(utimes("file", NULL));
    SAY(utimensat(AT_FDCWD, "link", NULL, AT_SYMLINK_NOFOLLOW));
    SAY(futimens(fd, NULL));
    SAY(truncate("file", 3));
    SAY(ftruncate(fd, 1));
    SAY(setxattr("file", "user.test", "1", 1, 0));
    SAY(getxattr("file", "user.test", value, sizeof value));
    SAY(removexattr("file", "user.test"));
    SAY(setrlimit(RLIMIT_CORE, &no_core));
    SAY_DONE(setgid(getgid()));
    SAY_DONE(setuid(getuid()));
}
