/* What file actions do to files, and where: also if nothing is executed then.
 *
 * needs: exec
 * events:
 *   open posix_spawn path=full base=WORK fd=1 write create truncate mode=0o644 inode=@full process.pid=@1
 *   open posix_spawn path=log base=WORK fd=2 write append create mode=0o600 inode=* process.pid=@1
 *   open posix_spawn path=full base=WORK fd=0 read inode=@full process.pid=@1
 *   spawn posix_spawn child=@1 path=* inode=*
 *   wait waitpid child=@1 exit_status=1
 *   chdir posix_spawn directory=WORK/sub process.pid=@2
 *   open posix_spawn path=new base=WORK/sub fd=1 write create exclusive inode=@new process.pid=@2
 *   chdir posix_spawn path=deeper base=WORK/sub process.pid=@2
 *   open posix_spawn path=../new base=WORK/sub/deeper fd=60 read inode=@new process.pid=@2
 *   chdir posix_spawn path=/ process.pid=@2
 *   open posix_spawn path=dev/null base=/ fd=61 read inode=* process.pid=@2
 *   spawn posix_spawn child=@2 path=* inode=*
 *   wait waitpid child=@2 exit_status=2
 *   open posix_spawn path=made base=WORK fd=1 write create inode=@made
 *   open posix_spawn path=second base=WORK fd=2 write truncate inode=*
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 */
#include "harness.h"

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *, int);

static posix_spawn_file_actions_t actions;

static void run(const char *path, char *ends_with)
{
    pid_t child = -1;
    int status = -1;

    int error = posix_spawn(&child, path, &actions, NULL, (char *[]){self, "quiet", "-1", ends_with, NULL}, (char *[]){NULL});
    if (!error)
        SAY(waitpid(child, &status, 0) == child);
    say("posix_spawn: %d\n", error);
    say_status("child", status);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawn_file_actions_init(&actions);
}

TOPIC(spawn_files)
{
    syscall(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    syscall(SYS_mkdirat, AT_FDCWD, "sub/deeper", 0755);
    make_file("full", "content");
    make_file("second", "content");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "full", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addopen(&actions, 2, "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_addopen(&actions, 0, "full", O_RDONLY, 0);
    run(self, "1");
    int sub = (int)syscall(SYS_openat, AT_FDCWD, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    posix_spawn_file_actions_adddup2(&actions, sub, 50);
    posix_spawn_file_actions_adddup2(&actions, 50, 51);
    posix_spawn_file_actions_adddup2(&actions, 1, 50);
    posix_spawn_file_actions_addfchdir_np(&actions, 51);
    posix_spawn_file_actions_addopen(&actions, 1, "new", O_WRONLY | O_CREAT | O_EXCL, 0600);
    posix_spawn_file_actions_addchdir_np(&actions, "deeper");
    posix_spawn_file_actions_addopen(&actions, 60, "../new", O_RDONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    posix_spawn_file_actions_addopen(&actions, 61, "dev/null", O_RDONLY, 0);
    run(self, "2");
    syscall(SYS_close, sub);
    posix_spawn_file_actions_addopen(&actions, 1, "made", O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, "second", O_WRONLY | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 0, "full", O_RDONLY, 0);
    run("/missing", "3");
    SAY(access("made", F_OK));
}
