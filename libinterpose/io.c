#include "io.h"

#include <linux/mman.h>

#include "clock.h"
#include "files.h"
#include "loads.h"
#include "syscall.h"

#define FAR_FDS 65536

/* Descriptors beyond those of the home journal are counted in private memory, reserved as a whole and paged in as used. */
static struct ip_fd *far_fd(int fd)
{
    struct ip_fd *table = atomic_load(&ip_state.far_fds), *none = NULL;
    size_t size = FAR_FDS * sizeof(struct ip_fd);

    if (fd >= FAR_FDS)
        return NULL;
    if (table)
        return &table[fd];
    table = ip_sys_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ip_is_error(table))
        return NULL;
    if (!atomic_compare_exchange_strong(&ip_state.far_fds, &none, table)) {
        ip_sys_munmap(table, size);
        table = none;
    }
    return &table[fd];
}

struct ip_fd *ip_fd(int fd)
{
    struct ip_journal *home = ip_home_if_any();

    if (fd < 0)
        return NULL;
    if (IP_RARE(!home)) {
        home = ip_home();
        if (!home)
            return NULL;
    }
    uint32_t highest = atomic_load_explicit(&ip_state.highest_fd, memory_order_relaxed);
    while (IP_RARE(highest < (uint32_t)fd) && !atomic_compare_exchange_weak(&ip_state.highest_fd, &highest, (uint32_t)fd))
        ;
    if (IP_RARE(ip_state.files_shared))
        return NULL;
    return fd < (int)IP_FDS_COUNT ? (struct ip_fd *)((uint8_t *)home + IP_FDS_OFFSET) + fd : far_fd(fd);
}

static void keep_identity(struct ip_fd *entry, const struct ip_wire_File *file)
{
    entry->device = file->device;
    entry->inode = file->inode;
    entry->birth_time = file->birth_time;
    entry->mode = file->mode;
    __atomic_fetch_or(&entry->state, IP_FD_KNOWN, __ATOMIC_RELEASE);
}

static struct ip_wire_File identity(const struct ip_fd *entry)
{
    return (struct ip_wire_File){
        .device = entry->device, .inode = entry->inode, .birth_time = entry->birth_time, .mode = entry->mode};
}

static void forget(struct ip_fd *entry)
{
    memset(entry, 0, sizeof *entry);
}

void ip_fd_opened(int fd, const struct ip_wire_File *file)
{
    struct ip_fd *entry = ip_is_borrower() ? NULL : ip_fd(fd);

    if (!entry)
        return;
    forget(entry);
    if (file)
        keep_identity(entry, file);
}

void ip_fd_streamed(int fd)
{
    struct ip_fd *entry = ip_is_borrower() ? NULL : ip_fd(fd);

    if (entry)
        __atomic_fetch_or(&entry->state, IP_FD_STREAM, __ATOMIC_RELAXED);
}

/* What the file is now: asked where its content may have changed or where it is not known, else as remembered. One that
 * is met for the first time was opened out of sight, and gets its name from the kernel. */
static void describe(const char *function, struct ip_wire_Io *io, int fd, struct ip_fd *entry, struct ip_wire_File *file, struct ip_wire_Name *name,
                     char path[IP_BASE_MAX])
{
    int known = entry->state & IP_FD_KNOWN;

    if (known && !(entry->state & IP_FD_WRITTEN)) {
        *file = identity(entry);
        io->file = file;
        return;
    }
    if (ip_file_of_fd(file, fd) < 0)
        return;
    io->file = file;
    keep_identity(entry, file);
    if (!known && (file->mode & S_IFMT) == S_IFREG) {
        /* A stream that neither fopen nor fdopen made is libc's own. */
        if (fd > 2 && !(entry->state & IP_FD_STREAM) && ip_equal(function, "fread"))
            __atomic_fetch_or(&entry->state, IP_FD_INTERNAL, __ATOMIC_RELAXED);
        *name = ip_name_of_fd(fd, path);
        io->name = name;
    }
}

