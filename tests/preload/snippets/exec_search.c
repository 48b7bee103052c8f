/* Each exec function keeps its own rules: whether PATH is searched, and which; what a file without a first line is; argument 0.
 *
 * needs: exec
 * events:
 *   fork fork child=*
 *   wait waitpid child=* exit_status=1
 *   fork fork child=*
 *   wait waitpid child=* exit_status=2
 *   fork fork child=*
 *   wait waitpid child=* exit_status=3
 *   fork fork child=*
 *   wait waitpid child=* exit_status=4
 *   [glibc] fork fork child=*
 *   [glibc] wait waitpid child=* exit_status=5
 *   fork fork child=*
 *   wait waitpid child=* exit_status=6
 *   fork fork child=*
 *   wait waitpid child=* exit_status=7
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 * process image ...:
 * process image ...:
 * [glibc] process image ...:
 * process image ...:
 * process fork:
 *   exec execv path=program error=8
 *   exec execlp path=hidden inode=*
 *   exec execlp path=hidden error=13
 *   exec execvp path= error=2
 *   exec execvp path=missing-program error=2
 *   exec execvp path=program/x error=20
 *   exec execve path=program inode=*
 *   exec execve path=program error=8
 *   exec execl path=- error=2
 *   exec execvpe path=missing-program error=2
 *   exec fexecve error=*
 *   exit _exit status=7
 */
#include "harness.h"

int execveat(int dir, const char *path, char *const *arguments, char *const *environment, int flags) __attribute__((weak));

static void make_program(const char *path, const char *text, int mode)
{
    make_file(path, text);
    syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

TOPIC(exec_search)
{
    char here[PATH_MAX + 64] = "", folder[PATH_MAX], *own[] = {"A=1", NULL};

    syscall(SYS_getcwd, folder, sizeof folder);
    sprintf(here, "/missing:%s/empty:%s", folder, folder);
    syscall(SYS_mkdirat, AT_FDCWD, "empty", 0755);
    make_program("empty/program", "", 0644);
    make_program("program", "exit $1\n", 0755);
    make_program("hidden", "exit $1\n", 0644);
    make_program("script", "#!/bin/sh\necho $# $1 $2; exit $1\n", 0755);
    int program = (int)syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC);
    IN_CHILD(execl(self, "another name", "leaf", "execl", "1", (char *)NULL));
#ifdef __GLIBC__
    if (execveat)
        IN_CHILD(execveat(program, "", ((char *[]){"at", "leaf", "execveat", "2", NULL}), own, AT_EMPTY_PATH));
    else
#endif
        IN_CHILD(fexecve(program, ((char *[]){"at", "leaf", "execveat", "2", NULL}), own));
    setenv("PATH", here, 1);
    IN_CHILD(execlp("script", "script", "3", "execlp", (char *)NULL));
    setenv("PATH", "", 1);
    IN_CHILD(execvp("script", ((char *[]){"script", "4", "empty PATH", NULL})));
    setenv("PATH", here, 1);
#ifdef __GLIBC__
    IN_CHILD(execvp("program", ((char *[]){"program", "5", NULL})));
#endif
    unsetenv("PATH");
    IN_CHILD(execvp("sh", ((char *[]){"sh", "-c", "exit 6", NULL})));
    IN_CHILD({
        SAY(execv("program", ((char *[]){"program", "5", NULL})));
        setenv("PATH", here, 1);
        SAY(execlp("hidden", "hidden", "5", (char *)NULL));
        SAY(execvp("", ((char *[]){"", NULL})));
        SAY(execvp("missing-program", ((char *[]){"missing-program", NULL})));
        SAY(execvp("program/x", ((char *[]){"x", NULL})));
        SAY(execve("program", ((char *[]){"program", "5", NULL}), own));
        SAY(execl("-", "-", (char *)NULL));
        SAY(execvpe("missing-program", ((char *[]){"missing-program", NULL}), own));
        SAY(fexecve(-1, ((char *[]){"x", NULL}), own));
        SAY(execve((char *)1, ((char *[]){"x", NULL}), own));
        SAY(execve(self, (char **)1, own));
        SAY(execve(self, ((char *[]){"x", NULL}), (char **)1));
        _exit(7);
    });
}
