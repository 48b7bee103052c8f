/* The append-only event area. Lock-free: threads, signal handlers and a death at any instruction leave it readable. */
#include "journal.h"

#include <linux/mman.h>

#include "clock.h"
#include "reserve.h"
#include "stack.h"
#include "stream.h"
#include "syscall.h"
#include "unseen.h"

#define RETRY_NS 100000000u

static _Atomic uint64_t *record_word(struct ip_journal *journal, uint64_t position)
{
    return (_Atomic uint64_t *)((uint8_t *)journal + journal->events_offset + position);
}

/* The first word of a record of `size` bytes: its tag, and what follows as a varint of four bytes. */
static uint64_t record_head(uint64_t tag, uint64_t size)
{
    uint64_t length = size - IP_RECORD_HEAD;

    return tag | (length & 0x7f) << 8 | (length & 0x3f80) << 9 | (length & 0x1fc000) << 10 | (length & 0xfe00000) << 11 |
           UINT64_C(0x0080808000);
}

static uint64_t record_size(uint64_t head)
{
    return ((head >> 8 & 0x7f) | (head >> 9 & 0x3f80) | (head >> 10 & 0x1fc000) | (head >> 11 & 0xfe00000)) + IP_RECORD_HEAD;
}

static void raise_tail(struct ip_journal *journal, uint64_t tail)
{
    uint64_t seen = __atomic_load_n(&journal->tail, __ATOMIC_RELAXED);

    while (seen < tail && !__atomic_compare_exchange_n(&journal->tail, &seen, tail, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

/* Claims `size` bytes by one compare-and-swap that says whose they are. Returns their position, or -1 if the journal is full
 * (and then sealed). */
static int64_t claim_record(struct ip_journal *journal, uint64_t size)
{
    uint64_t position = __atomic_load_n(&journal->tail, __ATOMIC_ACQUIRE);

    while (position < journal->events_size) {
        int fits = position + size <= journal->events_size;
        uint64_t room = journal->events_size - position;
        uint64_t found = 0;
        uint64_t head = fits ? record_head(IP_TAG_UNFINISHED, size) : record_head(IP_TAG_SEALED, room);
        if (atomic_compare_exchange_strong(record_word(journal, position), &found, head)) {
            raise_tail(journal, position + (fits ? size : room));
            return fits ? (int64_t)position : -1;
        }
        position += record_size(found);
        raise_tail(journal, position);
    }
    return -1;
}

/* A Gap that finds no room itself stands for all that it was to tell of. */
static void count_lost(const struct ip_wire_Event *event, enum ip_wire_Gap_Cause cause)
{
    struct ip_journal *home = ip_home_if_any();
    int is_gap = event->effect == IP_EVENT_GAP;

    if (!home || !ip_is_ours(home))
        return; /* this process is counted in control->lost_processes */
    if (!__atomic_fetch_add(&home->lost_events, is_gap ? event->gap->events : 1, __ATOMIC_RELAXED) || is_gap)
        __atomic_store_n(&home->lost_first, is_gap ? event->gap->first : event->time, __ATOMIC_RELAXED);
    __atomic_store_n(&home->lost_last, event->time, __ATOMIC_RELAXED);
    __atomic_store_n(&home->lost_cause, cause, __ATOMIC_RELAXED);
}

void ip_count_skipped(void)
{
    struct ip_journal *home = ip_home_if_any();

    if (!home || !ip_is_ours(home))
        return;
    uint64_t now = ip_now();
    if (!__atomic_fetch_add(&home->lost_events, 1, __ATOMIC_RELAXED))
        __atomic_store_n(&home->lost_first, now, __ATOMIC_RELAXED);
    __atomic_store_n(&home->lost_last, now, __ATOMIC_RELAXED);
    __atomic_store_n(&home->lost_cause, IP_GAP_CAUSE_CAUSE_SPOOL, __ATOMIC_RELAXED);
}

/* The padding is a field of Event without meaning: a key of one byte and a varint of the rest. One byte alone cannot be
 * filled so, nine can. */
static uint64_t padded(uint64_t size)
{
    uint64_t total = (size + 7) & ~UINT64_C(7);

    return total - size == 1 ? total + 8 : total;
}

static void pad(struct ip_writer *writer)
{
    if (writer->at == writer->end)
        return;
    *writer->at++ = 15 << 3;
    while (writer->at + 1 < writer->end)
        *writer->at++ = 0x80;
    *writer->at++ = 0;
}

/* What was measured has changed meanwhile (another thread wrote into the arguments): one field of padding as a whole. */
static void blank(uint8_t *at, uint8_t *end)
{
    size_t length = (size_t)(end - at) - 5;
    const uint8_t head[5] = {0xfa, 0x07 /* field 127, bytes */, (uint8_t)(length | 0x80), (uint8_t)(length >> 7 | 0x80),
                             (uint8_t)(length >> 14)};

    memcpy(at, head, sizeof head);
    memset(at + sizeof head, 0, length);
}

/* Another report of the descriptor may have taken it from the holder meanwhile, and told all of it. */
static uint64_t name_record(const struct ip_journal *journal, uint64_t position, const struct ip_wire_Event *event, uint64_t *record)
{
    uint64_t name = IP_RECORD_NAME(journal->number, position), holder = IP_RECORD_HOLDER(event->thread);

    return __atomic_compare_exchange_n(record, &holder, name, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ? name : 0;
}

static int is_lent(const struct ip_journal *journal)
{
    return journal == ip_state.lent && __atomic_load_n(&journal->owner, __ATOMIC_RELAXED) == ip_state.lent_owner;
}

/* Returns whether the journal still is ours: then the record counts. `record` as for ip_append_io, or NULL; what it returns is in
 * `name`. */
static int encode(struct ip_journal *journal, uint64_t position, uint64_t total, uint64_t size, const struct ip_wire_Event *event,
                  uint64_t *record, uint64_t *name)
{
    uint8_t *start = (uint8_t *)record_word(journal, position);
    struct ip_writer writer = {start + IP_RECORD_HEAD, start + total, 0};

    *name = 0;
    ip_wire_put_Event(&writer, event);
    int whole = !writer.overflow && writer.at == start + IP_RECORD_HEAD + size;
    if (whole)
        pad(&writer);
    if (IP_RARE(!ip_is_ours(journal) && !is_lent(journal)))
        return 0;
    if (whole && record)
        *name = name_record(journal, position, event, record);
    if (!whole || (record && !*name))
        blank(start + IP_RECORD_HEAD, start + total);
    if (!whole)
        count_lost(event, IP_GAP_CAUSE_CAUSE_TOO_LARGE);
    __atomic_store_n(start, IP_TAG_EVENT, __ATOMIC_RELEASE);
    return 1;
}

/* Where there is no place any more it stays mapped. */
static void keep_retired(struct ip_journal *journal)
{
    for (int i = 0; i < IP_JOURNAL_MAPS; i++) {
        struct ip_journal *empty = NULL;
        if (atomic_compare_exchange_strong(&ip_state.retired[i], &empty, journal))
            return;
    }
}

/* Full journals are unmapped when nobody can be writing in them any more; a signal handler that never returned leaves `appending` up, and
 * then they stay mapped. They are taken first: what another thread retires from here on, a third may still be writing in. */
static void unmap_retired(void)
{
    struct ip_journal *taken[IP_JOURNAL_MAPS];

    for (int i = 0; i < IP_JOURNAL_MAPS; i++)
        taken[i] = atomic_exchange(&ip_state.retired[i], NULL);
    int alone = atomic_load(&ip_state.appending) == 1;
    for (int i = 0; i < IP_JOURNAL_MAPS; i++) {
        if (alone)
            ip_spool_unmap(taken[i]);
        else if (taken[i])
            keep_retired(taken[i]);
    }
}

static void retire(struct ip_journal *journal)
{
    unmap_retired();
    if (journal != ip_home_if_any() && ip_is_ours(journal))
        keep_retired(journal);
}

static void report_lost(struct ip_journal *home)
{
    struct ip_wire_Gap gap = {
        .events = __atomic_exchange_n(&home->lost_events, 0, __ATOMIC_RELAXED),
        .first = home->lost_first,
        .last = home->lost_last,
        .cause = (uint32_t)home->lost_cause,
    };
    struct ip_wire_Event event = ip_event("", 0);

    event.effect = IP_EVENT_GAP;
    event.gap = &gap;
    if (gap.events)
        ip_emit(&event);
}

/* After `full`, or where there is none yet. NULL if nothing can be claimed now. */
static struct ip_journal *next_journal(struct ip_journal *full)
{
    enum ip_wire_Gap_Cause cause;
    uint64_t now = ip_now();
    struct ip_journal *home = ip_home_if_any(), *expected = full;

    if (now < atomic_load(&ip_state.retry_at))
        return NULL;
    struct ip_journal *journal = ip_spool_claim(home ? IP_JOURNAL_CONTINUED : IP_JOURNAL_HOME, &cause);
    if (!journal) {
        /* Not again for a while: a full spool must not cost every call its system calls. */
        if (!home && !atomic_load(&ip_state.retry_at))
            __atomic_fetch_add(&ip_state.control->lost_processes[cause], 1, __ATOMIC_RELAXED);
        atomic_store(&ip_state.retry_at, now + RETRY_NS);
        if (home)
            __atomic_store_n(&home->lost_cause, cause, __ATOMIC_RELAXED);
        return NULL;
    }
    struct ip_journal *none = NULL;
    if (!home && !atomic_compare_exchange_strong(&ip_state.home, &none, journal)) {
        ip_spool_unmap(journal); /* another thread was faster; an empty journal harms nobody */
        journal = atomic_load(&ip_state.current);
        return journal ? journal : none; /* in which that thread is about to tell the Origin */
    }
    /* Before other threads can fill it, or nobody would know whose it is. */
    ip_append_origin(journal,
                     home ? IP_ORIGIN_REASON_REASON_CONTINUED : (enum ip_wire_Origin_Reason)ip_state.reason,
                     full ? full->number : home ? home->number : 0);
    while (!atomic_compare_exchange_strong(&ip_state.current, &expected, journal))
        if (expected) {
            if (home)
                ip_spool_unmap(journal); /* it says that it continues another, and nothing else */
            return expected;
        }
    if (full)
        retire(full);
    if (home)
        report_lost(home);
    else
        ip_unseen_forked();
    return journal;
}

/* Where to append after a journal that is not ours, now that it is known: there, another thread may have been here before. */
static struct ip_journal *journal_after_restore(void)
{
    if (!ip_start_restored())
        return NULL;
    struct ip_journal *journal = atomic_load(&ip_state.current);
    return journal ? journal : next_journal(NULL);
}

static void find_home(void *memory)
{
    struct ip_journal **home = memory;

    *home = (*home ? journal_after_restore() : next_journal(NULL)) ? ip_home_if_any() : NULL;
}

struct ip_journal *ip_home(void)
{
    struct ip_journal *home = ip_home_if_any();

    if (!home || !ip_is_ours(home))
        ip_with_stack(find_home, &home);
    return home && ip_is_ours(home) ? home : NULL;
}

struct ip_wire_Event ip_event(const char *function, int error)
{
    uint32_t borrower = ip_borrower();

    if (!borrower && !ip_thread.id)
        ip_thread.id = (uint32_t)ip_sys_gettid();
    return (struct ip_wire_Event){
        .time = ip_now(),
        .thread = borrower ? borrower : ip_thread.id,
        .function = ip_text(function),
        .error = error,
    };
}

int ip_append_to(struct ip_journal *journal, const struct ip_wire_Event *event)
{
    uint64_t size = ip_wire_size_Event(event);
    uint64_t total = padded(IP_RECORD_HEAD + size);
    int64_t position = claim_record(journal, total);
    uint64_t name;

    if (position >= 0)
        encode(journal, (uint64_t)position, total, size, event, NULL, &name);
    return position >= 0;
}

/* A process without a journal, which is counted as lost, tells its parent's what it does as far as there is room. */
static int append_lent(const struct ip_wire_Event *event)
{
    struct ip_wire_Process process = {.pid = ip_state.pid, .start_time = ip_state.start_time};
    struct ip_wire_Event told = *event;

    if (!ip_state.lent || !is_lent(ip_state.lent))
        return 0;
    if (!told.process)
        told.process = &process;
    return ip_append_to(ip_state.lent, &told);
}

static uint64_t append(const struct ip_wire_Event *event, uint64_t *record)
{
    uint64_t size = ip_wire_size_Event(event), name;
    uint64_t total = padded(IP_RECORD_HEAD + size);
    struct ip_journal *journal = atomic_load_explicit(&ip_state.current, memory_order_acquire);

    if (total > ip_state.journal_size - IP_EVENTS_OFFSET) {
        ip_home(); /* which counts it */
        count_lost(event, IP_GAP_CAUSE_CAUSE_TOO_LARGE);
        return 0;
    }
    for (;;) {
        if (IP_RARE(!journal))
            journal = next_journal(NULL);
        else if (IP_RARE(!ip_is_ours(journal)))
            journal = journal_after_restore();
        if (!journal)
            break;
        int64_t position = claim_record(journal, total);
        if (position >= 0 && encode(journal, (uint64_t)position, total, size, event, record, &name))
            return name;
        if (!ip_is_ours(journal))
            continue;
        journal = next_journal(journal);
        if (!journal)
            break;
    }
    struct ip_journal *home = ip_home_if_any();
    if (!home && append_lent(event))
        return 0;
    count_lost(event, home ? (enum ip_wire_Gap_Cause)home->lost_cause : IP_GAP_CAUSE_CAUSE_SPOOL);
    return 0;
}

void ip_append_quietly(const struct ip_wire_Event *event)
{
    atomic_fetch_add(&ip_state.appending, 1);
    struct ip_journal *journal = atomic_load(&ip_state.current);

    if (journal && ip_is_ours(journal) && !ip_append_to(journal, event))
        count_lost(event, IP_GAP_CAUSE_CAUSE_SPOOL);
    atomic_fetch_sub(&ip_state.appending, 1);
}

/* What is appended, and what it is called. */
struct appended {
    const struct ip_wire_Event *event;
    uint64_t *record;
    uint64_t name;
};

static uint64_t append_as(uint32_t borrower, const struct ip_wire_Event *event, uint64_t *record)
{
    struct ip_wire_Process process = {.pid = borrower, .start_time = ip_borrower_start()};
    struct ip_wire_Event borrowed = *event;

    borrowed.process = &process;
    return append(&borrowed, record);
}

static void append_here(void *memory)
{
    struct appended *appended = memory;
    const struct ip_wire_Event *event = appended->event;
    uint32_t borrower = event->process || event->effect == IP_EVENT_GAP ? 0 : ip_borrower();

    atomic_fetch_add(&ip_state.appending, 1);
    appended->name = borrower ? append_as(borrower, event, appended->record) : append(event, appended->record);
    atomic_fetch_sub(&ip_state.appending, 1);
}

uint64_t ip_append_io(const struct ip_wire_Event *event, uint64_t *record)
{
    struct appended appended = {event, record, 0};

    ip_with_stack(append_here, &appended);
    return appended.name;
}

void ip_append_event(const struct ip_wire_Event *event)
{
    ip_append_io(event, NULL);
}

static void emit_here(void *memory)
{
    const struct ip_wire_Event *event = memory;

    ip_append_event(event);
    ip_stream_flush(event->time);
}

void ip_emit(const struct ip_wire_Event *event)
{
    ip_with_stack(emit_here, (void *)event);
}

/* Other threads may be finishing a record there. In a spool that is not theirs they do so in memory of the process's own. */
static int leave(_Atomic(struct ip_journal *) *place, int same_spool)
{
    struct ip_journal *journal = atomic_load(place);

    if (!journal || ip_is_ours(journal) || !atomic_compare_exchange_strong(place, &journal, NULL))
        return 0;
    if (!same_spool)
        ip_sys_mmap(journal, ip_state.journal_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return 1;
}

int ip_journals_leave(int same_spool)
{
    leave(&ip_state.current, same_spool);
    atomic_store(&ip_state.retry_at, 0);
    return leave(&ip_state.home, same_spool);
}

/* In a child that cannot have a journal of its own. */
static int borrow(struct ip_journal *journal)
{
    if (!journal || ip_reserve_left() || ip_spool_is_in_reach())
        return 0;
    ip_state.lent = journal;
    ip_state.lent_owner = __atomic_load_n(&journal->owner, __ATOMIC_RELAXED);
    return 1;
}

void ip_journals_drop(void)
{
    struct ip_journal *home = atomic_exchange(&ip_state.home, NULL);
    struct ip_journal *current = atomic_exchange(&ip_state.current, NULL);
    int borrowed = borrow(current);

    if (current != home && !borrowed)
        ip_spool_unmap(current);
    if (current != home || !borrowed)
        ip_spool_unmap(home);
    for (int i = 0; i < IP_JOURNAL_MAPS; i++)
        ip_spool_unmap(atomic_exchange(&ip_state.retired[i], NULL));
    atomic_store(&ip_state.appending, 0);
    atomic_store(&ip_state.retry_at, 0);
}
