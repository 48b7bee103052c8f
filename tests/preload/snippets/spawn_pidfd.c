/* pidfd_spawn gives a descriptor for the child instead of its pid.
 *
 * needs: exec glibc>=2.39
 * events:
 *   spawn pidfd_spawn child=@1 path=* inode=*
 *   wait waitid child=@1 exit_status=1
 *   spawn pidfd_spawnp child=@2 path=* inode=*
 *   wait waitid child=@2 exit_status=2
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 */
#include "harness.h"

typedef int function(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const *, char *const *);
function pidfd_spawn __attribute__((weak));
function pidfd_spawnp __attribute__((weak));

static void run(function *spawn, const char *path, char *ends_with)
{
    siginfo_t info = {0};
    int child = -1;

    int error = spawn(&child, path, NULL, NULL, (char *[]){self, "report", "-1", ends_with, NULL}, (char *[]){NULL});
    SAY(waitid((idtype_t)3 /* P_PIDFD */, (id_t)child, &info, WEXITED));
    say("error %d, descriptor %d, closed on exec: %d\n", error, child, fcntl(child, F_GETFD));
    say("%d %d\n", info.si_code, info.si_status);
    syscall(SYS_close, child);
}

TOPIC(spawn_pidfd)
{
    char folder[PATH_MAX], *name = strrchr(self, '/') + 1;
    int child = -5;

    snprintf(folder, sizeof folder, "%.*s", (int)(name - 1 - self), self);
    setenv("PATH", folder, 1);
    run(pidfd_spawn, self, "1");
    run(pidfd_spawnp, name, "2");
    SAY(pidfd_spawn(&child, "/missing", NULL, NULL, (char *[]){self, NULL}, (char *[]){NULL}));
    say("%d\n", child);
}
