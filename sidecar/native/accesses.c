#include "accesses.h"

#include "export.h"
#include "fields.h"

#define FORMAT 0170000u /* of st_mode: the file's type */
#define CONNECTING 115  /* EINPROGRESS */
#define MOST_OF_ONE 2   /* accesses of an event */

_Static_assert(IP_LARGEST_EVENT_EFFECT < IP_EFFECTS, "accesses.h has too little room for effects");

struct event {
    struct ip_value own[IP_MOST_FIELDS];
    uint32_t effect;
    bool borrowed;
    /* The effect's, and those of its file and its name. */
    struct ip_value said[IP_MOST_FIELDS];
    struct ip_value file[IP_MOST_FIELDS];
    struct ip_value name[IP_MOST_FIELDS];
};

static struct ip_value *place(void *context, uint32_t message, uint32_t number, const struct ip_field *field)
{
    struct event *event = context;

    if (message == IP_MESSAGE_EVENT && (number < IP_SMALLEST_EVENT_EFFECT || number > IP_LARGEST_EVENT_EFFECT)) {
        event->borrowed |= number == IP_FIELD_EVENT_PROCESS;
        return NULL;
    }
    if (message == IP_MESSAGE_EVENT) {
        if (event->effect && event->effect != number) {
            memset(event->said, 0, sizeof event->said);
            memset(event->file, 0, sizeof event->file);
            memset(event->name, 0, sizeof event->name);
        }
        event->effect = number;
        return event->said;
    }
    switch (field->message) {
    case IP_MESSAGE_FILE:
        return event->file;
    case IP_MESSAGE_NAME:
        return event->name;
    }
    return NULL;
}

static bool read_event(struct event *event, const uint8_t *body, uint64_t size)
{
    struct ip_span bytes = {body, body + size};

    memset(event, 0, sizeof *event);
    return ip_read_message(bytes, IP_MESSAGE_EVENT, IP_MOST_NESTED, event->own, place, event);
}

