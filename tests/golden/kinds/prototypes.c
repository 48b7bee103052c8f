/* Generated from generator/specs: compiled against a libc's own headers, so that a prototype which differs is an error. */
#include "headers.h"

#if 1 && !defined(execve)
__typeof__(execve) execve;
int execve(const char *path, char *const *arguments, char *const *environment);
#endif
#if 1 && !defined(fileno)
__typeof__(fileno) fileno;
int fileno(FILE *stream);
#endif
#if !defined(__GLIBC__) && !defined(posix_close)
__typeof__(posix_close) posix_close;
int posix_close(int fd, int flags);
#endif
#if defined(__GLIBC__) && !defined(renameat2)
__typeof__(renameat2) renameat2;
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags);
#endif
#if 1 && !defined(scandir)
__typeof__(scandir) scandir;
int scandir(const char *path, struct dirent ***entries, int (*select)(const struct dirent *), int (*compare)(const struct dirent **, const struct dirent **));
#endif
