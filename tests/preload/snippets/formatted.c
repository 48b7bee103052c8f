/* dprintf and its siblings write at once.
 *
 * events:
 *   open open path=file write create fd=@f inode=@file
 *   io dprintf|vdprintf|fwrite fd=@f bytes_written=5 writes=1 inode=@file
 *   io close fd=@f bytes_written=3 writes=1 final inode=@file
 */
#include "harness.h"

#include <stdarg.h>

__attribute__((format(printf, 2, 3))) static int print(int fd, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vdprintf(fd, format, arguments);
    va_end(arguments);
    return length;
}

TOPIC(formatted)
{
    int fd = open("file", O_WRONLY | O_CREAT, 0600);

    SAY(dprintf(fd, "%d %s %c", 1, "2", '3'));
    SAY(print(fd, "%s", "abc"));
    SAY(close(fd));
    SAY(dprintf(-1, "x"));
}
