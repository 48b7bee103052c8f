/* LD_PRELOAD: hidden from the program, put back for every program that it starts. */
#ifndef IP_ENVIRONMENT_H
#define IP_ENVIRONMENT_H

#include <stddef.h>

/* Replaces `environ` by a copy without this library's entry, if it is there. A libc sets `environ` when it starts: glibc's
 * after the first calls that may come, musl's a second time. So this is asked for at each stage. */
void ip_environment_hide(void);
/* The program's environment as it sees it. */
char **ip_environment(void);
/* Sets `environ`. */
void ip_environment_set(char **environment);

/* How much memory ip_environment_merge needs for `environment`, bytes. */
size_t ip_environment_room(char *const *environment);
/* Writes `environment` with this library first in LD_PRELOAD into `memory`, and returns it as an envp. Where the loader is asked to list
 * libraries it is left out: who collects them must not take it for one that the program needs. */
char **ip_environment_merge(char *const *environment, void *memory);
/* Whether it has this library in LD_PRELOAD, and a copy without it: what merging needs of memory is enough. */
int ip_environment_lists_us(char *const *environment);
char **ip_environment_without_us(char *const *environment, void *memory);

#endif
