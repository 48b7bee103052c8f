/* posix_spawn, with file actions, and by a search in PATH.
 *
 * needs: exec
 * events:
 *   open posix_spawn path=out base=WORK fd=1 write create mode=0o600 inode=@out process.pid=@1
 *   spawn posix_spawn child=@1 path=* inode=*
 *   wait waitpid exit_status=1 child=@1
 *   spawn posix_spawnp child=@2 path=* inode=*
 *   wait waitpid exit_status=2 child=@2
 *   open open path=out read inode=@out
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 */
#include "harness.h"

TOPIC(spawn)
{
    char folder[PATH_MAX], text[256] = "";
    char *own[] = {"A=1", NULL}, *name = strrchr(self, '/') + 1;
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;

    snprintf(folder, sizeof folder, "%.*s", (int)(name - 1 - self), self);
    setenv("PATH", folder, 1);
    posix_spawn_file_actions_init(&actions);
    SAY(posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT, 0600));
    SAY(posix_spawn(&child, self, &actions, NULL, (char *[]){self, "leaf", "spawned", "1", NULL}, own));
    SAY(waitpid(child, &status, 0) == child);
    say_status("posix_spawn", status);
    int error = posix_spawnp(&child, name, NULL, NULL, (char *[]){self, "leaf", "spawned", "2", NULL}, own);
    SAY(waitpid(child, &status, 0) == child);
    say("%d\n", error);
    say_status("posix_spawnp", status);
    int out = open("out", O_RDONLY);
    syscall(SYS_read, out, text, sizeof text - 1);
    say("%s", text);
    SAY(posix_spawn(&child, "/missing", NULL, NULL, (char *[]){self, NULL}, own));
}
