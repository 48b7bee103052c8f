/* Who is logged in: the files that glibc reads and writes by itself. */
#ifndef IP_LOGINS_H
#define IP_LOGINS_H

/* Which file of who is logged in the program has chosen; NULL: the usual one. */
void ip_logins_choose(const char *path);

#endif
