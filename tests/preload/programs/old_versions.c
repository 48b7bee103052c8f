/* Calls that do something else in old versions of glibc; with -DOLD the program is linked with those, as one built long ago is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef OLD
__asm__(".symver realpath, realpath@GLIBC_2.2.5");
__asm__(".symver posix_spawn, posix_spawn@GLIBC_2.2.5");
__asm__(".symver posix_spawnp, posix_spawnp@GLIBC_2.2.5");
__asm__(".symver nftw, nftw@GLIBC_2.2.5");
__asm__(".symver glob, glob@GLIBC_2.2.5");
__asm__(".symver quick_exit, quick_exit@GLIBC_2.10");
#endif

static int visited;

static int visit(const char *path, const struct stat *status, int type, struct FTW *where)
{
    visited++;
    return 0;
}

static void spawn(int (*function)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *,
                                  char *const *), const char *path)
{
    char *arguments[] = {"script", NULL}, *environment[] = {NULL};
    pid_t child = 0;
    int status = -1, error = function(&child, path, NULL, NULL, arguments, environment);

    if (!error)
        waitpid(child, &status, 0);
    printf("spawn: %s, %d\n", strerror(error), WEXITSTATUS(status));
}

int main(void)
{
    static const char text[] = "exit 7\n";
    int script = open("script", O_WRONLY | O_CREAT, 0755);
    glob_t found = {0};

    write(script, text, sizeof text - 1);
    close(script);
    symlink("missing", "dangling");
    mkdir("folder", 0755);
    errno = 0;
    char *path = realpath("folder", NULL);
    printf("realpath: %s, %s\n", path ? strrchr(path, '/') : "none", strerror(errno));
    spawn(posix_spawn, "./script");
    spawn(posix_spawnp, "./script");
    for (int i = 0; i < 3; i++) {
        errno = 0;
        int result = nftw("folder", visit, 5, 1 << 20);
        printf("nftw: %d %d, %s\n", result, visited, strerror(errno));
    }
    printf("glob: %d", glob("dangling*", 0, NULL, &found));
    printf(" %zu\n", found.gl_pathc);
    printf("glob: %d", glob("danglin[g]/", 0, NULL, &found));
    printf(" %zu\n", found.gl_pathc);
    fflush(stdout);
    quick_exit(5);
}
