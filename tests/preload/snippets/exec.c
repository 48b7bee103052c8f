/* Each function that executes a program, from a forked child that has told nothing: the new image tells everything. With
 * something told, the old image says what it executes.
 *
 * needs: exec
 * events:
 *   fork fork child=*
 *   wait waitpid exit_status=1 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=2 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=3 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=4 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=5 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=6 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=7 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=8 child=*
 *   fork fork child=*
 *   wait waitpid exit_status=9 child=*
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 * process image:
 *   exit exit status=3
 * process image:
 *   exit exit status=4
 * process image:
 *   exit exit status=5
 * process image:
 *   exit exit status=6
 * process image:
 *   exit exit status=7
 * process fork:
 *   open open path=file write create fd=@f inode=@file
 *   io write fd=@f bytes_written=1 inode=@file
 *   io execve fd=@f bytes_written=2 inode=@file final
 *   exec execve path=* inode=*
 * process image:
 *   exit exit status=8
 * process fork:
 *   exec execvp path=missing-program error=2
 *   exec execv path=/etc/passwd inode=*
 *   exec execv path=/etc/passwd error=13
 *   exit _exit status=9
 */
#include "harness.h"

TOPIC(exec)
{
    char folder[PATH_MAX], path_variable[PATH_MAX + 8];
    char *own[] = {"A=1", path_variable, "B=2", NULL};
    const char *name = strrchr(self, '/') + 1;

    snprintf(folder, sizeof folder, "%.*s", (int)(name - 1 - self), self);
    snprintf(path_variable, sizeof path_variable, "PATH=%s", folder);
    setenv("PATH", folder, 1);
    IN_CHILD(execl(self, self, "leaf", "execl", "1", (char *)NULL));
    IN_CHILD(execlp(name, self, "leaf", "execlp", "2", (char *)NULL));
    IN_CHILD(execle(self, self, "leaf", "execle", "3", (char *)NULL, own));
    IN_CHILD(execv(self, (char *[]){self, "leaf", "execv", "4", NULL}));
    IN_CHILD(execvp(name, (char *[]){self, "leaf", "execvp", "5", NULL}));
    IN_CHILD(execvpe(name, (char *[]){self, "leaf", "execvpe", "6", NULL}, own));
    int program = (int)syscall(SYS_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC);
    IN_CHILD(fexecve(program, (char *[]){self, "leaf", "fexecve", "7", NULL}, own));
    IN_CHILD({
        int file = open("file", O_WRONLY | O_CREAT, 0600);
        write(file, "1", 1);
        write(file, "22", 2);
        execve(self, ((char *[]){self, "leaf", "execve", "8", NULL}), own);
    });
    IN_CHILD({
        SAY(execvp("missing-program", (char *[]){self, NULL}));
        SAY(execv("/etc/passwd", (char *[]){self, NULL}));
        _exit(9);
    });
}
