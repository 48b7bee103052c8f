#include "io.h"

#include <linux/mman.h>

#include "clock.h"
#include "files.h"
#include "loads.h"
#include "place.h"
#include "stack.h"
#include "stream.h"
#include "syscall.h"

#define FAR_FDS 65536
#define MOST_TELLINGS 8            /* by one report, of what others waited for: they must not keep its thread for ever */

/* Descriptors beyond those of the home journal are counted in private memory, reserved as a whole and paged in as used. */
static struct ip_fd *far_fd(int fd)
{
    struct ip_fd *table = atomic_load(&ip_state.far_fds), *none = NULL;
    size_t size = FAR_FDS * sizeof(struct ip_fd);

    if (table)
        return &table[fd];
    table = ip_map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ip_is_error(table))
        return NULL;
    if (!atomic_compare_exchange_strong(&ip_state.far_fds, &none, table)) {
        ip_sys_munmap(table, size);
        table = none;
    }
    return &table[fd];
}

static struct ip_fd *near_fd(struct ip_journal *home, int fd)
{
    return (struct ip_fd *)((uint8_t *)home + IP_FDS_OFFSET) + fd;
}

static void raise_highest(uint32_t fd)
{
    uint32_t highest = atomic_load_explicit(&ip_state.highest_fd, memory_order_relaxed);

    while (IP_RARE(highest < fd) && !atomic_compare_exchange_weak(&ip_state.highest_fd, &highest, fd))
        ;
}

struct ip_fd *ip_fd(int fd)
{
    struct ip_journal *home = ip_home_if_any();

    if (fd < 0 || IP_RARE(fd >= FAR_FDS) || IP_RARE(atomic_load_explicit(&ip_state.files_shared, memory_order_relaxed)))
        return NULL;
    if (IP_RARE(!home || !ip_is_ours(home))) {
        home = ip_home();
        if (!home)
            return NULL;
    }
    struct ip_fd *entry = fd < (int)IP_FDS_COUNT ? near_fd(home, fd) : far_fd(fd);
    if (entry)
        raise_highest((uint32_t)fd);
    return entry;
}

struct ip_fd *ip_fd_if_any(int fd)
{
    struct ip_journal *home = ip_home_if_any();
    struct ip_fd *table = atomic_load_explicit(&ip_state.far_fds, memory_order_relaxed);

    if (!home || !ip_is_ours(home) || fd < 0 || (uint32_t)fd > atomic_load_explicit(&ip_state.highest_fd, memory_order_relaxed) ||
        IP_RARE(atomic_load_explicit(&ip_state.files_shared, memory_order_relaxed)))
        return NULL;
    return fd < (int)IP_FDS_COUNT ? near_fd(home, fd) : table ? &table[fd] : NULL;
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
    entry->device = entry->inode = entry->birth_time = 0;
    entry->mode = entry->epoch = 0;
    __atomic_store_n(&entry->state, 0, __ATOMIC_RELAXED);
}

