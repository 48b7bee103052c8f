/* Who is logged in: the files that glibc reads and writes by itself. */
#ifndef IP_LOGINS_H
#define IP_LOGINS_H

/* The file of who is logged in; NULL in musl, which has none. */
const char *ip_logins_file(void);
/* `path` as glibc takes it: /var/run/utmp and /var/log/wtmp with an x, where there is such a file. */
const char *ip_with_x(const char *path);
/* Whether libc can have written there. */
int ip_can_write_logins(const char *path);

#endif
