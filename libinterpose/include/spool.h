/* The spool: the directory that a sidecar and the processes it captures share, and the layout of its files.
 *
 *   control       one page, written by the sidecar, mapped by every process: settings, the next free journal
 *   segment-%08x  journals_per_segment journals of journal_size bytes each, allocated in full before use
 *
 * A process claims a journal by incrementing control->next_journal, locks one byte of it (an open file description
 * lock, which lives exactly as long as the mapping) and appends. Journal n is number n % journals_per_segment of
 * segment n / journals_per_segment. Nothing is ever used twice: the sidecar removes a segment when all its journals
 * were claimed, their owners are gone and their events are committed. A journal that was claimed and never locked is
 * locked by the sidecar before that, so that a late owner claims another.
 *
 * A process that is restored from a checkpoint finds its mappings again, but not its locks: the files under the mappings
 * may be another spool's, or their journals may have been read to their end. So each process marks its journals, looks
 * for its mark before it appends and again before a record counts, and the sidecar removes the mark before it reads a
 * journal for the last time.
 *
 * sidecar/interpose/sidecar/spool.py is the other reader of this layout; tests/unit/test_layout.py holds the two together.
 */
#ifndef IP_SPOOL_H
#define IP_SPOOL_H

#include <stdint.h>

#define IP_CONTROL_MAGIC UINT64_C(0x314c4f4f50535049) /* "IPSPOOL1" */
#define IP_JOURNAL_MAGIC UINT64_C(0x314c4e524a505049) /* "IPPJRNL1" */
#define IP_SPOOL_VERSION 2
#define IP_SEGMENT_MAX (UINT64_C(256) << 20) /* bytes; a control page that asks for more is not one */

enum ip_level { IP_LEVEL_SUMMARY = 0, IP_LEVEL_CALLS = 1 };
/* Which variables of the environment are told of without their values. */
enum ip_redaction { IP_REDACT_SECRETS = 0, IP_REDACT_ALL = 1 };

struct ip_control {
    uint64_t magic;
    uint32_t version;
    uint32_t level;                /* enum ip_level */
    uint32_t journal_size;         /* bytes, a multiple of 64 KiB */
    uint32_t journals_per_segment;
    uint64_t quota;                /* journals that may be claimed and not yet released */
    uint8_t id[16];                /* of this spool, so that journals of two spools are never mixed */
    uint64_t redaction;            /* enum ip_redaction */
    uint64_t reserved[9];
    /* written by the processes, on a cache line of its own */
    uint64_t next_journal;         /* atomic */
    uint64_t lost_processes[8];    /* atomic; processes that got no journal, by Gap.Cause */
    uint64_t unstarted[2];         /* atomic; processes that were let go at their start, by IP_UNSTARTED_* - 1 */
    uint64_t reserved2[5];
    /* written by the sidecar */
    uint64_t released;             /* atomic; how many journals are gone */
    uint64_t heartbeat;            /* atomic; CLOCK_BOOTTIME of the sidecar's last look, nanoseconds */
};
_Static_assert(sizeof(struct ip_control) == 272, "layout shared with the sidecar");

/* Behind it on the page: the last processes that could not be recorded at all, in turn. */
struct ip_unstarted {
    uint64_t time;                 /* CLOCK_BOOTTIME */
    uint64_t start_time;           /* of the process, as in ip_journal; 0 if it is not known, as the next */
    uint64_t pid_namespace;
    uint32_t pid;
    uint32_t cause;                /* IP_UNSTARTED_* */
    char program[96];              /* what was executed, cut short; it need not end with a zero */
};
_Static_assert(sizeof(struct ip_unstarted) == 128, "layout shared with the sidecar");

#define IP_UNSTARTED_REFUSED 1u    /* the kernel refused what there is no start without */
#define IP_UNSTARTED_MEMORY 2u     /* there was no memory to be had */
#define IP_UNSTARTED_OFFSET 320u
#define IP_UNSTARTED_KEPT 9u
/* And, for the processes alone: */
#define IP_PROGRAMS_OFFSET 1536u
#define IP_PROGRAMS 160u           /* words that name program files into which the library was found to be loaded; 0: none */
_Static_assert(IP_UNSTARTED_OFFSET >= sizeof(struct ip_control) && IP_UNSTARTED_OFFSET + IP_UNSTARTED_KEPT * 128 <= IP_PROGRAMS_OFFSET,
               "each has its own place");
#define IP_VERDICTS_OFFSET 2816u   /* what was found of objects: a hash of each one's build-id, with the finding in the lowest two bits */
#define IP_VERDICT_GROUPS 20u
#define IP_VERDICTS_OF_A_GROUP 16u
_Static_assert(IP_PROGRAMS_OFFSET + IP_PROGRAMS * 8 <= IP_VERDICTS_OFFSET, "one ends before the other");
_Static_assert(IP_VERDICTS_OFFSET + IP_VERDICT_GROUPS * IP_VERDICTS_OF_A_GROUP * 4 <= 4096, "all of it is on the control page");

