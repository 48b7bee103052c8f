/* Encodes one message of each kind with the expected encoders, and writes them to stdout one after another, each behind its size. */
#include <stdio.h>

#include "wire.h"

static void put(const struct ip_wire_Event *event)
{
    static uint8_t room[65536];
    size_t size = ip_wire_size_Event(event);
    struct ip_writer writer = {room, room + size, 0};

    ip_wire_put_Event(&writer, event);
    if (writer.overflow || writer.at != room + size)
        fprintf(stderr, "measured %zu, written %zu\n", size, (size_t)(writer.at - room));
    fwrite(&size, sizeof size, 1, stdout);
    fwrite(room, 1, size, stdout);
    /* Whatever room is given, nothing is written beyond it. */
    for (size_t less = 0; less < size; less++) {
        room[less] = 0xee;
        writer = (struct ip_writer){room, room + less, 0};
        ip_wire_put_Event(&writer, event);
        if (!writer.overflow || room[less] != 0xee)
            fprintf(stderr, "%zu of %zu bytes were not enough, and nobody said so\n", less, size);
    }
}

int main(void)
{
    static char *const list[] = {"", "one", "two"};
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, 1u << 31, UINT64_MAX >> 1, UINT64_MAX};
    struct ip_wire_Inner empty = {0}, minus = {-1};
    struct ip_wire_Inner many[] = {{0}, {7}, {-7}};
    struct ip_wire_Outer outer = {&minus}, hollow = {0};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        put(&(struct ip_wire_Event){
            .time = values[i],
            .small = (uint32_t)values[i],
            .large = values[i],
            .negative = (int32_t)values[i],
            .flag = i & 1,
            .kind = i & 1 ? IP_EVENT_KIND_KIND_OTHER : 0,
            .text = ip_text("text"),
            .data = {"\0\1\2", 3},
            .list = {list, i % 4},
            .offset = (int64_t)values[i],
            .inner = i & 2 ? &minus : NULL,
            .many = {many, i % 4},
        });
    put(&(struct ip_wire_Event){.effect = IP_EVENT_FIRST, .first = &empty});
    put(&(struct ip_wire_Event){.effect = IP_EVENT_SECOND, .second = &outer});
    put(&(struct ip_wire_Event){.effect = IP_EVENT_SECOND, .second = &hollow});
}
