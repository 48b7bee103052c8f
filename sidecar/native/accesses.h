/* What the events of a journal say that images did to files.
 *
 * Most events say nothing else, or nothing that leaves a row: those are read here, and the caller is told of the others. The
 * memory is the caller's, for this and for what it reads; interpose.sidecar.accesses knows the layout. */
#ifndef IP_ACCESSES_H
#define IP_ACCESSES_H

#include "protobuf.h"

#define IP_EFFECTS 128 /* more than the largest number of an effect in Event */
#define IP_MOST_ACCESSES 2048
#define IP_MOST_FILES 1024
#define IP_MOST_NAMES 1024
#define IP_MOST_TEXT (1 << 16)
#define IP_LONGEST_NAME 2600 /* bytes; PostgreSQL keeps no longer ones in an index */

enum ip_access_kind {
    IP_ACCESS_OPEN,
    IP_ACCESS_READ,
    IP_ACCESS_WRITE,
    IP_ACCESS_LOAD,
    IP_ACCESS_CONSULT,
    IP_ACCESS_CREATE,
    IP_ACCESS_TRUNCATE,
    IP_ACCESS_REMOVE,
    IP_ACCESS_METADATA,
};

enum ip_stop {
    IP_STOP_END,       /* everything is read */
    IP_STOP_FULL,      /* there is no room for more: take everything, ip_forget(), and read on */
    IP_STOP_EVENT,     /* an effect of which the caller wants to know */
    IP_STOP_BORROWED,  /* an event of another process than the journal's: ip_read_borrowed() reads it as the others */
    IP_STOP_MALFORMED, /* a record that holds no event; it counts as a gap at the time of the event before */
    IP_STOP_NOBODY,    /* an event that is no Origin, and whose accesses are read is not known: find it out, and begin again */
};

struct ip_accesses {
    /* Given by the caller. */
    const uint8_t *records; /* whole ones, as in interpose.v1.Batch */
    uint64_t size;
    int64_t shift;              /* what to add to events' times to get nanoseconds since 1970, until an Origin says it */
    uint8_t wanted[IP_EFFECTS]; /* by effect, whether the caller wants to know */
    int64_t image;              /* whose accesses are read: goes to access_image; 0 as long as it is not known */

    uint64_t at; /* where the next record begins */

    /* The event at which reading stands. */
    uint64_t event_at, event_size; /* its body */
    int64_t event_time;            /* nanoseconds since 1970 */
    uint64_t boot_time;            /* as it says itself */
    int64_t effect;                /* 0 for none that is known */

    /* Of all events since the beginning: how many, the earliest and the latest time, and the earliest that is not borrowed. */
    uint64_t events;
    int64_t first, last, own;

    /* The rest grows until the caller has taken it. */
    uint64_t effects[IP_EFFECTS]; /* events by effect */
    uint64_t long_names;          /* names that are left out */

    uint64_t access_count;
    int64_t access_image[IP_MOST_ACCESSES];
    int64_t access_file[IP_MOST_ACCESSES]; /* index of a file */
    int64_t access_time[IP_MOST_ACCESSES];
    int64_t access_kind[IP_MOST_ACCESSES];
    int64_t access_amount[IP_MOST_ACCESSES];   /* bytes */
    int64_t access_size[IP_MOST_ACCESSES];     /* of the file, bytes */
    int64_t access_modified[IP_MOST_ACCESSES]; /* nanoseconds since 1970, 0: neither is known */

    uint64_t file_count;
    uint64_t file_device[IP_MOST_FILES];
    uint64_t file_inode[IP_MOST_FILES];
    uint64_t file_birth_time[IP_MOST_FILES];
    uint64_t file_mode[IP_MOST_FILES]; /* S_IFMT of it: one whose type is told later is another */

    uint64_t name_count;
    int64_t name_file[IP_MOST_NAMES];                            /* index of a file */
    int64_t name_first[IP_MOST_NAMES], name_last[IP_MOST_NAMES]; /* when it was seen under this name */
    int64_t name_at[IP_MOST_NAMES];                              /* where in `text` the base stands, the path behind it */
    int64_t name_base[IP_MOST_NAMES], name_path[IP_MOST_NAMES];  /* their sizes; an absolute path has no base */
    uint64_t text_size;
    uint8_t text[IP_MOST_TEXT];

    /* For finding them again: 1 + index, 0 where there is none. */
    uint16_t files[2 * IP_MOST_FILES];
    uint16_t names[2 * IP_MOST_NAMES];
};

/* Begins with other records, which the caller has set. */
void ip_begin(struct ip_accesses *reading);
/* Whether an Origin follows, of the journal's own process; it is then where reading stands. Adds nothing. */
int ip_find_origin(struct ip_accesses *reading);
/* Reads on, and says why it stopped. */
int ip_read_on(struct ip_accesses *reading);
/* After IP_STOP_BORROWED: adds what that event says. */
void ip_read_borrowed(struct ip_accesses *reading);
/* Forgets files and names: what comes gets indexes from 0 on. Accesses must be taken before. */
void ip_forget(struct ip_accesses *reading);

#endif
