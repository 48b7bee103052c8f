/* System V message queues and shared memory: what passes through them goes from one process to another, but there is neither a path
 * nor a descriptor. Each stands as a file of no device: the inode is its kind and number, the birth time the namespace that
 * numbers it. */
#include "files.h"
#include "journal.h"
#include "number.h"

enum kind { QUEUE = 1, SEGMENT = 2 };

/* The number in "ipc:[4026531839]": namespaces(7). */
static uint64_t ipc_namespace(void)
{
    char text[64];
    uint64_t number = 0;
    long size = ip_sys_readlinkat(AT_FDCWD, "/proc/self/ns/ipc", text, sizeof text);

    for (long i = 0; i < size; i++)
        if (text[i] >= '0' && text[i] <= '9')
            number = number * 10 + (uint64_t)(text[i] - '0');
    return number;
}

static struct ip_wire_File object(enum kind kind, int number)
{
    return (struct ip_wire_File){
        .inode = (uint64_t)kind << 32 | (uint32_t)number,
        .birth_time = ipc_namespace(),
        .mode = kind == QUEUE ? S_IFIFO : S_IFREG,
    };
}

static void moved(const char *function, int queue, long read, long written)
{
    struct ip_wire_File file = object(QUEUE, queue);

    ip_io_of_file(function, &file, read, written, 0);
}

IP_EXPORT int msgsnd(int queue, const void *message, size_t size, int flags);
IP_EXPORT int msgsnd(int queue, const void *message, size_t size, int flags)
{
    int (*real)(int, const void *, size_t, int) = (int (*)(int, const void *, size_t, int))IP_REAL(msgsnd);

    if (!real) {
        ip_absent();
        return -1;
    }
    int result = real(queue, message, size, flags);
    if (result == 0 && ip_recording())
        moved("msgsnd", queue, -1, (long)size);
    return result;
}

IP_EXPORT ssize_t msgrcv(int queue, void *message, size_t size, long type, int flags);
IP_EXPORT ssize_t msgrcv(int queue, void *message, size_t size, long type, int flags)
{
    ssize_t (*real)(int, void *, size_t, long, int) = (ssize_t(*)(int, void *, size_t, long, int))IP_REAL(msgrcv);

    if (!real) {
        ip_absent();
        return -1;
    }
    ssize_t result = real(queue, message, size, type, flags);
    if (result >= 0 && ip_recording())
        moved("msgrcv", queue, result, -1);
    return result;
}

enum { SHM_RDONLY = 010000, SHM_EXEC = 0100000 };

static void attached(const char *function, int segment, int flags)
{
    struct ip_wire_File file = object(SEGMENT, segment);
    struct ip_wire_Map map = {
        .fd = -1,
        .file = &file,
        .read = 1,
        .write = !(flags & SHM_RDONLY),
        .execute = !!(flags & SHM_EXEC),
    };
    struct ip_wire_Event event = ip_event(function, 0);

    event.effect = IP_EVENT_MAP;
    event.map = &map;
    ip_emit(&event);
}

IP_EXPORT void *shmat(int segment, const void *address, int flags);
IP_EXPORT void *shmat(int segment, const void *address, int flags)
{
    void *(*real)(int, const void *, int) = (void *(*)(int, const void *, int))IP_REAL(shmat);

    if (!real) {
        ip_absent();
        return (void *)-1;
    }
    void *result = real(segment, address, flags);
    if (result != (void *)-1 && ip_recording())
        attached("shmat", segment, flags);
    return result;
}

IP_NUMBER(msgsnd)
{
    long result = real(__NR_msgsnd, a0, a1, a2, a3, a4, a5);

    if (result == 0)
        moved("syscall", (int)a0, -1, a2);
    return result;
}

IP_NUMBER(msgrcv)
{
    long result = real(__NR_msgrcv, a0, a1, a2, a3, a4, a5);

    if (result >= 0)
        moved("syscall", (int)a0, result, -1);
    return result;
}

IP_NUMBER(shmat)
{
    long result = real(__NR_shmat, a0, a1, a2, a3, a4, a5);

    if (result != -1)
        attached("syscall", (int)a0, (int)a2);
    return result;
}