static uint64_t mixed(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

static uint64_t mixed_bytes(uint64_t hash, const struct ip_value *value)
{
    const uint8_t *at = value->bytes;
    uint64_t left = value->number, word;

    for (; left >= 8; left -= 8, at += 8) {
        __builtin_memcpy(&word, at, 8);
        hash = mixed(hash, word);
    }
    for (word = left; left; left--)
        word = word << 8 | *at++;
    return mixed(hash, word);
}

/* The index of a file, which is added if it is new. One whose type is told later is another. */
static uint64_t file_index(struct ip_accesses *reading, const struct ip_value *file)
{
    const uint64_t mask = 2 * IP_MOST_FILES - 1;
    uint64_t device = file[IP_FIELD_FILE_DEVICE].number, inode = file[IP_FIELD_FILE_INODE].number;
    uint64_t birth_time = file[IP_FIELD_FILE_BIRTH_TIME].number, mode = file[IP_FIELD_FILE_MODE].number & FORMAT;
    uint64_t slot = mixed(mixed(mixed(device, inode), birth_time), mode) & mask;

    for (; reading->files[slot]; slot = (slot + 1) & mask) {
        uint64_t index = reading->files[slot] - 1u;
        if (reading->file_inode[index] == inode && reading->file_device[index] == device &&
            reading->file_birth_time[index] == birth_time && reading->file_mode[index] == mode)
            return index;
    }
    uint64_t index = reading->file_count++;
    reading->files[slot] = (uint16_t)(index + 1);
    reading->file_device[index] = device;
    reading->file_inode[index] = inode;
    reading->file_birth_time[index] = birth_time;
    reading->file_mode[index] = mode;
    return index;
}

static bool is_name(const struct ip_accesses *reading, uint64_t index, const struct ip_value *base,
                    const struct ip_value *path)
{
    const uint8_t *at = reading->text + reading->name_at[index];

    return (uint64_t)reading->name_base[index] == base->number && (uint64_t)reading->name_path[index] == path->number &&
           !memcmp(at + base->number, path->bytes, path->number) && !memcmp(at, base->bytes, base->number);
}

static void add_text(struct ip_accesses *reading, const struct ip_value *value)
{
    memcpy(reading->text + reading->text_size, value->bytes, value->number);
    reading->text_size += value->number;
}

/* The file was seen under the event's name. */
static void add_name(struct ip_accesses *reading, uint64_t file, const struct event *event)
{
    const uint64_t mask = 2 * IP_MOST_NAMES - 1;
    static const struct ip_value none = {0, (const uint8_t *)""};
    const struct ip_value *base = &event->name[IP_FIELD_NAME_BASE], *path = &event->name[IP_FIELD_NAME_PATH];
    int64_t time = reading->event_time;

    if (!path->number)
        path = &none;
    if (!base->number || (path->number && *path->bytes == '/'))
        base = &none;
    if (!base->number && !path->number)
        return;
    if (base->number > IP_LONGEST_NAME || path->number > IP_LONGEST_NAME - base->number) {
        reading->long_names++;
        return;
    }
    uint64_t slot = mixed_bytes(mixed_bytes(file, base), path) & mask;
    for (; reading->names[slot]; slot = (slot + 1) & mask) {
        uint64_t index = reading->names[slot] - 1u;
        if ((uint64_t)reading->name_file[index] != file || !is_name(reading, index, base, path))
            continue;
        if (time < reading->name_first[index])
            reading->name_first[index] = time;
        if (time > reading->name_last[index])
            reading->name_last[index] = time;
        return;
    }
    uint64_t index = reading->name_count++;
    reading->names[slot] = (uint16_t)(index + 1);
    reading->name_file[index] = (int64_t)file;
    reading->name_first[index] = reading->name_last[index] = time;
    reading->name_at[index] = (int64_t)reading->text_size;
    reading->name_base[index] = (int64_t)base->number;
    reading->name_path[index] = (int64_t)path->number;
    add_text(reading, base);
    add_text(reading, path);
}

static bool has_failed(const struct event *event)
{
    int64_t error = (int64_t)event->own[IP_FIELD_EVENT_ERROR].number;

    return error && !(event->effect == IP_FIELD_EVENT_CONNECT && error == CONNECTING);
}

/* Adds an access to the event's file, if the call did not fail and the file has an identity. */
static void add(struct ip_accesses *reading, const struct event *event, enum ip_access_kind kind, uint64_t amount)
{
    if (!event->file[IP_FIELD_FILE_INODE].number || has_failed(event))
        return;
    uint64_t file = file_index(reading, event->file), index = reading->access_count++;
    reading->access_image[index] = reading->image;
    reading->access_file[index] = (int64_t)file;
    reading->access_kind[index] = kind;
    reading->access_time[index] = reading->event_time;
    reading->access_amount[index] = (int64_t)amount;
    reading->access_size[index] = (int64_t)event->file[IP_FIELD_FILE_SIZE].number;
    reading->access_modified[index] = (int64_t)event->file[IP_FIELD_FILE_MODIFIED].number;
}

static void add_of_open(struct ip_accesses *reading, const struct event *event)
{
    bool create = event->said[IP_FIELD_OPEN_CREATE].number, truncate = event->said[IP_FIELD_OPEN_TRUNCATE].number;

    if (create)
        add(reading, event, IP_ACCESS_CREATE, 0);
    if (truncate)
        add(reading, event, IP_ACCESS_TRUNCATE, 0);
    if (!create && !truncate)
        add(reading, event, IP_ACCESS_OPEN, 0);
}

static void add_of_io(struct ip_accesses *reading, const struct event *event)
{
    const struct ip_value *said = event->said;
    uint64_t read = said[IP_FIELD_IO_BYTES_READ].number, written = said[IP_FIELD_IO_BYTES_WRITTEN].number;

    if (read || said[IP_FIELD_IO_READS].number)
        add(reading, event, said[IP_FIELD_IO_INTERNAL].number ? IP_ACCESS_CONSULT : IP_ACCESS_READ, read);
    if (written || said[IP_FIELD_IO_WRITES].number)
        add(reading, event, IP_ACCESS_WRITE, written);
}

static void add_of_map(struct ip_accesses *reading, const struct event *event)
{
    const struct ip_value *said = event->said;

    if (said[IP_FIELD_MAP_EXECUTE].number)
        add(reading, event, IP_ACCESS_LOAD, 0);
    else if (said[IP_FIELD_MAP_READ].number)
        add(reading, event, IP_ACCESS_READ, 0);
    if (said[IP_FIELD_MAP_WRITE].number)
        add(reading, event, IP_ACCESS_WRITE, 0);
}

/* Adds the accesses that the event tells of; false for an effect that is none of these. */
static bool add_accesses(struct ip_accesses *reading, const struct event *event)
{
    switch (event->effect) {
    case IP_FIELD_EVENT_OPEN:
        add_of_open(reading, event);
        return true;
    case IP_FIELD_EVENT_IO:
        add_of_io(reading, event);
        return true;
    case IP_FIELD_EVENT_MAP:
        add_of_map(reading, event);
        return true;
    case IP_FIELD_EVENT_ACCEPT:
    case IP_FIELD_EVENT_CONNECT:
        add(reading, event, IP_ACCESS_OPEN, 0);
        return true;
    case IP_FIELD_EVENT_LOAD:
        add(reading, event, IP_ACCESS_LOAD, 0);
        return true;
    case IP_FIELD_EVENT_CONSULT:
        add(reading, event, IP_ACCESS_CONSULT, 0);
        return true;
    case IP_FIELD_EVENT_MKDIR:
    case IP_FIELD_EVENT_MKNOD:
    case IP_FIELD_EVENT_SYMLINK:
        add(reading, event, IP_ACCESS_CREATE, 0);
        return true;
    case IP_FIELD_EVENT_UNLINK:
        add(reading, event, IP_ACCESS_REMOVE, 0);
        return true;
    case IP_FIELD_EVENT_XATTR:
        if (event->said[IP_FIELD_XATTR_WRITE].number)
            add(reading, event, IP_ACCESS_METADATA, 0);
        return true;
    case IP_FIELD_EVENT_CHMOD:
    case IP_FIELD_EVENT_CHOWN:
    case IP_FIELD_EVENT_UTIME:
        add(reading, event, IP_ACCESS_METADATA, 0);
        return true;
    case IP_FIELD_EVENT_TRUNCATE:
        add(reading, event, event->said[IP_FIELD_TRUNCATE_LENGTH].number ? IP_ACCESS_WRITE : IP_ACCESS_TRUNCATE, 0);
        return true;
    }
    return false;
}

static bool add_event(struct ip_accesses *reading, const struct event *event)
{
    uint64_t before = reading->access_count;
    bool is_read = add_accesses(reading, event);

    if (reading->access_count > before)
        add_name(reading, (uint64_t)reading->access_file[before], event);
    return is_read;
}

/* Nanoseconds since 1970, the nearest that 63 bits hold. */
static int64_t time_of(const struct ip_accesses *reading, uint64_t boot_time)
{
    __int128 sum = (__int128)boot_time + reading->shift;

    return sum < 0 ? 0 : sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

static bool is_origin(const struct event *event)
{
    return event->effect == IP_FIELD_EVENT_ORIGIN && !event->borrowed;
}

/* Makes the event that was read the one at which reading stands; false for a blank. */
static bool meet(struct ip_accesses *reading, const struct event *event)
{
    uint64_t boot_time = event->own[IP_FIELD_EVENT_TIME].number;

    if (is_origin(event))
        reading->shift = (int64_t)event->said[IP_FIELD_ORIGIN_REALTIME_OFFSET].number;
    int64_t time = time_of(reading, boot_time);
    reading->boot_time = boot_time;
    reading->event_time = time;
    reading->effect = event->effect;
    if (!event->effect && !boot_time)
        return false; /* what the library could not encode, and has counted as lost */
    if (!reading->events++)
        reading->first = reading->last = time;
    if (time < reading->first)
        reading->first = time;
    if (time > reading->last)
        reading->last = time;
    if (!event->borrowed && time < reading->own)
        reading->own = time;
    return true;
}

/* Moves to the next event's body; false if none follows. What is no record cannot stand there: it would be the end. */
static bool next_event(struct ip_accesses *reading)
{
    while (reading->at < reading->size) {
        struct ip_span rest = {reading->records + reading->at, reading->records + reading->size}, body;
        uint32_t key;
        if (!ip_read_key(&rest, &key) || (key & 7) != 2 || !ip_read_bytes(&rest, &body)) {
            reading->at = reading->size;
            return false;
        }
        reading->at = (uint64_t)(rest.at - reading->records);
        if (key >> 3 == 1) {
            reading->event_at = (uint64_t)(body.at - reading->records);
            reading->event_size = (uint64_t)(body.end - body.at);
            return true;
        }
    }
    return false;
}

static bool is_full(const struct ip_accesses *reading)
{
    return reading->access_count + MOST_OF_ONE > IP_MOST_ACCESSES || reading->file_count == IP_MOST_FILES ||
           reading->name_count == IP_MOST_NAMES || reading->text_size + IP_LONGEST_NAME > IP_MOST_TEXT;
}

/* Reads the event to whose body next_event() has moved; a gap stands for what is none, at the time of the one before. */
static bool read_next(struct ip_accesses *reading, struct event *event)
{
    if (read_event(event, reading->records + reading->event_at, reading->event_size))
        return true;
    memset(event, 0, sizeof *event);
    event->own[IP_FIELD_EVENT_TIME].number = reading->boot_time;
    event->effect = IP_FIELD_EVENT_GAP;
    return false;
}

EXPORT int ip_read_on(struct ip_accesses *reading)
{
    struct event event;

    for (;;) {
        if (is_full(reading))
            return IP_STOP_FULL;
        if (!next_event(reading))
            return IP_STOP_END;
        bool is_event = read_next(reading, &event);
        if (!meet(reading, &event))
            continue;
        if (!reading->image && !is_origin(&event))
            return IP_STOP_NOBODY;
        reading->effects[event.effect]++;
        if (!is_event)
            return IP_STOP_MALFORMED;
        if (event.borrowed)
            return IP_STOP_BORROWED;
        if (!add_event(reading, &event) && reading->wanted[event.effect])
            return IP_STOP_EVENT;
    }
}

EXPORT void ip_begin(struct ip_accesses *reading)
{
    reading->at = reading->boot_time = reading->events = 0;
    reading->first = reading->last = 0;
    reading->own = INT64_MAX;
}

EXPORT int ip_find_origin(struct ip_accesses *reading)
{
    struct event event;

    while (next_event(reading)) {
        read_next(reading, &event);
        if (meet(reading, &event) && is_origin(&event))
            return 1;
    }
    return 0;
}

EXPORT void ip_read_borrowed(struct ip_accesses *reading)
{
    struct event event;

    if (read_event(&event, reading->records + reading->event_at, reading->event_size))
        add_event(reading, &event);
}

EXPORT void ip_forget(struct ip_accesses *reading)
{
    reading->file_count = reading->name_count = reading->text_size = 0;
    memset(reading->files, 0, sizeof reading->files);
    memset(reading->names, 0, sizeof reading->names);
}
