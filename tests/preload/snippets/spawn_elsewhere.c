/* posix_spawn that changes the directory first: a relative path is the child's, not the parent's.
 *
 * needs: exec
 * events:
 *   chdir posix_spawn path=sub base=WORK process.pid=@1
 *   spawn posix_spawn child=@1 path=sub/./program inode=@1 base=WORK
 *   wait waitpid child=@1 exit_status=1
 *   chdir posix_spawn directory=WORK/sub process.pid=@2
 *   spawn posix_spawn child=@2 path=./program inode=@1 base=WORK/sub
 *   wait waitpid child=@2 exit_status=2
 *   chdir posix_spawn path=sub/deeper base=WORK process.pid=@3
 *   chdir posix_spawn path=.. base=WORK/sub/deeper process.pid=@3
 *   spawn posix_spawn child=@3 path=sub/deeper/.././program inode=@1 base=WORK
 *   wait waitpid child=@3 exit_status=3
 *   spawn posix_spawn child=@4 path=./program inode=@2 base=WORK
 *   wait waitpid child=@4 exit_status=4
 * process image ...:
 * process image ...:
 * process image ...:
 * process image ...:
 */
#include "harness.h"

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *, int);

static void run(posix_spawn_file_actions_t *actions, char *ends_with)
{
    pid_t child = -1;
    int status = -1;

    int error = posix_spawn(&child, "./program", actions, NULL, (char *[]){"program", ends_with, NULL}, (char *[]){NULL});
    SAY(waitpid(child, &status, 0) == child);
    say("posix_spawn: %d\n", error);
    say_status("child", status);
    SAY(posix_spawn_file_actions_destroy(actions));
    posix_spawn_file_actions_init(actions);
}

static void make_program(const char *path, const char *text)
{
    make_file(path, text);
    syscall(SYS_fchmodat, AT_FDCWD, path, 0755);
}

TOPIC(spawn_elsewhere)
{
    posix_spawn_file_actions_t actions;

    syscall(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    syscall(SYS_mkdirat, AT_FDCWD, "sub/deeper", 0755);
    make_program("program", "#!/bin/sh\necho here; exit $1\n");
    make_program("sub/program", "#!/bin/sh\necho there; exit $1\n");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, "sub");
    run(&actions, "1");
    int sub = (int)syscall(SYS_openat, AT_FDCWD, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    posix_spawn_file_actions_addfchdir_np(&actions, sub);
    run(&actions, "2");
    posix_spawn_file_actions_addchdir_np(&actions, "sub/deeper");
    posix_spawn_file_actions_addchdir_np(&actions, "..");
    run(&actions, "3");
    run(&actions, "4");
    syscall(SYS_close, sub);
}