static int hold(struct ip_fd *entry, uint32_t thread)
{
    uint64_t none = 0;

    return __atomic_compare_exchange_n(&entry->record, &none, IP_RECORD_HOLDER(thread), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Ends the telling that goes by `record`. What it tells is told if the record has its name. */
static void conclude(struct ip_fd *entry, uint64_t record)
{
    if (!record || __atomic_load_n(&entry->record, __ATOMIC_ACQUIRE) != record)
        return;
    if (!(record & IP_RECORD_HELD)) {
        entry->reported_bytes_read = entry->telling_bytes_read;
        entry->reported_bytes_written = entry->telling_bytes_written;
        entry->reported_reads = entry->telling_reads;
        entry->reported_writes = entry->telling_writes;
    }
    __atomic_compare_exchange_n(&entry->record, &record, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Whoever holds it is interrupted by this very code, left it for ever by a jump out of a signal handler, or races with the
 * program's own end of the descriptor. If it comes back, it finds that it holds it no more. */
static void take_away(struct ip_fd *entry)
{
    conclude(entry, __atomic_load_n(&entry->record, __ATOMIC_ACQUIRE));
}

/* The number gets another file. What could not be told of the former is not told of that one. */
static void renew(struct ip_fd *entry)
{
    take_away(entry);
    entry->reported_bytes_read = entry->bytes_read;
    entry->reported_bytes_written = entry->bytes_written;
    entry->reported_reads = entry->reads;
    entry->reported_writes = entry->writes;
    __atomic_store_n(&entry->waiting, 0, __ATOMIC_RELAXED);
    forget(entry);
}

void ip_fd_opened(int fd, const struct ip_wire_File *file)
{
    struct ip_fd *entry = ip_is_borrower() ? NULL : ip_fd(fd);

    if (!entry)
        return;
    renew(entry);
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

/* By who holds the entry, and holds it no more then. A death at any instruction before the record's last leaves all of it
 * untold, and one after that nothing. A record that found no room leaves it untold too. */
static void tell(const char *function, int fd, struct ip_fd *entry, int final, struct ip_wire_Event *event)
{
    char path[IP_BASE_MAX];
    struct ip_wire_File file;
    struct ip_wire_Name name;

    entry->telling_bytes_read = __atomic_load_n(&entry->bytes_read, __ATOMIC_RELAXED);
    entry->telling_bytes_written = __atomic_load_n(&entry->bytes_written, __ATOMIC_RELAXED);
    entry->telling_reads = __atomic_load_n(&entry->reads, __ATOMIC_RELAXED);
    entry->telling_writes = __atomic_load_n(&entry->writes, __ATOMIC_RELAXED);
    struct ip_wire_Io io = {
        .fd = fd,
        .bytes_read = entry->telling_bytes_read - entry->reported_bytes_read,
        .bytes_written = entry->telling_bytes_written - entry->reported_bytes_written,
        .reads = entry->telling_reads - entry->reported_reads,
        .writes = entry->telling_writes - entry->reported_writes,
        .final = (uint32_t)final,
    };
    describe(function, &io, fd, entry, &file, &name, path);
    io.internal = !!(entry->state & IP_FD_INTERNAL);
    event->io = &io;
    uint64_t named = ip_append_io(event, &entry->record);
    conclude(entry, named ? named : IP_RECORD_HOLDER(event->thread));
}

/* The earliest of the times counts: what is told late may have been read by others since. */
static void wait_for_telling(struct ip_fd *entry, uint64_t time)
{
    uint64_t seen = __atomic_load_n(&entry->waiting, __ATOMIC_SEQ_CST);

    while ((!seen || time < seen) &&
           !__atomic_compare_exchange_n(&entry->waiting, &seen, time, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

/* Emits the Io of what was counted; a `time` of 0 is now. Where another thread does so just now, or the code that this
 * signal handler has interrupted, it is left to that one. */
struct report {
    const char *function;
    int fd;
    struct ip_fd *entry;
    int final;
    uint64_t time;
};

static void report_here(void *memory)
{
    const struct report *report = memory;
    struct ip_fd *entry = report->entry;
    struct ip_wire_Event event = ip_event(report->function, 0);
    int held = hold(entry, event.thread);

    event.effect = IP_EVENT_IO;
    if (report->time)
        event.time = report->time;
    if (!held) {
        wait_for_telling(entry, event.time);
        held = hold(entry, event.thread);
    }
    if (!held)
        return;
    /* Or until another one holds it, who then tells of those that wait. */
    for (int times = 1; held; times++) {
        uint64_t waiting = __atomic_exchange_n(&entry->waiting, 0, __ATOMIC_SEQ_CST);
        if (waiting && (times > 1 || waiting < event.time))
            event.time = waiting;
        tell(report->function, report->fd, entry, report->final, &event);
        held = times < MOST_TELLINGS && __atomic_load_n(&entry->waiting, __ATOMIC_SEQ_CST) && hold(entry, event.thread);
    }
    ip_stream_flush(event.time);
}

static void report(const char *function, int fd, struct ip_fd *entry, int final, uint64_t time)
{
    ip_with_stack(report_here, &(struct report){function, fd, entry, final, time});
}

int ip_write_is_first(int fd)
{
    return fd >= 0 && fd < FAR_FDS && !ip_is_borrower() && !atomic_load(&ip_state.files_shared);
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

static int is_untold(const struct ip_fd *entry)
{
    return entry->reads != entry->reported_reads || entry->writes != entry->reported_writes ||
           entry->bytes_read != entry->reported_bytes_read || entry->bytes_written != entry->reported_bytes_written;
}

static void finish(const char *function, int fd, struct ip_fd *entry)
{
    if (is_untold(entry) || entry->state & IP_FD_WRITTEN)
        report(function, fd, entry, 1, 0);
}

void ip_fd_closing(const char *function, int fd)
{
    struct ip_fd *entry = ip_is_borrower() ? NULL : ip_fd_if_any(fd);

    if (!entry)
        return;
    take_away(entry);
    finish(function, fd, entry);
    renew(entry);
}

void ip_fd_replaced(const char *function, int fd)
{
    struct ip_fd *entry = ip_is_borrower() ? NULL : ip_fd_if_any(fd);

    if (!entry || !(entry->state & IP_FD_KNOWN))
        return;
    take_away(entry);
    int told = is_untold(entry) || entry->state & IP_FD_WRITTEN;
    /* Without this flag the report does not ask what the number stands for. */
    __atomic_fetch_and(&entry->state, ~IP_FD_WRITTEN, __ATOMIC_RELAXED);
    if (told)
        report(function, fd, entry, 1, 0);
    renew(entry);
}

void ip_fds_flush(const char *function)
{
    if (ip_is_borrower() || !ip_home_if_any())
        return;
    for (int fd = 0; fd <= (int)atomic_load(&ip_state.highest_fd); fd++) {
        struct ip_fd *entry = ip_fd_if_any(fd);
        if (entry)
            finish(function, fd, entry);
    }
}

void ip_fds_forget(void)
{
    for (int fd = 0; ip_home_if_any() && fd <= (int)atomic_load(&ip_state.highest_fd); fd++) {
        struct ip_fd *entry = ip_fd_if_any(fd);
        if (entry)
            forget(entry);
    }
}

void ip_fds_restored(void)
{
    struct ip_fd *table = atomic_load(&ip_state.far_fds);

    for (uint32_t fd = IP_FDS_COUNT; table && fd <= atomic_load(&ip_state.highest_fd) && fd < FAR_FDS; fd++)
        forget(&table[fd]);
}

void ip_fds_drop(void)
{
    struct ip_fd *table = atomic_exchange(&ip_state.far_fds, NULL);

    atomic_store(&ip_state.highest_fd, 0);
    if (table)
        ip_sys_munmap(table, FAR_FDS * sizeof *table);
}
