/* Variables of the environment that the program asks libc for, or that libc asks for on its behalf. */
#ifndef IP_ENV_H
#define IP_ENV_H

/* NULL if it is not set. */
const char *ip_env_value(const char *name);
/* Tells of one that libc has looked at by itself; returns its value. */
const char *ip_env_asked(const char *function, const char *name);

#endif
