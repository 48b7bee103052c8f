/* A thread with the smallest stack there is.
 *
 * needs: exec
 * events:
 *   thread_start pthread_create parent=*
 *   open open path=by-thread write create inode=@f
 *   io write bytes_written=1 inode=@f
 *   spawn posix_spawn child=* path=WORK/script inode=*
 *   wait waitpid child=* exit_status=4
 *   fork fork child=*
 *   wait waitpid child=* exit_status=5
 *   rename rename from.path=by-thread to.path=renamed inode=@f
 *   thread_exit pthread_create
 * process image ...:
 * process image ...:
 */
#include "harness.h"

static void *run(void *script)
{
    int status, file = open("by-thread", O_WRONLY | O_CREAT, 0600);
    pid_t child;

    write(file, "1", 1);
    posix_spawn(&child, script, NULL, NULL, (char *[]){script, NULL}, (char *[]){NULL});
    waitpid(child, &status, 0);
    say_status("spawned", status);
    child = fork();
    if (!child) {
        execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
        _exit(99);
    }
    waitpid(child, &status, 0);
    say_status("executed", status);
    rename("by-thread", "renamed");
    return NULL;
}

TOPIC(small_stack)
{
    static char script[PATH_MAX + 16];
    pthread_attr_t attributes;
    pthread_t thread;

    syscall(SYS_getcwd, script, PATH_MAX);
    strcat(script, "/script");
    make_file(script, "#!/bin/sh\nexit 4\n");
    syscall(SYS_fchmodat, AT_FDCWD, script, 0755);
    pthread_attr_init(&attributes);
    say("%d\n", pthread_attr_setstacksize(&attributes, 16384));
    int error = pthread_create(&thread, &attributes, run, script);
    pthread_join(thread, NULL);
    say("%d\n", error);
}
