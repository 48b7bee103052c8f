/* Directories opened, listed and walked.
 *
 * events:
 *   open opendir path=dir read directory inode=@dir
 *   list scandir path=dir inode=@dir fd=-1
 *   list ftw path=dir inode=@dir
 *   list nftw path=dir inode=@dir
 *   open open path=dir read directory inode=@dir fd=@d
 *   list fdopendir fd=@d inode=@dir
 */
#include "harness.h"

static int seen;

static int visit(const char *path, const struct stat *status, int type)
{
    seen++;
    return 0;
}

static int visit_more(const char *path, const struct stat *status, int type, struct FTW *place)
{
    seen++;
    return 0;
}

TOPIC(directories)
{
    struct dirent **entries, *entry;
    int count = 0;

    syscall(SYS_mkdirat, AT_FDCWD, "dir", 0755);
    make_file("dir/one", "1");
    make_file("dir/two", "2");
    DIR *dir = opendir("dir");
    while ((entry = readdir(dir)))
        count++;
    say("%d\n", count);
    SAY(closedir(dir));
    SAY(scandir("dir", &entries, NULL, alphasort));
    say("%s\n", entries[2]->d_name);
    SAY(ftw("dir", visit, 4));
    SAY(nftw("dir", visit_more, 4, FTW_CHDIR));
    say("%d\n", seen);
    dir = fdopendir(open("dir", O_RDONLY | O_DIRECTORY));
    SAY(readdir(dir) != NULL);
    SAY(closedir(dir));
    SAY(opendir("missing") == NULL);
    SAY(scandir("missing", &entries, NULL, NULL));
    char where[PATH_MAX];
    SAY(getcwd(where, sizeof where) == where);
    say("%s\n", where);
}
