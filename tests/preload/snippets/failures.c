/* Calls that fail: what they return and what errno says is the libc's, at every level. Nothing of them is told at level
 * `summary`, but that of exec, which was announced.
 *
 * events:
 *   exec execve path=missing error=2
 *   exec execve path=file inode=*
 *   exec execve path=file error=13
 *   [!exec] spawn posix_spawn path=/missing child=*
 */
#include "harness.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/mount.h>

#define BAD ((void *)8)

TOPIC(failures)
{
    static char long_name[6000];
    const char *bad = BAD;
    struct stat status;
    char buffer[16];
    int ends[2], file;

    memset(long_name, 'x', sizeof long_name - 1);
    make_file("file", "content");
    file = (int)syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY);
    const char *const paths[] = {bad, "", "missing", "missing/deeper", "file/below", long_name};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const char *path = paths[i];
        say("-- %zu\n", i);
        SAY(open(path, O_RDONLY));
        SAY(open(path, O_RDONLY | O_DIRECTORY));
        SAY(openat(AT_FDCWD, path, O_WRONLY));
        SAY(openat(-1, path, O_RDONLY));
        SAY(openat(file, path, O_RDONLY));
        if (i != 2)
            SAY(creat(path, 0600));
        SAY(access(path, R_OK));
        SAY(stat(path, &status));
        SAY(lstat(path, &status));
        if (i)
            SAY(fstatat(-1, path, &status, 0));
        SAY(readlink(path, buffer, sizeof buffer));
        SAY(chmod(path, 0600));
        SAY(fchmodat(AT_FDCWD, path, 0600, 0));
        SAY(chown(path, 0, 0));
        SAY(lchown(path, 0, 0));
        SAY(truncate(path, 0));
        SAY(utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW));
        SAY(setxattr(path, "user.x", "1", 1, 0));
        SAY(getxattr(path, "user.x", buffer, sizeof buffer));
        SAY(rename(path, "elsewhere"));
        SAY(rename("missing", path));
        SAY(renameat(-1, path, -1, path));
        SAY(link(path, "elsewhere"));
        SAY(linkat(-1, path, -1, path, 0));
        if (i != 2)
            SAY(symlink("x", path));
        SAY(unlink(path));
        SAY(unlinkat(-1, path, 0));
        SAY(rmdir(path));
        SAY(remove(path));
        if (i != 2) {
            SAY(mkdir(path, 0700));
            SAY(mkfifo(path, 0600));
            SAY(mknod(path, S_IFIFO, 0));
        }
        SAY(chdir(path));
        SAY(chroot(path));
        if (i)
            SAY(opendir(path) == NULL);
        SAY(mount(path, path, "none", 0, NULL));
        SAY(umount2(path, 0));
        SAY(fopen(path, "r") == NULL);
        if (i) {
            SAY(fopen(path, "r") == NULL);
            SAY(freopen(path, "r", fdopen((int)syscall(SYS_dup, file), "r")) == NULL);
        }
    }
    say("-- descriptors\n");
    SAY(read(-1, buffer, 1));
    SAY(read(file, BAD, 1));
    SAY(write(-1, "x", 1));
    SAY(write(file, "x", 1));
    SAY(pread(-1, buffer, 1, 0));
    SAY(pwrite(-1, buffer, 1, 0));
    SAY(readv(-1, NULL, 0));
    SAY(readv(file, BAD, 1));
    SAY(writev(file, BAD, 1));
    SAY(close(-1));
    SAY(close(12345));
    SAY(dup(-1));
    SAY(dup2(-1, 7));
    SAY(dup2(file, -1));
    SAY(dup3(file, file, 0));
    SAY(fcntl(-1, F_GETFL));
    SAY(fcntl(file, F_DUPFD, -1));
    SAY(ioctl(file, 0xdead, 0));
    SAY(ioctl(-1, 0xdead, 0));
    SAY(flock(-1, LOCK_EX));
    SAY(fsync(-1));
    SAY(fchmod(-1, 0600));
    SAY(fchown(-1, 0, 0));
    SAY(ftruncate(file, 0));
    SAY(fstat(-1, &status));
    SAY(fchdir(file));
    SAY(fdopen(-1, "r") == NULL);
    SAY(fdopendir(file) == NULL);
    SAY(pipe(BAD));
    SAY(pipe2(ends, -1));
    SAY(socket(-1, -1, -1));
    SAY(socketpair(AF_INET, SOCK_STREAM, 0, ends));
    SAY(bind(-1, NULL, 0));
    SAY(bind(file, BAD, 16));
    SAY(listen(file, 1));
    SAY(accept(file, NULL, NULL));
    SAY(shutdown(file, 2));
    SAY(send(file, "x", 1, 0));
    SAY(recv(-1, buffer, 1, 0));
#ifdef __GLIBC__ /* musl looks into it */
    SAY(sendmsg(file, BAD, 0));
#endif
    SAY(sendfile(file, -1, NULL, 1));
    SAY(copy_file_range(-1, NULL, file, NULL, 1, 0));
    SAY(splice(file, NULL, file, NULL, 1, 0));
    SAY(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, file, 0));
    SAY(mmap(NULL, 4096, PROT_READ, MAP_SHARED, -1, 0));
    SAY(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, file, 0));
    say("-- processes\n");
    SAY(waitpid(-1, BAD, 0));
    SAY(waitpid(1 << 28, NULL, 0));
    SAY(waitid(P_PID, 1 << 28, NULL, WEXITED));
    SAY(kill(1 << 28, 0));
    SAY(kill(1 << 28, 12345));
    SAY(killpg(-5, 0));
    say("-- refused before the kernel looks at the pointer\n");
    SAY(open(BAD, O_TMPFILE | O_RDONLY, 0));
    SAY(connect(-1, BAD, 16));
    SAY(connect(file, BAD, 16));
    SAY(unlinkat(AT_FDCWD, BAD, -1));
    SAY(linkat(AT_FDCWD, BAD, AT_FDCWD, BAD, -1));
    SAY(fchownat(AT_FDCWD, BAD, 0, 0, -1));
    SAY(utimensat(AT_FDCWD, BAD, NULL, -1));
    SAY(setxattr("file", BAD, "1", 1, 0));
    SAY(setrlimit(-1, NULL));
    SAY(execv(BAD, NULL));
    SAY(execve("missing", BAD, NULL));
    SAY(execve("missing", NULL, NULL));
    SAY(execve("file", NULL, NULL));
    SAY(execve(self, (char *[]){"x", NULL}, BAD));
    SAY(posix_spawn(NULL, BAD, NULL, NULL, (char *[]){"x", NULL}, NULL));
    SAY(posix_spawn(NULL, self, NULL, NULL, (char *[]){"x", NULL}, BAD));
    SAY(posix_spawn(NULL, "/missing", NULL, NULL, (char *[]){"x", NULL}, NULL));
    SAY(dlclose(dlopen(NULL, RTLD_LAZY)));
    SAY(fopen("file", "?") == NULL);
    SAY(popen("true", "?") == NULL);
}
