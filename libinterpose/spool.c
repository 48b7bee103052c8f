/* The spool: finding it beside the library, and claiming journals in it. include/spool.h has its layout. */
#include <linux/errno.h>
#include <linux/mman.h>

#include "brief.h"
#include "clock.h"
#include "journal.h"
#include "place.h"
#include "reserve.h"
#include "syscall.h"
#include "unstarted.h"

#define TRIES 16

static void keep_id(const struct ip_control *control)
{
    memcpy(&ip_state.spool_id, control->id, sizeof ip_state.spool_id);
    ip_state.redaction = control->redaction;
}

/* Every user of the container can write the page: each value is read once, and what was checked is what is used from then on.
 * Returns whether the page is one. */
static int keep_settings(const struct ip_control *control)
{
    uint32_t size = __atomic_load_n(&control->journal_size, __ATOMIC_RELAXED);
    uint32_t count = __atomic_load_n(&control->journals_per_segment, __ATOMIC_RELAXED);

    if (control->magic != IP_CONTROL_MAGIC || control->version != IP_SPOOL_VERSION || size < 65536 || size % 65536 || !count ||
        (uint64_t)size * count > IP_SEGMENT_MAX)
        return 0;
    ip_state.journal_size = size;
    ip_state.journals_per_segment = count;
    keep_id(control);
    return 1;
}

int ip_spool_open(const char *program)
{
    char path[IP_SPOOL_PATH_MAX + 32];
    const char *end = path + sizeof path;
    struct ip_control *control;

    if (!ip_append(ip_append(path, end, ip_state.spool), end, "/control"))
        return -1;
    int fd = ip_brief_open(AT_FDCWD, path, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0)
        return -1;
    control = ip_map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    /* Without statx nothing can be told of any file. */
    struct statx status;
    char last;
    int refused = ip_sys_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status);
    int whole = refused ? ip_sys_pread(fd, &last, 1, 4095) == 1 : status.stx_size >= 4096;
    int error = refused ? refused : ip_is_error(control) ? (int)(long)control : 0;
    if (error && whole)
        ip_unstarted(control, fd, error, program);
    ip_brief_close(fd);
    if (!error && whole && keep_settings(control)) {
        ip_state.control = control;
        return 0;
    }
    if (!ip_is_error(control))
        ip_sys_munmap(control, 4096);
    return -1;
}

int ip_spool_reopen(int *same)
{
    const struct ip_control *control = ip_state.control;

    *same = !memcmp(&ip_state.spool_id, control->id, sizeof ip_state.spool_id);
    if (*same)
        return 0;
    if (control->magic != IP_CONTROL_MAGIC || control->version != IP_SPOOL_VERSION ||
        control->journal_size != ip_state.journal_size || control->journals_per_segment != ip_state.journals_per_segment)
        return -1;
    keep_id(control);
    return 0;
}

static char *segment_path(char *path, const char *end, uint64_t segment)
{
    return ip_append_number(ip_append(ip_append(path, end, ip_state.spool), end, "/segment-"), end, segment, 16, 8);
}

/* Beyond the program's limit on file sizes the kernel sends SIGXFSZ: setrlimit(2). */
static int exceeds_limit(long size)
{
    uint64_t limit[2];

    return !ip_syscall(__NR_prlimit64, 0, 1 /* RLIMIT_FSIZE */, 0, (long)limit, 0, 0) && (uint64_t)size > limit[0];
}

/* The sidecar keeps segments ahead; where it does not, the process makes one itself. It gets its name when it is whole, so
 * nobody maps a page that has no block behind it: a store there would end the program with SIGBUS on a full disk. */
