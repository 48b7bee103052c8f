/* Trees walked by libc: each directory that it lists, and names right while it moves the process about.
 *
 * events:
 *   [glibc] unlink unlink path=one base=WORK/top inode=@one
 *   [musl] unlink unlink path=top/one base=WORK inode=@one
 *   [glibc] list nftw path=. base=WORK/top/below inode=@below
 *   [musl] list nftw path=top/below base=WORK inode=@below
 *   [glibc] list nftw path=. base=WORK/top inode=@top
 *   [musl] list nftw path=top base=WORK inode=@top
 *   [glibc] list fts_read path=top base=WORK inode=@top
 *   [glibc] list fts_read path=below base=WORK/top inode=@below
 *   list glob path=top base=WORK inode=@top
 *   list glob path=. base=WORK
 *   list glob path=top base=WORK inode=@top
 *   [glibc] list scandirat path=below base=WORK/top inode=@below
 */
#include "harness.h"

#ifdef __GLIBC__
#include <fts.h>
#endif
#include <glob.h>

static int visit(const char *path, const struct stat *status, int type, struct FTW *place)
{
    say("%s %d\n", path, type == FTW_F);
    if (!strcmp(path + place->base, "one")) {
#ifdef __GLIBC__
        path += place->base;
#endif
        SAY(unlink(path));
    }
    return 0;
}

static void globbed(const char *pattern)
{
    glob_t found;

    SAY(glob(pattern, 0, NULL, &found));
    for (size_t i = 0; i < found.gl_pathc; i++)
        say("%s\n", found.gl_pathv[i]);
    globfree(&found);
}

TOPIC(walks)
{
    syscall(SYS_mkdirat, AT_FDCWD, "top", 0755);
    syscall(SYS_mkdirat, AT_FDCWD, "top/below", 0755);
    make_file("top/one", "1");
    make_file("top/below/two", "2");
    SAY(nftw("top", visit, 4, FTW_CHDIR | FTW_DEPTH));
#ifdef __GLIBC__
    FTSENT *at;
    FTS *walk = fts_open((char *[]){"top", NULL}, FTS_PHYSICAL, NULL);
    while ((at = fts_read(walk)))
        say("%s %d\n", at->fts_path, at->fts_info);
    SAY(fts_close(walk));
#endif
    globbed("top/*");
    globbed("*/b*");
    globbed("top/below");
#ifdef __GLIBC__
    struct dirent **entries;
    int top = (int)syscall(SYS_openat, AT_FDCWD, "top", O_RDONLY);
    SAY(scandirat(top, "below", &entries, NULL, alphasort));
#endif
}
