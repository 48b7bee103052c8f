/* No descriptor to be had: the library does without.
 *
 * events:
 *   limit setrlimit resource=7 soft=3
 *   rename rename from.path=one to.path=two inode=*
 *   fork fork child=*
 *   wait waitpid child=* exit_status=6
 *   limit setrlimit resource=7
 */
#include "harness.h"

TOPIC(no_descriptors)
{
    struct rlimit limit;
    int status;

    make_file("one", "1");
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t former = limit.rlim_cur;
    limit.rlim_cur = 3;
    SAY(setrlimit(RLIMIT_NOFILE, &limit));
    SAY(open("one", O_RDONLY));
    SAY(fopen("one", "r") == NULL);
    SAY(rename("one", "two"));
    pid_t child = fork();
    if (!child) {
        rename("two", "three");
        _exit(6);
    }
    SAY(waitpid(child, &status, 0) == child);
    say_status("child", status);
    SAY(access("three", F_OK));
    limit.rlim_cur = former;
    SAY(setrlimit(RLIMIT_NOFILE, &limit));
}