static int make_segment(const char *path, uint64_t segment)
{
    char draft[IP_SPOOL_PATH_MAX + 64];
    const char *end = draft + sizeof draft;
    char *at = ip_append_number(ip_append(ip_append(draft, end, ip_state.spool), end, "/.draft-"), end, segment, 16, 8);
    long size = (long)ip_state.journal_size * ip_state.journals_per_segment;

    at = ip_append_number(ip_append(at, end, "-"), end, (uint64_t)ip_sys_gettid(), 10, 1);
    at = ip_append_number(ip_append(at, end, "-"), end, ip_now(), 10, 1); /* a signal handler may be here a second time */
    if (!at)
        return -ENAMETOOLONG;
    if (exceeds_limit(size))
        return -EFBIG;
    int fd = ip_brief_open(AT_FDCWD, draft, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    /* Other users' processes of the container append too; the umask must not keep them out. */
    ip_syscall(__NR_fchmod, fd, 0666, 0, 0, 0, 0);
    int result = ip_sys_fallocate(fd, 0, 0, size);
    ip_brief_close(fd);
    if (!result)
        result = (int)ip_syscall(__NR_linkat, AT_FDCWD, (long)draft, AT_FDCWD, (long)path, 0, 0);
    ip_syscall(__NR_unlinkat, AT_FDCWD, (long)draft, 0, 0, 0, 0);
    return result == -EEXIST ? 0 : result;
}

static int open_segment(uint64_t segment)
{
    char path[IP_SPOOL_PATH_MAX + 32];

    if (!segment_path(path, path + sizeof path, segment))
        return -ENAMETOOLONG;
    for (int tries = 0;; tries++) {
        int fd = ip_brief_open(AT_FDCWD, path, O_RDWR | O_NOFOLLOW, 0);
        if (fd != -ENOENT || tries == 2)
            return fd;
        int made = make_segment(path, segment);
        if (made < 0)
            return made;
    }
}

/* The lock lives as long as the mapping that follows it, whatever happens to the descriptor: fcntl(2), "Open file
 * description locks". Who cannot have it came too late: the sidecar has given the journal up. */
static int lock_journal(int fd, long start)
{
    struct {
        short type, whence;
        long start, length;
        int pid;
    } lock = {1 /* F_WRLCK */, 0 /* SEEK_SET */, start, 1, 0};
    struct statx status;

    int result = ip_sys_fcntl(fd, 37 /* F_OFD_SETLK */, (long)&lock);
    if (result < 0)
        return result == -EACCES ? -EAGAIN : result; /* fcntl(2) allows either */
    result = ip_sys_statx(fd, "", AT_EMPTY_PATH, STATX_NLINK | STATX_SIZE, &status);
    if (result < 0)
        return result;
    return status.stx_nlink && (long)status.stx_size >= start + (long)ip_state.journal_size ? 0 : -ESTALE;
}

static struct ip_journal *map_journal(uint64_t number, int *error)
{
    long start = (long)(number % ip_state.journals_per_segment) * ip_state.journal_size;
    struct ip_journal *journal;
    int fd = open_segment(number / ip_state.journals_per_segment);

    *error = fd;
    if (fd < 0)
        return NULL;
    *error = lock_journal(fd, start);
    if (*error < 0) {
        ip_brief_close(fd);
        return NULL;
    }
    journal = ip_map(ip_state.journal_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
    ip_brief_close(fd);
    if (!ip_is_error(journal))
        return journal;
    *error = (int)(long)journal;
    return NULL;
}

static void fill_header(struct ip_journal *journal, enum ip_journal_kind kind, uint64_t number)
{
    journal->kind = (uint32_t)kind;
    journal->pid = ip_state.pid;
    journal->start_time = ip_state.start_time;
    journal->fds_offset = kind == IP_JOURNAL_HOME ? IP_FDS_OFFSET : 0;
    journal->fds_count = kind == IP_JOURNAL_HOME ? IP_FDS_COUNT : 0;
    journal->events_offset = kind == IP_JOURNAL_HOME ? IP_EVENTS_OFFSET : IP_EVENTS_OFFSET_CONTINUED;
    journal->events_size = ip_state.journal_size - journal->events_offset;
    journal->number = number;
    __atomic_store_n(&journal->owner, atomic_load(&ip_state.owner), __ATOMIC_RELAXED);
    __atomic_store_n(&journal->magic, IP_JOURNAL_MAGIC, __ATOMIC_RELEASE);
}

/* Journals that may be claimed. */
uint64_t ip_spool_free(void)
{
    const struct ip_control *control = ip_state.control;
    uint64_t used = __atomic_load_n(&control->next_journal, __ATOMIC_RELAXED) - __atomic_load_n(&control->released, __ATOMIC_RELAXED);

    return used < control->quota ? control->quota - used : 0;
}

struct ip_journal *ip_spool_map_next(uint64_t *number)
{
    int error;

    *number = __atomic_fetch_add(&ip_state.control->next_journal, 1, __ATOMIC_RELAXED);
    return map_journal(*number, &error);
}

/* By opening it, as the new program will: access(2) goes by other ids, and what Landlock forbids is no matter to it. */
int ip_spool_is_in_reach(void)
{
    char path[IP_SPOOL_PATH_MAX + 32];
    const char *end = path + sizeof path;

    if (!ip_append(ip_append(path, end, ip_state.spool), end, "/control"))
        return 0;
    int fd = ip_brief_open(AT_FDCWD, path, O_RDWR | O_NOFOLLOW, 0);
    if (fd >= 0)
        ip_brief_close(fd);
    return fd >= 0 || ((fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM) &&
                       !ip_syscall(__NR_faccessat, AT_FDCWD, (long)path, 6 /* R_OK | W_OK */, 0, 0, 0));
}

static struct ip_journal *take_from_reserve(enum ip_journal_kind kind)
{
    uint64_t number;
    struct ip_journal *journal = ip_reserve_take(&number);

    if (journal)
        fill_header(journal, kind, number);
    return journal;
}

struct ip_journal *ip_spool_claim(enum ip_journal_kind kind, enum ip_wire_Gap_Cause *cause)
{
    *cause = IP_GAP_CAUSE_CAUSE_SPOOL;
    /* Who is known not to reach it must not go on taking numbers that nobody uses. */
    if (ip_state.cut_off && !ip_spool_is_in_reach())
        return take_from_reserve(kind);
    for (int tries = 0; tries < TRIES; tries++) {
        if (!ip_spool_free()) {
            *cause = IP_GAP_CAUSE_CAUSE_QUOTA;
            return NULL;
        }
        int error;
        uint64_t number = __atomic_fetch_add(&ip_state.control->next_journal, 1, __ATOMIC_RELAXED);
        struct ip_journal *journal = map_journal(number, &error);
        if (journal) {
            fill_header(journal, kind, number);
            return journal;
        }
        if (error == -ENOSPC || error == -EDQUOT)
            *cause = IP_GAP_CAUSE_CAUSE_DISK_FULL;
        if (error != -EAGAIN && error != -ESTALE) {
            ip_state.cut_off = 1;
            return take_from_reserve(kind);
        }
    }
    return NULL;
}

void ip_spool_unmap(struct ip_journal *journal)
{
    if (journal)
        ip_sys_munmap(journal, ip_state.journal_size);
}
