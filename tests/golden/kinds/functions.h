/* Generated from generator/specs: the real functions that wrappers call. */
#ifndef IP_FUNCTIONS_H
#define IP_FUNCTIONS_H

enum ip_function {
    IP_FUNCTION___open_2,
    IP_FUNCTION_execve,
    IP_FUNCTION_fileno,
    IP_FUNCTION_posix_close,
    IP_FUNCTION_renameat2,
    IP_FUNCTION_scandir,
    IP_FUNCTIONS
};

extern const char *const ip_function_names[IP_FUNCTIONS];

/* Exported functions that some libc does not have. */
struct ip_uncertain {
    const char *name;              /* NULL after the last */
    int since;                     /* minor version of glibc, 0 if that does not matter */
    int is_musl;                   /* glibc has none */
};

extern const struct ip_uncertain ip_uncertain[];

#endif
