/* Reads and writes: counted per descriptor in shared memory, reported when they change what is known. */
#ifndef IP_IO_H
#define IP_IO_H

#include "effects.h"
#include "journal.h"

/* The counters of a descriptor that is known to be one, since a call with it succeeded: what failed may have named any number. NULL if it
 * cannot have any, or others may change what it is. */
struct ip_fd *ip_fd(int fd);
/* The same of any number, if it has some. */
struct ip_fd *ip_fd_if_any(int fd);
/* For a descriptor that was just made: forgets what its number stood for, and keeps its identity. */
void ip_fd_opened(int fd, const struct ip_wire_File *file);
/* The program made a stream of it. */
void ip_fd_streamed(int fd);
/* Before it is closed or replaced: reports what was not yet. */
void ip_fd_closing(const char *function, int fd);
/* After another file took its number: reports what was not yet, as the former file's. */
void ip_fd_replaced(const char *function, int fd);
/* Another process may have changed what any descriptor is, so all are asked anew. What they counted is to be reported before. */
void ip_fds_forget(void);
/* In a forked child: forgets the parent's private counters. */
void ip_fds_drop(void);
/* After a restore: what the private counters' descriptors are is asked anew. */
void ip_fds_restored(void);
/* Before the process's image ends: reports all descriptors. */
void ip_fds_flush(const char *function);
/* Now, for a write that is about to be reported: what it writes may be read by others before it has returned. */
uint64_t ip_write_begins(void);
/* The slow path: the first read, the first write, a write after new input. */
void ip_io_changed(const struct ip_call_io *call, struct ip_fd *entry);
/* A vfork child has no counters of its own, nor has a descriptor beyond all tables: each call is reported. */
void ip_io_borrowed(const struct ip_call_io *call);
/* Of a file that is no descriptor of the program's; -1 for the direction that it is not. A `time` of 0 is now. */
void ip_io_of_file(const char *function, const struct ip_wire_File *file, long read, long written, uint64_t time);

static inline int ip_write_is_news(const struct ip_fd *entry)
{
    return IP_RARE(!(entry->state & IP_FD_WRITTEN) ||
                   entry->epoch != atomic_load_explicit(&ip_state.reads, memory_order_relaxed)) ||
           ip_level_is_calls();
}

/* Whether a write to a number without counters, should it succeed, is one that they begin with. */
int ip_write_is_first(int fd);

static inline void ip_before_io(struct ip_call_io *call)
{
    const struct ip_fd *entry = call->written < 0 || ip_is_borrower() ? NULL : ip_fd_if_any(call->fd);

    if (IP_RARE(!entry) ? call->written >= 0 && ip_write_is_first(call->fd) : ip_write_is_news(entry))
        call->began = ip_write_begins();
}

static inline void ip_after_io(const struct ip_call_io *call)
{
    struct ip_fd *entry;

    if (IP_RARE(call->read < 0 && call->written < 0))
        return; /* it failed */
    entry = ip_is_borrower() ? NULL : ip_fd(call->fd);
    if (IP_RARE(!entry)) {
        if (call->fd >= 0 && (ip_is_borrower() || ip_home_if_any()))
            ip_io_borrowed(call);
        return;
    }
    if (call->read >= 0) {
        __atomic_fetch_add(&entry->bytes_read, (uint64_t)call->read, __ATOMIC_RELAXED);
        __atomic_fetch_add(&entry->reads, 1, __ATOMIC_RELAXED);
        if (IP_RARE(!(entry->state & IP_FD_READ)) || ip_level_is_calls())
            ip_io_changed(call, entry);
    }
    if (call->written >= 0) {
        __atomic_fetch_add(&entry->bytes_written, (uint64_t)call->written, __ATOMIC_RELAXED);
        __atomic_fetch_add(&entry->writes, 1, __ATOMIC_RELAXED);
        if (ip_write_is_news(entry))
            ip_io_changed(call, entry);
    }
}

#endif
