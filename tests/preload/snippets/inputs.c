/* Inputs that no file holds: the environment, as the program or libc for it asks, the date, randomness. Each is told once.
 * Of LC_CTYPE and gconv-modules.cache that comes first which has the lower address.
 *
 * needs: exec
 * events:
 *   env getenv name=SNIPPET value=given present
 *   env getenv name=SNIPPET_TOKEN present redacted
 *   env getenv name=SNIPPET_ABSENT
 *   env setlocale name=LC_ALL value=C present
 *   env setlocale name=LC_CTYPE
 *   env setlocale name=LANG value=C.UTF-8 present
 *   [glibc] consult setlocale path=/usr/lib/* inode=@one
 *   [glibc] consult setlocale path=/usr/lib/* inode=@other
 *   env localtime name=TZ value=UTC0 present
 *   consult clock_gettime source=1
 *   consult getrandom source=2
 *   env posix_spawnp name=PATH value=* present
 *   spawn posix_spawnp path=* child=@child
 *   wait waitpid child=@child
 * process image ...:
 */
#include "harness.h"

#include <locale.h>
#include <sys/random.h>
#include <time.h>

extern char **environ;

TOPIC(inputs)
{
    struct timespec now;
    char bytes[4], *arguments[] = {"true", NULL};
    int status = -1;
    pid_t child;

    setenv("SNIPPET", "given", 1);
    setenv("SNIPPET_TOKEN", "secret", 1);
    say("%s\n", getenv("SNIPPET"));
    say("%s\n", getenv("SNIPPET"));
    say("%s\n", getenv("SNIPPET_TOKEN"));
    SAY(getenv("SNIPPET_ABSENT") == NULL);
    SAY(setlocale(LC_CTYPE, "") != NULL);
    unsetenv("LC_ALL");
    setenv("LANG", "C.UTF-8", 1);
    SAY(setlocale(LC_CTYPE, "") != NULL);
    setenv("TZ", "UTC0", 1);
    SAY(localtime(&(time_t){0})->tm_year);
    tzset();
    SAY(clock_gettime(CLOCK_MONOTONIC, &now));
    SAY(clock_gettime(CLOCK_REALTIME, &now));
    SAY(clock_gettime(CLOCK_REALTIME, &now));
    SAY(getrandom(bytes, sizeof bytes, 0));
    SAY(getrandom(bytes, sizeof bytes, 0));
    SAY(posix_spawnp(&child, "true", NULL, NULL, arguments, environ));
    SAY(waitpid(child, &status, 0) == child);
    say_status("true", status);
}
