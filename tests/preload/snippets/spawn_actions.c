/* posix_spawn with every file action and attribute: the child is as the parent wants it, whoever looks on.
 *
 * needs: exec
 * events:
 *   open posix_spawn path=opened base=WORK fd=7 write create inode=* process.pid=@1
 *   chdir posix_spawn path=sub base=WORK process.pid=@1
 *   spawn posix_spawn child=@1 path=* inode=*
 *   wait waitpid child=@1 exit_status=1
 *   chdir posix_spawn directory=WORK/sub process.pid=@2
 *   open posix_spawn path=opened base=WORK/sub fd=20 write create inode=@sub process.pid=@2
 *   spawn posix_spawn child=@2 path=* inode=*
 *   wait waitpid child=@2 exit_status=2
 *   [glibc>=2.34] chdir posix_spawn directory=WORK/sub process.pid=@3
 *   [glibc>=2.34] open posix_spawn path=opened base=WORK/sub fd=20 write create inode=@sub process.pid=@3
 *   [glibc>=2.34] spawn posix_spawn child=@3 path=* inode=*
 *   [glibc>=2.34] wait waitpid child=@3 exit_status=3
 *   spawn posix_spawn child=@4 path=* inode=*
 *   wait waitpid child=@4 exit_status=4
 *   spawn posix_spawn child=@5 path=* inode=*
 *   wait waitpid child=@5 exit_status=5
 *   spawn posix_spawn child=@6 path=* inode=*
 *   wait wait child=@6 exit_status=6
 * process image:
 *   exit exit status=1
 * process image:
 *   exit exit status=2
 * [glibc>=2.34] process image:
 *   exit exit status=3
 * process image:
 *   exit exit status=4
 * process image:
 *   exit exit status=5
 * process image:
 *   exit exit status=6
 */
#include "harness.h"

int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *, int);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int) __attribute__((weak));

#define USE_VFORK 0x40
#define SET_SESSION 0x80

static void run(const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes, const char *ends_with)
{
    char *arguments[] = {self, "report", "-1", (char *)ends_with, NULL};
    pid_t child = -1;
    int status;

    errno = 0;
    int error = posix_spawn(&child, self, actions, attributes, arguments, (char *[]){"A=1", NULL});
    int number = errno;
    SAY(waitpid(child, &status, 0) == child);
    say("posix_spawn: %d, errno %d\n", error, number);
    say_status("child", status);
}

static void use_actions(void)
{
    posix_spawn_file_actions_t actions;
    int sub = (int)syscall(SYS_openat, AT_FDCWD, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    SAY(posix_spawn_file_actions_init(&actions));
    SAY(posix_spawn_file_actions_addopen(&actions, 7, "opened", O_WRONLY | O_CREAT, 0600));
    SAY(posix_spawn_file_actions_adddup2(&actions, 7, 9));
    SAY(posix_spawn_file_actions_adddup2(&actions, 9, 9));
    SAY(posix_spawn_file_actions_addclose(&actions, 7));
    SAY(posix_spawn_file_actions_addclose(&actions, 0));
    SAY(posix_spawn_file_actions_addchdir_np(&actions, "sub"));
    run(&actions, NULL, "1");
    SAY(posix_spawn_file_actions_destroy(&actions));
    SAY(posix_spawn_file_actions_init(&actions));
    SAY(posix_spawn_file_actions_addfchdir_np(&actions, sub));
    SAY(posix_spawn_file_actions_addopen(&actions, 20, "opened", O_WRONLY | O_CREAT, 0600));
    run(&actions, NULL, "2");
    SAY(access("sub/opened", F_OK));
    if (posix_spawn_file_actions_addclosefrom_np) {
        SAY(posix_spawn_file_actions_addclosefrom_np(&actions, 3));
        run(&actions, NULL, "3");
    }
    SAY(posix_spawn_file_actions_addopen(&actions, 3, "missing", O_RDONLY, 0));
    SAY(posix_spawn(&(pid_t){0}, self, &actions, NULL, (char *[]){self, NULL}, (char *[]){NULL}));
    SAY(posix_spawn_file_actions_addclose(&actions, -1));
    SAY(posix_spawn_file_actions_destroy(&actions));
    syscall(SYS_close, sub);
}

static void use_attributes(void)
{
    struct sched_param parameter = {.sched_priority = 0};
    posix_spawnattr_t attributes;
    sigset_t set;
    int policy;

    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    SAY(posix_spawnattr_init(&attributes));
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    SAY(posix_spawnattr_setsigdefault(&attributes, &set));
    sigaddset(&set, SIGTERM);
    SAY(posix_spawnattr_setsigmask(&attributes, &set));
    SAY(posix_spawnattr_setpgroup(&attributes, 0));
    SAY(posix_spawnattr_setschedpolicy(&attributes, SCHED_BATCH));
    SAY(posix_spawnattr_setschedparam(&attributes, &parameter));
    posix_spawnattr_getschedpolicy(&attributes, &policy);
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_RESETIDS | USE_VFORK;
    SAY(posix_spawnattr_setflags(&attributes, flags | POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_SETSCHEDPARAM));
    run(NULL, &attributes, "4");
    SAY(posix_spawnattr_setflags(&attributes, SET_SESSION | POSIX_SPAWN_SETSCHEDPARAM));
    run(NULL, &attributes, "5");
    SAY(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP));
    SAY(posix_spawnattr_setpgroup(&attributes, 1));
    SAY(posix_spawn(&(pid_t){0}, self, NULL, &attributes, (char *[]){self, NULL}, (char *[]){NULL}));
    SAY(posix_spawnattr_destroy(&attributes));
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

TOPIC(spawn_actions)
{
    int status;

    syscall(SYS_mkdirat, AT_FDCWD, "sub", 0755);
    use_actions();
    use_attributes();
    int error = posix_spawn(NULL, self, NULL, NULL, (char *[]){self, "report", "-1", "6", NULL}, (char *[]){NULL});
    wait(&status);
    say("posix_spawn: %d\n", error);
    say_status("no pid wanted", status);
    SAY(posix_spawn(NULL, "/missing", NULL, NULL, (char *[]){self, NULL}, NULL));
    SAY(posix_spawn(NULL, "/etc/passwd", NULL, NULL, (char *[]){self, NULL}, NULL));
    SAY(posix_spawn(NULL, "", NULL, NULL, (char *[]){self, NULL}, NULL));
    SAY(posix_spawnp(NULL, "missing-program", NULL, NULL, (char *[]){self, NULL}, NULL));
    SAY(posix_spawnp(NULL, "", NULL, NULL, (char *[]){self, NULL}, NULL));
}
