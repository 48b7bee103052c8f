/* What files are: identities from statx, names joined with the directory that they start from. */
#ifndef IP_FILES_H
#define IP_FILES_H

#include <linux/stat.h>

#include "state.h"
#include "wire.h"

/* Fill `file` from a descriptor or a path; 0 or -errno. `flags` are AT_*. */
int ip_file_of_fd(struct ip_wire_File *file, int fd);
int ip_file_at(struct ip_wire_File *file, int dir, const char *path, int flags);
/* What statx has said, of which all was asked that IP_FILE_MASK names. */
#define IP_FILE_MASK (STATX_BASIC_STATS | STATX_BTIME)
struct ip_wire_File ip_file_from(const struct statx *status);

/* A call that failed may have done so before it looked at its path, which then may point anywhere: the kernel is asked. */
int ip_path_is_readable(const char *path);
/* `path` as the program gave it, with its base (in `buffer` if the base is asked from the kernel). Empty for a path that
 * a failed call could not read. */
struct ip_wire_Name ip_name(int error, int dir, const char *path, char buffer[IP_BASE_MAX]);
/* The path by which the kernel knows an open file, in `buffer`; empty if it has none. */
struct ip_wire_Name ip_name_of_fd(int fd, char buffer[IP_BASE_MAX]);
/* The same of one that is in no directory: "/memfd:name", "/tmp/#inode". */
struct ip_wire_Name ip_name_of_nameless(int fd, char buffer[IP_BASE_MAX]);
/* Whether a path means an open file of whoever uses it: proc_pid_fd(5). */
int ip_path_is_descriptor(const char *path);

/* A struct sockaddr of `length` bytes as a message, which points into it. */
struct ip_wire_Address ip_address_of(const void *socket, unsigned int length);

void ip_directory_refresh(void);   /* after a chdir */
/* Before a chroot(2), and after one that succeeded: paths are told as seen from the root that the program began with. */
void ip_root_entering(const char *path);
void ip_root_entered(void);

#endif
