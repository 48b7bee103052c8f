/* Feeds the gRPC client with what a peer might send, and checks that what the client sends stays HTTP/2.
 *
 * An input's first byte is the seed by which the kernel, which is replaced here, cuts what is sent and received. */
#include <stdlib.h>
#include <string.h>

#define IP_ARCH_SYSCALL_H          /* in its place: */
static long ip_syscall(long number, long a, long b, long c, long d, long e, long f);

#include "../../libinterpose/grpc.c"

#include "replay.h"

#define LOW 3                      /* the socket's first descriptor, and the one that it is moved to */
#define HIGH 1000

static unsigned int seed;
static const uint8_t *input;
static size_t input_left;
static bool is_open;

/* What the client has sent: so much of the preface, of a frame's head, and so much that the frame still has. */
static size_t preface_have, head_have, payload_left;
static uint8_t head[9];

static unsigned int chance(unsigned int below)
{
    return (unsigned int)rand_r(&seed) % below;
}

static void check_head(void)
{
    uint32_t stream = big_endian(head + 5);

    payload_left = big_endian(head) >> 8;
    head_have = 0;
    switch (head[3]) {
    case DATA:
        require(stream == 1 && head[4] == 0 && payload_left > 0);
        break;
    case HEADERS:
        require(stream == 1 && head[4] == END_HEADERS);
        break;
    case SETTINGS:
        require(stream == 0 && payload_left == (head[4] == ACK ? 0 : 6));
        break;
    case PING:
        require(stream == 0 && head[4] == ACK && payload_left == 8);
        break;
    case WINDOW_UPDATE:
        require(stream <= 1 && head[4] == 0 && payload_left == 4);
        break;
    default:
        require(false);
    }
}

static void check_byte(uint8_t byte)
{
    if (preface_have < 24) {
        require(byte == opening[preface_have++]);
    } else if (payload_left) {
        payload_left--;
    } else {
        head[head_have++] = byte;
        if (head_have == sizeof head)
            check_head();
    }
}

static long take_some(const struct message_header *message)
{
    long left = chance(4) ? 1 + (long)chance(chance(2) ? 40 : 40000) : 0, taken = 0;

    for (size_t i = 0; i < message->part_count; i++)
        for (size_t at = 0; at < message->parts[i].iov_len && taken < left; at++, taken++)
            check_byte(((const uint8_t *)message->parts[i].iov_base)[at]);
    return taken ? taken : chance(50) ? -EAGAIN : -EPIPE;
}

static long give_some(uint8_t *to, size_t size)
{
    if (!chance(4))
        return -EAGAIN;
    size = 1 + chance((unsigned int)size);
    if (size > input_left)
        size = input_left;
    memcpy(to, input, size);
    input += size;
    input_left -= size;
    return (long)size;
}

static long open_one(void)
{
    require(!is_open);
    is_open = true;
    preface_have = head_have = payload_left = 0;
    return LOW;
}

static long ip_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    (void)(d + f);
    switch (number) {
    case __NR_socket:
        return open_one();
    case __NR_fcntl:
        return HIGH;
    case __NR_close:
        require(is_open && (a == LOW || a == HIGH));
        is_open = a == LOW;
        return 0;
    case __NR_statx:
        memset((void *)e, 0, sizeof(struct statx));
        return 0;
    case __NR_sendmsg:
        require(is_open && a == HIGH);
        return take_some((const struct message_header *)b);
    case __NR_recvfrom:
        require(is_open && a == HIGH);
        return give_some((uint8_t *)b, (size_t)c);
    default:
        return 0; /* connect, prlimit64 */
    }
}

#define RECORDS 3000
#define RECORD_SIZE 64u

static const uint8_t *journal(void)
{
    static uint8_t events[RECORDS * RECORD_SIZE];

    for (uint32_t i = 0; i < RECORDS; i++) {
        const uint32_t size = RECORD_SIZE - IP_RECORD_HEAD;
        uint8_t *at = events + i * RECORD_SIZE;
        at[0] = IP_TAG_EVENT;
        at[1] = (uint8_t)(size | 0x80);
        at[2] = at[3] = 0x80;
    }
    return events;
}

static void check_client(const struct ip_grpc *client, uint64_t to)
{
    require(client->sent <= to && client->sent % RECORD_SIZE == 0);
    require(client->acknowledged <= client->sent && client->acknowledged % RECORD_SIZE == 0);
    require(client->out.replies_at <= client->out.replies_size && client->out.replies_size <= IP_GRPC_REPLIES);
    require(client->out.connection_window >= 0 && client->out.connection_window <= WINDOW_MAX);
    require(client->out.stream_window >= -WINDOW_MAX && client->out.stream_window <= WINDOW_MAX);
    require(client->in.at <= client->in.size && client->in.taken <= WINDOW_DEFAULT);
    require((client->fd == HIGH) == is_open);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ip_grpc client;
    struct ip_grpc_range range = { .events = journal(), .to = RECORDS * RECORD_SIZE };
    struct ip_grpc_acknowledgement got;

    if (!size)
        return 0;
    seed = data[0];
    input = data + 1;
    input_left = size - 1;
    client = (struct ip_grpc){0};
    for (uint64_t now = 0; input_left && now < 100 * PAUSE_LAST; now += PAUSE_LAST) {
        range.journal += !chance(50);
        ip_grpc_push(&client, "socket", now, &range);
        check_client(&client, range.to);
        ip_grpc_poll(&client, now, &got);
        check_client(&client, range.to);
    }
    ip_grpc_close(&client);
    require(!is_open);
    return 0;
}