/* Emits the Io of what was counted; a `time` of 0 is now. */
static void report(const char *function, int fd, struct ip_fd *entry, int final, uint64_t time)
{
    char path[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name;
    struct ip_wire_Io io = {
        .fd = fd,
        .bytes_read = __atomic_exchange_n(&entry->bytes_read, 0, __ATOMIC_RELAXED),
        .bytes_written = __atomic_exchange_n(&entry->bytes_written, 0, __ATOMIC_RELAXED),
        .reads = __atomic_exchange_n(&entry->reads, 0, __ATOMIC_RELAXED),
        .writes = __atomic_exchange_n(&entry->writes, 0, __ATOMIC_RELAXED),
        .final = (uint32_t)final,
    };

    describe(function, &io, fd, entry, &file, &name, path);
    io.internal = !!(entry->state & IP_FD_INTERNAL);
    struct ip_wire_Event event = ip_event(function, 0);
    event.effect = IP_EVENT_IO;
    if (time)
        event.time = time;
    event.io = &io;
    ip_emit(&event);
}

uint64_t ip_write_begins(void)
{
    /* Code that was loaded by now may have made what is written. */
    ip_loads_refresh();
    return ip_now();
}

void ip_io_changed(const struct ip_call_io *call, struct ip_fd *entry)
{
    if (call->read >= 0 && !(__atomic_fetch_or(&entry->state, IP_FD_READ, __ATOMIC_RELAXED) & IP_FD_READ))
        atomic_fetch_add(&ip_state.reads, 1);
    if (call->written >= 0) {
        entry->epoch = atomic_load(&ip_state.reads);
        __atomic_fetch_or(&entry->state, IP_FD_WRITTEN, __ATOMIC_RELAXED);
    }
    report(call->function, call->fd, entry, 0, call->began);
}

void ip_io_borrowed(const struct ip_call_io *call)
{
    struct ip_fd entry = {
        .bytes_read = call->read > 0 ? (uint64_t)call->read : 0,
        .bytes_written = call->written > 0 ? (uint64_t)call->written : 0,
        .reads = call->read >= 0,
        .writes = call->written >= 0,
    };

    report(call->function, call->fd, &entry, 0, 0);
}

void ip_io_of_file(const char *function, const struct ip_wire_File *file, long read, long written, uint64_t time)
{
    struct ip_wire_Io io = {
        .fd = -1,
        .file = file,
        .bytes_read = read > 0 ? (uint64_t)read : 0,
        .bytes_written = written > 0 ? (uint64_t)written : 0,
        .reads = read >= 0,
        .writes = written >= 0,
    };
    struct ip_wire_Event event = ip_event(function, 0);

    event.effect = IP_EVENT_IO;
    if (time)
        event.time = time;
    event.io = &io;
    ip_emit(&event);
}

static void finish(const char *function, int fd, struct ip_fd *entry)
{
    if (entry->reads || entry->writes || entry->state & IP_FD_WRITTEN)
        report(function, fd, entry, 1, 0);
}

void ip_fd_closing(const char *function, int fd)
{
    struct ip_fd *entry = ip_is_borrower() || !ip_home_if_any() ? NULL : ip_fd(fd);

    if (!entry)
        return;
    finish(function, fd, entry);
    forget(entry);
}

void ip_fd_replaced(const char *function, int fd)
{
    struct ip_fd *entry = ip_is_borrower() || !ip_home_if_any() ? NULL : ip_fd(fd);

    if (!entry || !(entry->state & IP_FD_KNOWN))
        return;
    int told = entry->reads || entry->writes || entry->state & IP_FD_WRITTEN;
    /* Without this flag the report does not ask what the number stands for. */
    __atomic_fetch_and(&entry->state, ~IP_FD_WRITTEN, __ATOMIC_RELAXED);
    if (told)
        report(function, fd, entry, 1, 0);
    forget(entry);
}

void ip_fds_flush(const char *function)
{
    if (ip_is_borrower() || !ip_home_if_any())
        return;
    for (int fd = 0; fd <= (int)atomic_load(&ip_state.highest_fd); fd++) {
        struct ip_fd *entry = ip_fd(fd);
        if (entry)
            finish(function, fd, entry);
    }
}

void ip_fds_forget(void)
{
    for (int fd = 0; ip_home_if_any() && fd <= (int)atomic_load(&ip_state.highest_fd); fd++) {
        struct ip_fd *entry = ip_fd(fd);
        if (entry)
            forget(entry);
    }
}

void ip_fds_drop(void)
{
    struct ip_fd *table = atomic_exchange(&ip_state.far_fds, NULL);

    if (table)
        ip_sys_munmap(table, FAR_FDS * sizeof *table);
}