enum ip_journal_kind {
    IP_JOURNAL_HOME = 1,           /* a process's first: descriptors and events */
    IP_JOURNAL_CONTINUED = 2,      /* events only */
};

/* One descriptor's counters, in shared memory so that SIGKILL loses none. What it moved and no Io has told is what it
 * moved in all less what is reported, or less what is being told if the record that tells it is an EVENT. */
struct ip_fd {
    uint64_t device;
    uint64_t inode;
    uint64_t birth_time;
    uint64_t bytes_read;           /* atomic, as the next three; all four only grow, whatever file the number stands for */
    uint64_t bytes_written;
    uint32_t reads;
    uint32_t writes;
    uint32_t state;                /* IP_FD_* */
    uint32_t epoch;                /* of the process's reads when this descriptor's last write was reported */
    uint32_t mode;                 /* st_mode: type and permissions */
    uint32_t reserved;
    /* a cache line that only reports touch */
    uint64_t reported_bytes_read;
    uint64_t reported_bytes_written;
    uint32_t reported_reads;
    uint32_t reported_writes;
    uint64_t telling_bytes_read;
    uint64_t telling_bytes_written;
    uint32_t telling_reads;
    uint32_t telling_writes;
    uint64_t record;               /* atomic; the record that is telling: IP_RECORD_*; 0 if none is */
    uint64_t waiting;              /* atomic; since when a report waits for the one that is under way, 0 if none does */
};
_Static_assert(sizeof(struct ip_fd) == 128, "layout shared with the sidecar");

/* Who reports a descriptor holds its `record`: first by its thread, and from the moment that the record is whole by the
 * record's name. */
#define IP_RECORD_HELD 1u
#define IP_RECORD_HOLDER(thread) ((uint64_t)(thread) << 3 | IP_RECORD_HELD)
#define IP_RECORD_POSITION_BITS 28
#define IP_RECORD_NAME(number, position) (((uint64_t)(number) + 1) << IP_RECORD_POSITION_BITS | (position))
_Static_assert(IP_SEGMENT_MAX <= UINT64_C(1) << IP_RECORD_POSITION_BITS, "every position in a journal has a name");

#define IP_FD_KNOWN 1u             /* device, inode, birth_time and mode are of this descriptor */
#define IP_FD_READ 2u              /* a read was reported */
#define IP_FD_WRITTEN 4u           /* a write was reported */
#define IP_FD_STREAM 8u            /* the program has made a stream of it (fdopen) */
#define IP_FD_INTERNAL 16u         /* of a stream that libc opened for itself */

struct ip_journal {
    uint64_t magic;                /* written last */
    uint32_t kind;                 /* enum ip_journal_kind */
    uint32_t pid;
    uint64_t start_time;           /* of the process, nanoseconds after boot */
    uint32_t fds_offset;           /* bytes from here; 0 if this journal has none */
    uint32_t fds_count;
    uint32_t events_offset;        /* bytes from here, a multiple of 8 */
    uint32_t events_size;          /* bytes, a multiple of 8 */
    uint64_t number;
    uint64_t tail;                 /* atomic; a hint: no free byte of the events is below */
    uint64_t acknowledged;         /* atomic; what the sidecar has acknowledged to this process */
    /* events that this process could not record, until a Gap record says so */
    uint64_t lost_events;          /* atomic, as the next three */
    uint64_t lost_first;
    uint64_t lost_last;
    uint64_t lost_cause;           /* Gap.Cause of the last one */
    uint64_t owner;                /* atomic; tells the process that claimed it from others; 0: the sidecar has given it up */
    uint64_t reserved[19];
};
_Static_assert(sizeof(struct ip_journal) == 256, "layout shared with the sidecar");

#define IP_FDS_OFFSET 256u
#define IP_FDS_COUNT 124u
#define IP_EVENTS_OFFSET 16384u    /* of a home journal */
_Static_assert(IP_FDS_OFFSET + IP_FDS_COUNT * sizeof(struct ip_fd) <= IP_EVENTS_OFFSET, "descriptors end before events");
#define IP_EVENTS_OFFSET_CONTINUED 256u

/* A record starts on a multiple of 8 with one word that is written in a single store: the field's tag and, as a
 * protobuf varint padded to four bytes, the length of what follows those five bytes. Zero: nothing here yet. It is
 * claimed as UNFINISHED and becomes an EVENT, by a store of its first byte, when all of it stands. All three are
 * fields of interpose.v1.Batch, so that any byte range that starts and ends between records is a valid message. */
#define IP_RECORD_HEAD 5u
#define IP_TAG_EVENT 0x0au         /* Batch.events */
#define IP_TAG_UNFINISHED 0x72u    /* Batch.unfinished */
#define IP_TAG_SEALED 0x6au        /* Batch.sealed: nothing follows in this journal */

#endif
