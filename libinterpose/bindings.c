#include "bindings.h"

#include "brief.h"
#include "elf.h"
#include "memory.h"
#include "syscall.h"

#define NO_GLIBC 1000000

/* The second number of its version. */
static int glibc_minor(void)
{
    static _Atomic int known;

    if (!known) {
        const char *(*version)(void) = (const char *(*)(void))ip_elf_find("gnu_get_libc_version");
        const char *text = version ? version() : "";
        int found = 0;
        if (ip_starts_with(text, "2."))
            for (text += 2; *text >= '0' && *text <= '9'; text++)
                found = found * 10 + (*text - '0');
        known = found ? found : NO_GLIBC;
    }
    return known;
}

int ip_is_glibc(void)
{
    return glibc_minor() != NO_GLIBC;
}

int ip_glibc_is_before(int minor)
{
    return glibc_minor() < minor;
}

const char *ip_object_path(char buffer[IP_OBJECT_PATH_MAX], const char *folder, const char *name)
{
    while (*name == '/')
        name++;
    return ip_append(ip_append(buffer, buffer + IP_OBJECT_PATH_MAX, folder), buffer + IP_OBJECT_PATH_MAX, name) ? buffer : NULL;
}

const char *ip_semaphore_path(char buffer[IP_OBJECT_PATH_MAX], const char *name)
{
    return ip_object_path(buffer, ip_is_glibc() ? "/dev/shm/sem." : "/dev/shm/", name);
}

struct one_message {
    char header[56];               /* struct msghdr */
    unsigned int length;
};
_Static_assert(sizeof(struct one_message) == 60, "sendmmsg(2); two stand 64 bytes apart");

long ip_messages_length(const struct mmsghdr *messages, long count)
{
    long total = 0;

    for (long i = 0; i < count; i++)
        total += ((const struct one_message *)((const char *)messages + 64 * i))->length;
    return count < 0 ? count : total;
}

int ip_is_writable(int fd)
{
    int flags = ip_sys_fcntl(fd, F_GETFL, 0);

    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

int ip_is_seekable(int fd)
{
    return ip_syscall(__NR_lseek, fd, 0, 1 /* SEEK_CUR */, 0, 0, 0) >= 0;
}

static const void *address(long number, int fd, char buffer[IP_ADDRESS_MAX])
{
    int length = IP_ADDRESS_MAX;

    ip_syscall(number, fd, (long)buffer, (long)&length, 0, 0, 0);
    return buffer;
}

const void *ip_peer_address(int fd, char buffer[IP_ADDRESS_MAX])
{
    return address(__NR_getpeername, fd, buffer);
}

const void *ip_local_address(int fd, char buffer[IP_ADDRESS_MAX])
{
    return address(__NR_getsockname, fd, buffer);
}

/* The line "Pid:" of the descriptor's fdinfo: proc_pid_fdinfo(5). */
uint32_t ip_pid_of_pidfd(int fd)
{
    char text[256], path[48];
    uint32_t pid = 0;

    ip_append_number(ip_append(path, path + sizeof path, "/proc/self/fdinfo/"), path + sizeof path, (uint64_t)fd, 10, 1);
    int file = ip_brief_open(AT_FDCWD, path, O_RDONLY, 0);
    if (file < 0)
        return 0;
    long size = ip_sys_read(file, text, sizeof text - 1);
    ip_brief_close(file);
    text[size > 0 ? size : 0] = 0;
    for (const char *at = text; at; at = ip_find(at, '\n'), at += at != NULL)
        if (ip_starts_with(at, "Pid:"))
            for (at += 4; *at == '\t' || (*at >= '0' && *at <= '9'); at++)
                pid = *at == '\t' ? 0 : pid * 10 + (uint32_t)(*at - '0');
    return pid;
}
