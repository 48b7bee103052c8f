/* A program like any other: files, a child, a shell, output on both streams, a status. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[64] = "";
    FILE *file = fopen("file", "w+");

    fprintf(file, "line %d\n", 1);
    rewind(file);
    fgets(line, sizeof line, file);
    printf("read %s", line);
    fclose(file);
    fprintf(stderr, "on stderr\n");
    fflush(stdout);
    int status = system("echo from a shell; exit 7");
    printf("shell %d\n", WEXITSTATUS(status));
    fflush(stdout);
    if (!fork()) {
        rename("file", "renamed");
        _exit(0);
    }
    wait(&status);
    printf("renamed %d, %s\n", access("renamed", F_OK), getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "no LD_PRELOAD");
    return 9;
}
