/* Everything that opens a descriptor.
 *
 * events:
 *   open open path=old base=WORK fd=@0 read inode=@old
 *   open open path=old fd=@1 write append inode=@old
 *   open open path=new fd=@2 read write create exclusive mode=0o640 inode=@new
 *   open openat path=new base=WORK fd=@3 write truncate inode=@new
 *   open openat path=WORK/new base= fd=@4 read inode=@new
 *   open creat path=made fd=@5 write create truncate mode=0o600
 *   open open path=. fd=@6 read directory
 *   open open path=old fd=@7 path_only inode=@old
 *   open open path=WORK/#* fd=@8 read write create mode=0o600
 *   open mkstemp path=tmp.* fd=@9 read write create exclusive
 *   open mkostemp path=tmp.* fd=@10 read write create exclusive append
 *   open mkstemps path=tmp.*.c fd=@11 read write create exclusive
 *   open mkostemps path=tmp.*.c fd=@12 read write create exclusive
 *   mkdir mkdtemp path=dir.* mode=0o700 inode=*
 *   open memfd_create path=/memfd:memory fd=@13 read write create
 *   open openat path=old base=WORK/folder fd=@14 read
 */
#include "harness.h"

TOPIC(open)
{
    char pattern[4][32] = {"tmp.XXXXXX", "tmp.XXXXXX", "tmp.XXXXXX.c", "tmp.XXXXXX.c"};
    char folder[] = "dir.XXXXXX", absolute[PATH_MAX + 8];

    make_file("old", "content");
    syscall(SYS_mkdirat, AT_FDCWD, "folder", 0755);
    make_file("folder/old", "content");
    syscall(SYS_getcwd, absolute, sizeof absolute);
    strcat(absolute, "/new");
    SAY(open("old", O_RDONLY));
    SAY(open("old", O_WRONLY | O_APPEND));
    SAY(open("new", O_RDWR | O_CREAT | O_EXCL, 0640));
    SAY(openat(AT_FDCWD, "new", O_WRONLY | O_TRUNC));
    SAY(openat(-1, absolute, O_RDONLY));
    SAY(creat("made", 0600));
    SAY(open(".", O_RDONLY | O_DIRECTORY));
    SAY(open("old", O_PATH));
    SAY(open(".", O_RDWR | O_TMPFILE, 0600));
    SAY(mkstemp(pattern[0]));
    SAY(mkostemp(pattern[1], O_APPEND));
    SAY(mkstemps(pattern[2], 2));
    SAY(mkostemps(pattern[3], 2, O_CLOEXEC));
    say("%s\n", mkdtemp(folder) ? "made" : "not made");
    SAY_DONE(memfd_create("memory", 0));
    long folder_fd = syscall(SYS_openat, AT_FDCWD, "folder", O_RDONLY);
    SAY(openat((int)folder_fd, "old", O_RDONLY));
    SAY(open("missing", O_RDONLY));
    struct stat status;
    SAY(stat("new", &status));
    say("%o\n", status.st_mode);
}
