/* Uses a FIFO, a device, a socket and a directory in every way that opens something or asks about it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void use(const char *path)
{
    char byte, renamed[64], *arguments[] = {"x", NULL};
    struct stat status;
    pid_t child;
    int file = open(path, O_RDWR | O_NONBLOCK);

    write(file, "x", 1);
    read(file, &byte, 1);
    close(file);
    stat(path, &status);
    access(path, R_OK);
    file = openat(AT_FDCWD, path, O_PATH);
    close(file);
    FILE *stream = fopen(path, "r+");
    if (stream)
        fclose(stream);
    chmod(path, status.st_mode & 07777);
    truncate(path, 0);
    printf("%s: %d\n", path, posix_spawn(&child, path, NULL, NULL, arguments, arguments + 1));
    execv(path, arguments);
    if (path[0] != '/') {
        snprintf(renamed, sizeof renamed, "%s-renamed", path);
        rename(path, renamed);
        unlink(renamed);
    }
}

int main(void)
{
    mkfifo("fifo", 0700);
    mkdir("folder", 0700);
    symlink("fifo", "link");
    use("link");
    use("fifo");
    use("/dev/null");
    use("/dev/zero");
    use("folder");
    return 0;
}
