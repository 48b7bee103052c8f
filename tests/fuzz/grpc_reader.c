/* Feeds the gRPC client with what a peer might send, and checks that what the client sends stays HTTP/2.
 *
 *     clang -fsanitize=fuzzer,address,undefined -iquote libinterpose/include tests/fuzz/grpc_reader.c
 *     gcc -DREPLAY -fsanitize=address,undefined -iquote libinterpose/include tests/fuzz/grpc_reader.c
 *
 * The first is driven by libFuzzer. The second replays the files of a folder, each as it is and then changed so many times:
 *
 *     ./a.out FOLDER TIMES
 *
 * An input's first byte is the seed by which the kernel, which is replaced here, cuts what is sent and received. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IP_ARCH_SYSCALL_H          /* in its place: */
static long ip_syscall(long number, long a, long b, long c, long d, long e, long f);

#include "../../libinterpose/grpc.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOW 3                      /* the socket's first descriptor, and the one that it is moved to */
#define HIGH 1000

static unsigned int seed;
static const uint8_t *input;
static size_t input_left;
static bool is_open;

/* What the client has sent: so much of the preface, of a frame's head, and so much that the frame still has. */
static size_t preface_have, head_have, payload_left;
static uint8_t head[9];

static void require(bool condition)
{
    if (!condition)
        abort();
}

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

#ifdef REPLAY
#define INPUT_MAX 65536u

static size_t read_input(const char *folder, const char *name, uint8_t *bytes)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, INPUT_MAX, file) : 0;
    if (file)
        fclose(file);
    return size;
}

static void replay(const uint8_t *bytes, size_t size, unsigned int times)
{
    static uint8_t changed[INPUT_MAX];
    unsigned int changes = 1;

    LLVMFuzzerTestOneInput(bytes, size);
    for (unsigned int i = 0; size && i < times; i++) {
        memcpy(changed, bytes, size);
        changed[0] = (uint8_t)i;
        for (int j = rand_r(&changes) % 4; j >= 0; j--)
            changed[(size_t)rand_r(&changes) % size] = (uint8_t)rand_r(&changes);
        LLVMFuzzerTestOneInput(changed, size);
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[INPUT_MAX];
    DIR *folder = argc == 3 ? opendir(argv[1]) : NULL;
    unsigned int inputs = 0;

    if (!folder)
        return 2;
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t size = read_input(argv[1], entry->d_name, bytes);
        inputs += size > 0;
        replay(bytes, size, (unsigned int)atoi(argv[2]));
    }
    closedir(folder);
    printf("%u\n", inputs);
    return 0;
}
#endif
