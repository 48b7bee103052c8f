#include "stream.h"

#include "grpc.h"
#include "journal.h"
#include "memory.h"
#include "syscall.h"

#define SETTLED_NS 500000000u      /* a process that lives shorter leaves its journal to be collected */
#define PERIOD_NS 250000000u
#define ENOUGH 16384u              /* bytes that are sent before the period is over */
#define POLLS 8

static struct ip_grpc grpc;
static _Atomic int busy;
static _Atomic int restored;       /* whether `grpc` and what follows are of a former life */
static _Atomic uint64_t sent_at;
static uint64_t number;            /* of the journal that `sent` is about */
static uint64_t sent;

static const uint8_t *events_of(const struct ip_journal *journal)
{
    return (const uint8_t *)journal + journal->events_offset;
}

static uint64_t size_of_record(const uint8_t *head)
{
    return IP_RECORD_HEAD + (uint64_t)((head[1] & 0x7f) | (head[2] & 0x7f) << 7 | (head[3] & 0x7f) << 14 | (head[4] & 0x7f) << 21);
}

/* Up to the first record that is not finished. */
static uint64_t finished_from(const struct ip_journal *journal, uint64_t position)
{
    const uint8_t *events = events_of(journal);

    while (position + 8 <= journal->events_size && __atomic_load_n(events + position, __ATOMIC_ACQUIRE) == IP_TAG_EVENT)
        position += size_of_record(events + position);
    return position;
}

static void push(struct ip_journal *journal, uint64_t now)
{
    char path[IP_SPOOL_PATH_MAX + 16];
    const char *end = path + sizeof path;
    struct ip_grpc_acknowledgement acknowledgement;

    if (atomic_exchange(&restored, 0)) {
        ip_grpc_abandon(&grpc);
        number = sent = 0;
    }
    if (number != journal->number) {
        number = journal->number;
        sent = 0; /* the sidecar skips what it has */
    }
    struct ip_grpc_range range = {number, events_of(journal), sent, finished_from(journal, sent)};
    if (ip_append(ip_append(path, end, ip_state.spool), end, "/capture.sock"))
        sent = ip_grpc_push(&grpc, path, now, &range);
    for (int i = 0; i < POLLS && ip_grpc_poll(&grpc, now, &acknowledgement); i++)
        if (acknowledgement.journal == journal->number)
            __atomic_store_n(&journal->acknowledged, acknowledgement.offset, __ATOMIC_RELAXED);
}

static int is_time(const struct ip_journal *journal, uint64_t now)
{
    uint64_t waiting = __atomic_load_n(&journal->tail, __ATOMIC_RELAXED) - (number == journal->number ? sent : 0);

    return waiting >= ENOUGH || now - atomic_load_explicit(&sent_at, memory_order_relaxed) >= PERIOD_NS;
}

/* Sends what is there, if it is time. The journal that is current is streamed; what remains in a full one is collected. */
void ip_stream_flush(uint64_t now)
{
    if (ip_is_borrower() || now - ip_state.began < SETTLED_NS || ip_valgrind)
        return; /* valgrind lists what a program left open */
    /* The journal may not be unmapped while it is being looked at. */
    atomic_fetch_add(&ip_state.appending, 1);
    struct ip_journal *journal = atomic_load(&ip_state.current);
    if (journal && ip_is_ours(journal) && is_time(journal, now) && !atomic_exchange(&busy, 1)) {
        atomic_store(&sent_at, now);
        push(journal, now);
        atomic_store(&busy, 0);
    }
    atomic_fetch_sub(&ip_state.appending, 1);
}

void ip_stream_closing(int fd)
{
    /* What the program closes then is no descriptor, as it would be without us. A thread that is sending finds out by itself. */
    if (fd < 0 || ip_grpc_fd(&grpc) != fd || atomic_exchange(&busy, 1))
        return;
    ip_grpc_close(&grpc);
    atomic_store(&busy, 0);
}

void ip_stream_restored(void)
{
    atomic_store(&sent_at, 0);
    atomic_store(&restored, 1);
}

void ip_stream_forget(void)
{
    ip_grpc_close(&grpc);
    number = 0;
    sent = 0;
    atomic_store(&busy, 0);
}
