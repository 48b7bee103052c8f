/* Feeds what the sidecar does in C with what a process might leave in its journal: records, and events in them. */
#include "replay.h"

#include "../../sidecar/native/accesses.c"
#include "../../sidecar/native/protobuf.c"
#include "../../sidecar/native/records.c"
#include "fields.c"

static struct ip_records records;
static struct ip_accesses reading;
/* What stands before was read by nobody. */
static uint64_t first_access, first_name;

static void check_places(const uint64_t *places, uint64_t count)
{
    require(count <= IP_MOST_RECORDS);
    for (uint64_t i = 0; i < count; i++)
        require(places[i] % 8 == 0 && places[i] < records.at && (!i || places[i - 1] < places[i]));
}

static void scan(const uint8_t *data, size_t size)
{
    int end;

    records.data = data;
    records.size = size;
    records.at = records.hidden = 0;
    do {
        records.event_count = records.unfinished_count = 0;
        end = ip_scan(&records);
        check_places(records.events, records.event_count);
        check_places(records.unfinished, records.unfinished_count);
    } while (end == IP_END_FULL);
    require(records.at <= size);
    require(end != IP_END_BYTES || records.at == size);
}

static void check_columns(void)
{
    require(reading.access_count <= IP_MOST_ACCESSES && reading.file_count <= IP_MOST_FILES);
    require(reading.name_count <= IP_MOST_NAMES && reading.text_size <= IP_MOST_TEXT);
    for (uint64_t i = first_access; i < reading.access_count; i++) {
        require((uint64_t)reading.access_file[i] < reading.file_count);
        require(reading.access_kind[i] >= 0 && reading.access_kind[i] <= IP_ACCESS_METADATA);
        require(reading.access_time[i] >= 0);
    }
    for (uint64_t i = first_name; i < reading.name_count; i++) {
        require((uint64_t)reading.name_file[i] < reading.file_count);
        require(reading.name_base[i] + reading.name_path[i] <= IP_LONGEST_NAME);
        require((uint64_t)(reading.name_at[i] + reading.name_base[i] + reading.name_path[i]) <= reading.text_size);
        require(reading.name_first[i] <= reading.name_last[i]);
    }
    first_access = reading.access_count = 0;
}

/* As if so much of the room were taken by what was read before. */
static void begin(const uint8_t *data, size_t size, uint8_t left)
{
    reading.records = data;
    reading.size = size;
    reading.shift = 0;
    reading.image = left % 2;
    memset(reading.wanted, 1, sizeof reading.wanted);
    ip_begin(&reading);
    ip_forget(&reading);
    reading.file_count = IP_MOST_FILES - left % 4 - 1;
    first_name = reading.name_count = IP_MOST_NAMES - left / 4 % 4 - 1;
    reading.text_size = IP_MOST_TEXT - IP_LONGEST_NAME - left / 16 * 32;
    first_access = reading.access_count = IP_MOST_ACCESSES - MOST_OF_ONE - left / 8;
}

static void read_events(const uint8_t *data, size_t size, uint8_t left)
{
    int stop;

    begin(data, size, left);
    while ((stop = ip_read_on(&reading)) != IP_STOP_END) {
        require(stop > IP_STOP_END && stop <= IP_STOP_NOBODY);
        check_columns();
        if (stop == IP_STOP_FULL) {
            ip_forget(&reading);
            first_name = 0;
            continue;
        }
        require(reading.event_at <= size && reading.event_size <= size - reading.event_at);
        require(reading.effect >= 0 && reading.effect < IP_EFFECTS && reading.event_time >= 0);
        if (stop == IP_STOP_BORROWED)
            ip_read_borrowed(&reading);
        if (stop == IP_STOP_NOBODY || stop == IP_STOP_EVENT)
            reading.image = 1;
    }
    check_columns();
    require(!reading.events || (reading.first <= reading.last && reading.first <= reading.own));
    uint64_t events = reading.events;
    ip_begin(&reading);
    require(ip_find_origin(&reading) ? reading.events <= events : reading.events == events);
}

/* The first byte says how much room is left. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    scan(data + 1, size - 1);
    read_events(data + 1, records.at, data[0]);
    read_events(data + 1, size - 1, data[0]);
    return 0;
}
