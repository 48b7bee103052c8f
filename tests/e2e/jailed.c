/* jailed MODE [COUNT]: what a program does after it has left for a place from which the spool cannot be reached. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void make(const char *name)
{
    int file = open(name, O_CREAT | O_WRONLY | O_APPEND, 0666);

    if (file < 0 || write(file, "x", 1) != 1 || close(file))
        _exit(90);
}

static void enter(void)
{
    if (chroot("jail") || chdir("/"))
        _exit(91);
}

static void child(const char *before, const char *name, int enters)
{
    if (!fork()) {
        if (before)
            make(before);
        if (enters)
            enter();
        make(name);
        _exit(0);
    }
    wait(NULL);
}

/* landlock(7): nothing may be written but below the working directory. */
static void restrict_to_here(void)
{
    uint64_t writing = 2 /* LANDLOCK_ACCESS_FS_WRITE_FILE */;
    struct {
        uint64_t allowed;
        int32_t folder;
    } __attribute__((packed)) rule = {writing, open(".", O_PATH | O_DIRECTORY)};
    int rules = (int)syscall(444 /* landlock_create_ruleset */, &writing, sizeof writing, 0);

    if (rules < 0)
        _exit(77);
    if (syscall(445 /* landlock_add_rule */, rules, 1, &rule, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        syscall(446 /* landlock_restrict_self */, rules, 0))
        _exit(96);
    close(rules);
    close(rule.folder);
}

int main(int count, char **arguments)
{
    char name[40];
    int files = count > 2 ? atoi(arguments[2]) : 0;

    if (!strcmp(arguments[1], "children")) {
        child(NULL, "first-of-all", 1);
        child("outside", "second", 1);
        enter();
        child(NULL, "relative", 0);
        child(NULL, "/absolute", 0);
        for (int i = 0; i < files; i++) {
            sprintf(name, "child-%d", i);
            child(NULL, name, 0);
        }
        return 0;
    }
    if (!strcmp(arguments[1], "nested")) {
        if (mkdir("jail/inner", 0777))
            return 92;
        enter();
        if (chroot("./inner/"))
            return 93;
        make("still-in-jail"); /* the working directory stays where it was, outside of the new root */
        make("/in-inner");
        return chroot("nowhere") ? 0 : 94;
    }
    if (!strcmp(arguments[1], "landlock"))
        restrict_to_here();
    else if (!strcmp(arguments[1], "user")) {
        if (setgid(65534) || setuid(65534))
            return 95;
    } else
        enter();
    for (int i = 0; i < files; i++) {
        sprintf(name, "file-%04d", i);
        make(name);
    }
    return 0;
}
