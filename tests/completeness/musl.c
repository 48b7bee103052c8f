/* musl FILE: what a small program does, linked against musl: streams, descriptors, names, users, a shell. */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void sum_up(const char *path)
{
    long sum = 0, number;
    FILE *in = fopen(path, "r"), *out = fopen("sum", "w");

    if (!in || !out)
        abort();
    while (fscanf(in, "%ld", &number) == 1)
        sum += number;
    fprintf(out, "%ld\n", sum);
    if (fclose(in) || fclose(out))
        abort();
}

static void copy(const char *from, const char *to)
{
    char buffer[4096];
    ssize_t size;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);

    while ((size = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)size) != size)
            abort();
    if (size < 0 || close(in) || close(out))
        abort();
}

int main(int argc, char **argv)
{
    glob_t found;
    struct passwd *user = getpwuid(0);
    DIR *folder = opendir(".");

    if (argc != 2 || !folder || !user)
        return 1;
    while (readdir(folder))
        ;
    closedir(folder);
    sum_up(argv[1]);
    copy(argv[1], "copy");
    if (rename("copy", "moved") || chmod("moved", 0644) || mkdir("folder", 0700) || link("moved", "folder/other"))
        return 1;
    if (glob("folder/*", 0, NULL, &found) || unlink(found.gl_pathv[0]) || rmdir("folder"))
        return 1;
    globfree(&found);
    FILE *child = popen("wc -l <moved", "r");
    int lines = 0;
    if (!child || fscanf(child, "%d", &lines) != 1 || pclose(child))
        return 1;
    return system("cat sum >>moved") || lines == 0;
}
