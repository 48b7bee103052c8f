/* Loads a library and at once does away with what it was loaded by: `loads WAY PATH [CALLER]`, where CALLER is a library that calls
 * dlopen. Ends with what the library's function returns. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *(*opener)(const char *);

static void *open_library(const char *path)
{
    void *handle = opener ? opener(path) : dlopen(path, RTLD_NOW);

    if (!handle)
        printf("%s\n", dlerror());
    return handle;
}

static int call(void *handle)
{
    int (*plugin)(void) = handle ? (int (*)(void))dlsym(handle, "plugin") : NULL;

    return plugin ? plugin() : 1;
}

static void *copy_into_memory(const char *path)
{
    char buffer[4096], name[64];
    int from = open(path, O_RDONLY), to = memfd_create("library", 0);

    for (ssize_t size; (size = read(from, buffer, sizeof buffer)) > 0;)
        write(to, buffer, size);
    close(from);
    sprintf(name, "/proc/self/fd/%d", to);
    void *handle = open_library(name);
    close(to);
    return handle;
}

static int run(const char *way, const char *path)
{
    void *handle = strcmp(way, "memory") ? open_library(path) : NULL;
    int result = call(handle);

    if (!strcmp(way, "unlinked"))
        unlink(path);
    else if (!strcmp(way, "renamed"))
        rename(path, "elsewhere");
    else if (!strcmp(way, "replaced"))
        symlink("/etc/passwd", "new"), rename("new", path);
    else if (!strcmp(way, "left"))
        chdir("/");
    else if (!strcmp(way, "jailed"))
        mkdir("jail", 0755), chroot("jail");
    else if (!strcmp(way, "killed"))
        kill(getpid(), SIGKILL);
    else if (!strcmp(way, "closed"))
        dlclose(handle);
    else if (!strcmp(way, "memory"))
        result = call(copy_into_memory(path));
    else if (!strcmp(way, "forked"))
        for (int i = 0; i < 3; i++)
            if (!fork())
                _exit(close(open("child", O_WRONLY | O_CREAT, 0600)));
            else
                wait(NULL);
    return result;
}

int main(int argc, char **argv)
{
    if (argc > 3)
        opener = (void *(*)(const char *))dlsym(dlopen(argv[3], RTLD_NOW), "call_dlopen");
    return run(argv[1], argv[2]);
}
