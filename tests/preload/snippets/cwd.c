/* Where relative names start from.
 *
 * events:
 *   chdir chdir path=sub base=WORK directory=WORK/sub
 *   open open path=file base=WORK/sub write create inode=@f
 *   chdir chdir path=deep base=WORK/sub directory=WORK/sub/deep
 *   open open path=../file base=WORK/sub/deep read inode=@f
 *   chdir fchdir directory=WORK
 *   open open path=sub/file base=WORK read inode=@f
 *   open openat path=file base=WORK/sub read inode=@f
 *   chdir chdir path=WORK/sub base= directory=WORK/sub
 *   rename rename from.path=file from.base=WORK/sub to.path=../moved to.base=WORK/sub inode=@f
 *   chdir chdir path=.. directory=WORK
 */
#include "harness.h"

TOPIC(cwd)
{
    char absolute[PATH_MAX + 8];

    syscall(SYS_getcwd, absolute, sizeof absolute);
    strcat(absolute, "/sub");
    syscall(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    syscall(SYS_mkdirat, AT_FDCWD, "sub/deep", 0755);
    int here = (int)syscall(SYS_openat, AT_FDCWD, ".", O_RDONLY);
    int sub = (int)syscall(SYS_openat, AT_FDCWD, "sub", O_RDONLY);
    SAY(chdir("sub"));
    SAY(open("file", O_WRONLY | O_CREAT, 0600));
    SAY(chdir("deep"));
    SAY(open("../file", O_RDONLY));
    SAY(fchdir(here));
    SAY(open("sub/file", O_RDONLY));
    SAY(openat(sub, "file", O_RDONLY));
    SAY(chdir(absolute));
    SAY(rename("file", "../moved"));
    SAY(chdir("missing"));
    SAY(chdir(".."));
    SAY(fchdir(-1));
}
