/* The gRPC client: see include/grpc.h. gRPC is HTTP/2 (RFC 9113) with five bytes before each message, and a client that
 * makes one call needs little of it: a constant header block, DATA, the two flow control windows, and answers to SETTINGS
 * and PING. What the peer's header blocks say is never decoded: that a call failed is known from its end. */
#include "grpc.h"

#include <asm/errno.h>
#include <linux/uio.h>
#include <linux/un.h>

#include "spool.h"
#include "syscall.h"

/* The kernel's interface, for which its own headers have no names. The same on every architecture that we know. */
#define AF_UNIX 1
#define SOCK_STREAM 1
#define SOCK_NONBLOCK O_NONBLOCK
#define SOCK_CLOEXEC O_CLOEXEC
#define MSG_DONTWAIT 0x40
#define MSG_NOSIGNAL 0x4000
#define TYPE_OF_FILE 0170000       /* in a mode */
#define TYPE_SOCKET 0140000
#define LIMIT_NOFILE 7             /* RLIMIT_NOFILE, which <linux/resource.h> has together with types that libcs have too */

struct message_header {
    void *name;
    int name_size;
    struct iovec *parts;
    size_t part_count;
    void *control;
    size_t control_size;
    unsigned int flags;
};
_Static_assert(sizeof(struct message_header) == 56, "the kernel's struct user_msghdr");

/* RFC 9113, section 6. */
enum frame_type {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
};

#define ACK 0x1u                   /* of SETTINGS and PING */
#define END_STREAM 0x1u            /* of DATA and HEADERS */
#define END_HEADERS 0x4u
#define PADDED 0x8u

/* RFC 9113, section 6.5.2. */
#define SETTING_INITIAL_WINDOW 4u
#define SETTING_FRAME_MAX 5u
#define WINDOW_DEFAULT 65535u
#define WINDOW_MAX INT64_C(0x7fffffff)
#define FRAME_DEFAULT 16384u
#define FRAME_LIMIT 16777215u

/* What one call does at most. */
#define FRAMES_PER_PUSH 16u
#define READS_PER_POLL 16u
#define MESSAGE_SIZE 65536u        /* of several records; the peer may allow frames of 16 MiB */

#define PAUSE_FIRST UINT64_C(100000000)
#define PAUSE_LAST UINT64_C(10000000000)

/* The descriptor is as high as nobody looks, yet not higher: a fork copies the table up to the highest one. Measured, one
 * at 1000 costs a fork nothing that can be seen, one at 16,000 costs it 0.2 ms. */
#define FD_BELOW 1024u
#define FD_SPARE 24u

#define REPLY_MAX (2 * (IP_GRPC_FRAME_HEAD + 4)) /* the longest answer to a frame: two WINDOW_UPDATE */
_Static_assert(IP_GRPC_REPLIES >= REPLY_MAX && IP_GRPC_REPLIES <= UINT8_MAX, "");
_Static_assert(IP_GRPC_PREFIX + IP_GRPC_MESSAGE_MAX <= UINT8_MAX, "message_have");
_Static_assert(IP_GRPC_BUFFER <= UINT16_MAX, "at, size");
_Static_assert(sizeof(((struct ip_grpc_out *)0)->prefix) <= UINT8_MAX, "prefix_left");

#define METHOD "/interpose.v1.Capture/Stream"
_Static_assert(sizeof METHOD - 1 == 0x1c, "its length in the header block");

/* RFC 7541: the first two are entries of the static table (6.1); the others are literals "without indexing" (6.2.2),
 * whose names are entries of the static table, but the last's. None is Huffman-coded, and the peer's table stays empty. */
#define HEADER_BLOCK                                                                                                   \
    "\x83"                         /* :method: POST */                                                                 \
    "\x86"                         /* :scheme: http */                                                                 \
    "\x04\x1c" METHOD              /* :path */                                                                         \
    "\x01\x09" "localhost"         /* :authority */                                                                    \
    "\x0f\x2b\x0b" "interpose/1"   /* user-agent, 58 = 15 + 0x2b */                                                    \
    "\x0f\x10\x10" "application/grpc" /* content-type, 31 = 15 + 0x10 */                                               \
    "\x00\x02" "te" "\x08" "trailers"
_Static_assert(sizeof HEADER_BLOCK - 1 == 0x59, "its length in the HEADERS frame");

/* What every connection begins with: RFC 9113, section 3.4. ENABLE_PUSH (2) is switched off, the rest is as by default. */
static const uint8_t opening[] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    "\x00\x00\x06" "\x04" "\x00" "\x00\x00\x00\x00" /* SETTINGS */
    "\x00\x02" "\x00\x00\x00\x00"
    "\x00\x00\x59" "\x01" "\x04" "\x00\x00\x00\x01" /* HEADERS, END_HEADERS */
    HEADER_BLOCK;

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void put_big_endian(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

static uint32_t big_endian(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void put_frame_head(uint8_t *head, uint32_t size, enum frame_type type, uint32_t flags, uint32_t stream)
{
    put_big_endian(head, size << 8 | (uint32_t)type);
    head[4] = (uint8_t)flags;
    put_big_endian(head + 5, stream);
}

/* The socket. */

static void rewind_connection(struct ip_grpc *grpc)
{
    grpc->out = (struct ip_grpc_out){ 0 };
    grpc->in = (struct ip_grpc_in){ 0 };
    grpc->sent = grpc->acknowledged;
}

static void drop(struct ip_grpc *grpc, enum ip_grpc_end why)
{
    grpc->fd = 0;
    grpc->end = why;
    rewind_connection(grpc);
}

/* The pause doubles until a peer acknowledges something, so one that takes calls and ends them is not run down either. */
static void pause_before_retry(struct ip_grpc *grpc)
{
    grpc->pause = grpc->pause ? grpc->pause * 2 : PAUSE_FIRST;
    if (grpc->pause > PAUSE_LAST)
        grpc->pause = PAUSE_LAST;
    grpc->retry_at = grpc->now + grpc->pause;
}

static void end_stream(struct ip_grpc *grpc, enum ip_grpc_end why)
{
    if (grpc->fd && why != IP_GRPC_TAKEN)
        ip_sys_close(grpc->fd);
    drop(grpc, why);
    pause_before_retry(grpc);
}

static bool identify(int fd, uint64_t *socket, uint64_t *device)
{
    struct statx found;

    if (ip_sys_statx(fd, "", AT_EMPTY_PATH, STATX_INO, &found) < 0)
        return false;
    *socket = found.stx_ino;
    *device = (uint64_t)found.stx_dev_major << 32 | found.stx_dev_minor;
    return true;
}

/* Is there a stream, and is its descriptor still that socket? Programs close descriptors that they never opened, and the
 * number may be somebody's file by now. It is not ours to close, then. */
static bool streaming(struct ip_grpc *grpc)
{
    uint64_t socket, device;

    if (!grpc->fd)
        return false;
    if (identify(grpc->fd, &socket, &device) && socket == grpc->socket && device == grpc->device)
        return true;
    end_stream(grpc, IP_GRPC_TAKEN);
    return false;
}

/* A number high enough to meet none of the application's. */
static long high_number(void)
{
    struct { uint64_t soft, hard; } limit = { .soft = FD_BELOW };

    ip_syscall(__NR_prlimit64, 0, LIMIT_NOFILE, 0, (long)&limit, 0, 0);
    uint32_t below = limit.soft < FD_BELOW ? (uint32_t)limit.soft : FD_BELOW;
    return below > 2 * FD_SPARE ? below - FD_SPARE : 3;
}

/* Moves a descriptor up, or at least off 0, 1 and 2, which the next open or dup2 of the application may count on. */
static int move_up(int fd)
{
    int moved = ip_sys_fcntl(fd, F_DUPFD_CLOEXEC, high_number());

    if (moved < 0 && fd >= 3)
        return fd;
    if (moved < 0)
        moved = ip_sys_fcntl(fd, F_DUPFD_CLOEXEC, 3);
    ip_sys_close(fd);
    return moved;
}

/* The address's size, 0 if the path does not fit. */
static size_t put_address(struct sockaddr_un *address, const char *path)
{
    address->sun_family = AF_UNIX;
    for (size_t i = 0; i < sizeof address->sun_path; i++) {
        address->sun_path[i] = path[i];
        if (!path[i])
            return offsetof(struct sockaddr_un, sun_path) + i + 1;
    }
    return 0;
}

static int open_socket(const char *path)
{
    struct sockaddr_un address;
    size_t size = put_address(&address, path);

    if (!size)
        return -ENAMETOOLONG;
    int fd = (int)ip_syscall(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0)
        return fd;
    /* At once or not at all: a queue that is full is EAGAIN, and a Unix socket knows no EINPROGRESS (connect(2)). */
    int error = (int)ip_syscall(__NR_connect, fd, (long)&address, (long)size, 0, 0, 0);
    if (error < 0) {
        ip_sys_close(fd);
        return error;
    }
    return move_up(fd);
}

/* The opening is sent as if it were the rest of a frame. Requests may follow it at once, with the default settings. */
static void begin_stream(struct ip_grpc *grpc, int fd)
{
    rewind_connection(grpc);
    grpc->fd = fd;
    grpc->streams++;
    grpc->out.body = opening;
    grpc->out.body_left = grpc->out.frame_left = sizeof opening - 1;
    grpc->out.message_end = grpc->sent;
    grpc->out.connection_window = grpc->out.stream_window = grpc->out.initial_window = WINDOW_DEFAULT;
    grpc->out.frame_max = FRAME_DEFAULT;
}

static bool connect_stream(struct ip_grpc *grpc, const char *path)
{
    if (grpc->now < grpc->retry_at)
        return false;
    int fd = open_socket(path);
    if (fd >= 0 && !identify(fd, &grpc->socket, &grpc->device)) {
        ip_sys_close(fd);
        fd = -EBADF;
    }
    if (fd < 0) {
        end_stream(grpc, IP_GRPC_UNREACHABLE);
        return false;
    }
    begin_stream(grpc, fd);
    return true;
}

static bool is_transient(long result)
{
    return result == -EAGAIN || result == -EINTR || result == -ENOBUFS || result == -ENOMEM;
}

/* How much was sent, 0 if nothing now. A peer that takes no more may have said something before: so what it sent is still
 * read, and the stream ends when there is no more of that. */
static uint32_t transmit(struct ip_grpc *grpc, struct iovec *parts, size_t count)
{
    struct message_header message = { .parts = parts, .part_count = count };
    long result = ip_syscall(__NR_sendmsg, grpc->fd, (long)&message, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0);

    if (result > 0)
        return (uint32_t)result;
    if (!is_transient(result))
        grpc->out.broken = true;
    return 0;
}

/* Sending. */

static uint32_t message_left(const struct ip_grpc_out *out)
{
    return out->prefix_left + out->body_left;
}

static struct iovec part(const uint8_t *bytes, uint32_t size)
{
    return (struct iovec){ .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
}

/* Takes `size` bytes that were sent from the frame in flight: of its head, then of the message's prefix, then of its body. */
static void advance(struct ip_grpc *grpc, uint32_t size)
{
    struct ip_grpc_out *out = &grpc->out;
    uint32_t head = smaller(size, out->head_left);
    uint32_t prefix = smaller(size - head, out->prefix_left);
    uint32_t body = size - head - prefix;

    out->head_left = (uint8_t)(out->head_left - head);
    out->prefix_left = (uint8_t)(out->prefix_left - prefix);
    out->body += body;
    out->body_left -= body;
    out->frame_left -= prefix + body;
    if (!message_left(out))
        grpc->sent = out->message_end;
}

/* Sends what is left of the frame in flight. True if nothing is left. */
static bool send_frame(struct ip_grpc *grpc)
{
    struct ip_grpc_out *out = &grpc->out;
    uint32_t prefix = smaller(out->prefix_left, out->frame_left);
    uint32_t left = out->head_left + out->frame_left;
    struct iovec parts[] = {
        part(out->head + sizeof out->head - out->head_left, out->head_left),
        part(out->prefix + out->prefix_size - out->prefix_left, prefix),
        part(out->body, out->frame_left - prefix),
    };

    if (!left)
        return true;
    uint32_t sent = transmit(grpc, parts, 3);
    if (sent)
        advance(grpc, sent);
    return sent == left;
}

static bool send_replies(struct ip_grpc *grpc)
{
    struct ip_grpc_out *out = &grpc->out;
    uint32_t left = (uint32_t)(out->replies_size - out->replies_at);
    struct iovec rest = part(out->replies + out->replies_at, left);

    if (!left)
        return true;
    uint32_t sent = transmit(grpc, &rest, 1);
    if (sent != left) {
        out->replies_at = (uint8_t)(out->replies_at + sent);
        return false;
    }
    out->replies_at = out->replies_size = 0;
    return true;
}

/* True if everything that was begun is sent, so that a frame may begin. A frame in flight goes first: nothing may come
 * between its bytes. */
static bool flush(struct ip_grpc *grpc)
{
    return !grpc->out.broken && send_frame(grpc) && send_replies(grpc);
}

/* A record's size, head included; 0 if there is no whole record in `room` bytes. Its tag may be changing from
 * "unfinished" to "event" meanwhile, its length stands. */
static uint32_t record_size(const uint8_t *record, uint64_t room)
{
    if (room < IP_RECORD_HEAD)
        return 0;
    uint8_t tag = __atomic_load_n(record, __ATOMIC_RELAXED);
    uint32_t size = IP_RECORD_HEAD + ((record[1] & 0x7fu) | (record[2] & 0x7fu) << 7 | (record[3] & 0x7fu) << 14 |
                                      (record[4] & 0x7fu) << 21);
    bool known = tag == IP_TAG_EVENT || tag == IP_TAG_UNFINISHED || tag == IP_TAG_SEALED;
    return known && size % 8 == 0 && size <= room ? size : 0;
}

/* Where the last record ends of those that fit in `size` bytes, or the first one if it is larger. `at` if there is none. */
static uint64_t end_of_records(const uint8_t *events, uint64_t at, uint64_t to, uint32_t size)
{
    uint64_t end = at;

    while (end < to) {
        uint32_t record = record_size(events + end, to - end);
        if (!record || (end != at && end + record - at > size))
            break;
        end += record;
    }
    return end;
}

static uint8_t *put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

/* The gRPC prefix, and those fields of the Batch that stand before its events. */
static void put_prefix(struct ip_grpc_out *out, uint64_t journal, uint64_t offset, uint32_t events_size)
{
    uint8_t *batch = out->prefix + IP_GRPC_PREFIX, *end = batch;

    *end++ = 2 << 3; /* Batch.journal */
    end = put_varint(end, journal);
    *end++ = 3 << 3; /* Batch.offset */
    end = put_varint(end, offset);
    out->prefix[0] = 0; /* not compressed */
    put_big_endian(out->prefix + 1, (uint32_t)(end - batch) + events_size);
    out->prefix_size = out->prefix_left = (uint8_t)(end - out->prefix);
}

/* Leaves a journal, whose memory may be gone. A message that waits to be sent is taken back, with what it has taken of the
 * windows; one of which the peer has a part can only end together with the stream. */
static void leave_journal(struct ip_grpc *grpc)
{
    struct ip_grpc_out *out = &grpc->out;

    if (!message_left(out) || !out->prefix_size)
        return; /* nothing, or the opening, which is in no journal */
    if (out->head_left < sizeof out->head || out->prefix_left < out->prefix_size) {
        end_stream(grpc, IP_GRPC_CLOSED);
        return;
    }
    out->connection_window += out->frame_left;
    out->stream_window += out->frame_left;
    out->body_left = out->frame_left = out->prefix_left = out->head_left = 0;
}

static void enter_journal(struct ip_grpc *grpc, const struct ip_grpc_range *range)
{
    if (grpc->events == range->events && grpc->journal == range->journal)
        return;
    leave_journal(grpc);
    grpc->events = range->events;
    grpc->journal = range->journal;
    grpc->sent = grpc->acknowledged = grpc->out.message_end = range->from;
}

/* Begins a message of as many records as fit in one frame. False if there is none to send. */
static bool begin_message(struct ip_grpc *grpc, const struct ip_grpc_range *range, uint32_t frame)
{
    struct ip_grpc_out *out = &grpc->out;

    uint32_t size = frame > sizeof out->prefix ? frame - (uint32_t)sizeof out->prefix : 0;
    uint64_t end = end_of_records(range->events, grpc->sent, range->to, smaller(size, MESSAGE_SIZE));
    if (end == grpc->sent)
        return false;
    out->body = range->events + grpc->sent;
    out->body_left = (uint32_t)(end - grpc->sent);
    out->message_end = end;
    put_prefix(out, range->journal, grpc->sent, out->body_left);
    return true;
}

/* Begins the next DATA frame: what is left of the message, or a new message, as far as the peer's windows allow. */
static bool begin_frame(struct ip_grpc *grpc, const struct ip_grpc_range *range)
{
    struct ip_grpc_out *out = &grpc->out;
    int64_t window = out->stream_window < out->connection_window ? out->stream_window : out->connection_window;

    if (window <= 0)
        return false;
    uint32_t size = smaller((uint32_t)window, out->frame_max);
    if (!message_left(out) && !begin_message(grpc, range, size))
        return false;
    size = smaller(size, message_left(out));
    put_frame_head(out->head, size, DATA, 0, 1);
    out->head_left = sizeof out->head;
    out->frame_left = size;
    out->stream_window -= size;
    out->connection_window -= size;
    return true;
}

uint64_t ip_grpc_push(struct ip_grpc *grpc, const char *path, uint64_t now, const struct ip_grpc_range *range)
{
    unsigned int frames = 0;

    grpc->now = now;
    enter_journal(grpc, range);
    if (grpc->sent >= range->to)
        return grpc->sent;
    if (streaming(grpc) || connect_stream(grpc, path))
        while (flush(grpc) && frames++ < FRAMES_PER_PUSH && begin_frame(grpc, range))
            continue;
    return grpc->sent;
}

/* Receiving. */

/* A reply waits for the frame in flight. There is room for it, because no frame is read otherwise: see consume. */
static void reply(struct ip_grpc_out *out, enum frame_type type, uint32_t flags, uint32_t stream, const uint8_t *payload,
                  uint32_t size)
{
    uint8_t *to = out->replies + out->replies_size;

    if (out->broken)
        return;
    put_frame_head(to, size, type, flags, stream);
    for (uint32_t i = 0; i < size; i++)
        to[IP_GRPC_FRAME_HEAD + i] = payload[i];
    out->replies_size = (uint8_t)(out->replies_size + IP_GRPC_FRAME_HEAD + size);
}

static bool has_room_for_reply(struct ip_grpc *grpc)
{
    return sizeof grpc->out.replies - grpc->out.replies_size >= REPLY_MAX || flush(grpc) || grpc->out.broken;
}

/* Moves bytes from the buffer until `want` are had, at most `limit`. Returns how many it moved. */
static uint32_t gather(struct ip_grpc_in *in, uint8_t *to, uint8_t *have, uint32_t want, uint32_t limit)
{
    uint32_t size = smaller(smaller(want - *have, limit), (uint32_t)(in->size - in->at));

    for (uint32_t i = 0; i < size; i++)
        to[(*have)++] = in->buffer[in->at++];
    return size;
}

/* Is this a frame that the peer may send now? RFC 9113, sections 3.4, 4.2, 6 and 6.10. A pushed stream is refused by our
 * settings (8.4), frames of unknown types and PRIORITY are skipped (5.5). */
static bool is_acceptable(const struct ip_grpc_in *in)
{
    if (in->left > FRAME_DEFAULT || in->continued != (in->type == CONTINUATION))
        return false;
    if (!in->greeted && (in->type != SETTINGS || in->flags & ACK))
        return false;
    switch (in->type) {
    case DATA:
        return in->stream == 1 && (in->left || !(in->flags & PADDED));
    case HEADERS:
    case CONTINUATION:
        return in->stream == 1;
    case RST_STREAM:
        return in->stream == 1 && in->left == 4;
    case SETTINGS:
        return in->stream == 0 && in->left % 6 == 0 && (!in->left || !(in->flags & ACK));
    case PING:
        return in->stream == 0 && in->left == 8;
    case GOAWAY:
        return in->stream == 0 && in->left >= 8;
    case WINDOW_UPDATE:
        return in->stream <= 1 && in->left == 4;
    default:
        return in->type != PUSH_PROMISE;
    }
}

static void parse_head(struct ip_grpc_in *in)
{
    uint32_t stream = big_endian(in->head + 5) & 0x7fffffffu; /* the first bit is reserved, and ignored */

    in->left = big_endian(in->head) >> 8;
    in->type = in->head[3];
    in->flags = in->head[4];
    in->stream = (uint8_t)smaller(stream, 2);
}

/* A call ends by trailers, by a reset, or because the whole connection goes away. In each case nothing that we send would
 * be answered any more, so how it ended does not matter: the next stream repeats what was not acknowledged. */
static bool ends_call(const struct ip_grpc_in *in)
{
    return in->type == RST_STREAM || in->type == GOAWAY || (in->type == HEADERS && in->flags & END_STREAM);
}

static void begin_reading(struct ip_grpc *grpc)
{
    struct ip_grpc_in *in = &grpc->in;

    gather(in, in->head, &in->head_have, sizeof in->head, sizeof in->head);
    if (in->head_have < sizeof in->head)
        return;
    parse_head(in);
    if (!is_acceptable(in)) {
        end_stream(grpc, IP_GRPC_MALFORMED);
        return;
    }
    if (ends_call(in)) {
        end_stream(grpc, IP_GRPC_FINISHED);
        return;
    }
    in->greeted = true;
    in->padding = 0;
    in->padded = in->type == DATA && in->flags & PADDED;
    if (in->type == DATA)
        in->taken += in->left;
    if (in->type == HEADERS || in->type == CONTINUATION)
        in->continued = !(in->flags & END_HEADERS);
}

/* True if it is a valid setting. A new initial window changes, by the difference, the stream that is already open, whose
 * window may become negative by that (RFC 9113, section 6.9.2). */
static bool apply_setting(struct ip_grpc_out *out, uint32_t setting, uint32_t value)
{
    if (setting == SETTING_FRAME_MAX) {
        out->frame_max = value;
        return value >= FRAME_DEFAULT && value <= FRAME_LIMIT;
    }
    if (setting == SETTING_INITIAL_WINDOW) {
        out->stream_window += (int64_t)value - (int64_t)out->initial_window;
        out->initial_window = value;
        return value <= WINDOW_MAX && out->stream_window <= WINDOW_MAX;
    }
    return true;
}

/* RFC 9113, section 6.9: no increment of zero, no window beyond 2^31 - 1. */
static bool widen(int64_t *window, uint32_t increment)
{
    *window += increment;
    return increment && *window <= WINDOW_MAX;
}

static bool apply_item(struct ip_grpc *grpc)
{
    struct ip_grpc_in *in = &grpc->in;
    struct ip_grpc_out *out = &grpc->out;

    if (in->type == SETTINGS)
        return apply_setting(out, (uint32_t)in->item[0] << 8 | in->item[1], big_endian(in->item + 2));
    if (in->type == WINDOW_UPDATE)
        return widen(in->stream ? &out->stream_window : &out->connection_window, big_endian(in->item) & 0x7fffffffu);
    if (!(in->flags & ACK))
        reply(out, PING, ACK, 0, in->item, 8);
    return true;
}

static void read_item(struct ip_grpc *grpc, uint32_t size)
{
    struct ip_grpc_in *in = &grpc->in;

    in->left -= gather(in, in->item, &in->item_have, size, in->left);
    if (in->item_have < size)
        return;
    in->item_have = 0;
    if (!apply_item(grpc))
        end_stream(grpc, IP_GRPC_MALFORMED);
}

/* A varint's value and its end; NULL if it has none before `end`. */
static const uint8_t *get_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (unsigned int shift = 0; at < end && shift < 64; shift += 7) {
        *value |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80))
            return at;
    }
    return NULL;
}

/* The end of a field of any type, so that fields which come later can be skipped; NULL if it is not one. */
static const uint8_t *get_field(const uint8_t *at, const uint8_t *end, uint64_t *key, uint64_t *value)
{
    at = get_varint(at, end, key);
    if (!at)
        return NULL;
    switch (*key & 7) {
    case 0:
        return get_varint(at, end, value);
    case 1:
        *value = 8;
        break;
    case 2:
        at = get_varint(at, end, value);
        break;
    case 5:
        *value = 4;
        break;
    default:
        return NULL;
    }
    return at && *value <= (uint64_t)(end - at) ? at + *value : NULL;
}

static bool parse_acknowledgement(const uint8_t *at, const uint8_t *end, struct ip_grpc_acknowledgement *acknowledgement)
{
    uint64_t key, value;

    *acknowledgement = (struct ip_grpc_acknowledgement){ 0 };
    while (at && at < end) {
        at = get_field(at, end, &key, &value);
        if (at && key == 1 << 3)
            acknowledgement->journal = value;
        if (at && key == 2 << 3)
            acknowledgement->offset = value;
    }
    return at;
}

/* Where a new stream would begin: an offset from outside is brought to a record's end, and to what was sent. */
static void take_acknowledgement(struct ip_grpc *grpc, const struct ip_grpc_acknowledgement *acknowledgement)
{
    grpc->pause = 0;
    if (acknowledgement->journal != grpc->journal || acknowledgement->offset > grpc->sent)
        return;
    grpc->acknowledged = end_of_records(grpc->events, grpc->acknowledged, acknowledgement->offset, UINT32_MAX);
}

/* True with an acknowledgement if a message is complete. */
static bool end_message(struct ip_grpc *grpc, struct ip_grpc_acknowledgement *acknowledgement)
{
    struct ip_grpc_in *in = &grpc->in;
    const uint8_t *message = in->message + IP_GRPC_PREFIX;
    uint32_t size = big_endian(in->message + 1);

    if (in->message[0] || size > IP_GRPC_MESSAGE_MAX) { /* compressed, which we did not offer; or too long */
        end_stream(grpc, IP_GRPC_MALFORMED);
        return false;
    }
    if (in->message_have < IP_GRPC_PREFIX + size)
        return false;
    in->message_have = 0;
    if (!parse_acknowledgement(message, message + size, acknowledgement)) {
        end_stream(grpc, IP_GRPC_MALFORMED);
        return false;
    }
    take_acknowledgement(grpc, acknowledgement);
    return true;
}

static void read_padding_size(struct ip_grpc *grpc)
{
    struct ip_grpc_in *in = &grpc->in;

    in->padded = false;
    in->padding = in->buffer[in->at++];
    in->left--;
    if (in->padding > in->left)
        end_stream(grpc, IP_GRPC_MALFORMED);
}

static void skip(struct ip_grpc_in *in)
{
    uint32_t size = smaller(in->left, (uint32_t)(in->size - in->at));

    in->at = (uint16_t)(in->at + size);
    in->left -= size;
    in->padding = smaller(in->padding, in->left);
}

/* Messages and frames have nothing to do with each other: a frame may hold several, or one byte of one. */
static bool read_data(struct ip_grpc *grpc, struct ip_grpc_acknowledgement *acknowledgement)
{
    struct ip_grpc_in *in = &grpc->in;
    uint32_t want = IP_GRPC_PREFIX;

    if (in->padded) {
        read_padding_size(grpc);
        return false;
    }
    if (in->left == in->padding) {
        skip(in);
        return false;
    }
    if (in->message_have >= IP_GRPC_PREFIX)
        want += big_endian(in->message + 1);
    in->left -= gather(in, in->message, &in->message_have, want, in->left - in->padding);
    return in->message_have >= IP_GRPC_PREFIX && end_message(grpc, acknowledgement);
}

/* The receive windows, the stream's and the connection's, are given back when half of them is used. */
static void give_back(struct ip_grpc *grpc)
{
    uint8_t increment[4];

    if (grpc->in.taken <= WINDOW_DEFAULT / 2)
        return;
    put_big_endian(increment, grpc->in.taken);
    reply(&grpc->out, WINDOW_UPDATE, 0, 0, increment, sizeof increment);
    reply(&grpc->out, WINDOW_UPDATE, 0, 1, increment, sizeof increment);
    grpc->in.taken = 0;
}

static void end_reading(struct ip_grpc *grpc)
{
    struct ip_grpc_in *in = &grpc->in;

    in->head_have = 0;
    if (in->type == SETTINGS && !(in->flags & ACK))
        reply(&grpc->out, SETTINGS, ACK, 0, NULL, 0);
    if (in->type == DATA && in->flags & END_STREAM)
        end_stream(grpc, IP_GRPC_FINISHED);
    else if (in->type == DATA)
        give_back(grpc);
}

static bool read_payload(struct ip_grpc *grpc, struct ip_grpc_acknowledgement *acknowledgement)
{
    switch (grpc->in.type) {
    case DATA:
        return read_data(grpc, acknowledgement);
    case SETTINGS:
        read_item(grpc, 6);
        return false;
    case PING:
        read_item(grpc, 8);
        return false;
    case WINDOW_UPDATE:
        read_item(grpc, 4);
        return false;
    default:
        skip(&grpc->in);
        return false;
    }
}

/* Reads from the buffer up to the next acknowledgement, or to its end. A peer that does not take our replies is not read
 * either, so they need no more room than we have. */
static bool consume(struct ip_grpc *grpc, struct ip_grpc_acknowledgement *acknowledgement)
{
    struct ip_grpc_in *in = &grpc->in;

    while (grpc->fd) {
        if (in->head_have == sizeof in->head && !in->left)
            end_reading(grpc);
        else if (in->at == in->size)
            return false;
        else if (in->head_have == sizeof in->head) {
            if (read_payload(grpc, acknowledgement))
                return true;
        } else if (in->head_have || has_room_for_reply(grpc))
            begin_reading(grpc);
        else
            return false;
    }
    return false;
}

static bool fill(struct ip_grpc *grpc)
{
    struct ip_grpc_in *in = &grpc->in;

    if (!grpc->fd || in->at < in->size)
        return false;
    long result = ip_syscall(__NR_recvfrom, grpc->fd, (long)in->buffer, sizeof in->buffer, MSG_DONTWAIT, 0, 0);
    if (is_transient(result) && !grpc->out.broken)
        return false;
    if (result <= 0) {
        end_stream(grpc, IP_GRPC_BROKEN);
        return false;
    }
    in->at = 0;
    in->size = (uint16_t)result;
    return true;
}

bool ip_grpc_poll(struct ip_grpc *grpc, uint64_t now, struct ip_grpc_acknowledgement *acknowledgement)
{
    grpc->now = now;
    if (!streaming(grpc))
        return false;
    bool found = consume(grpc, acknowledgement);
    for (unsigned int reads = 0; !found && reads < READS_PER_POLL && fill(grpc); reads++)
        found = consume(grpc, acknowledgement);
    if (grpc->fd)
        flush(grpc);
    return found;
}

void ip_grpc_close(struct ip_grpc *grpc)
{
    if (streaming(grpc))
        ip_sys_close(grpc->fd);
    drop(grpc, IP_GRPC_CLOSED);
}

void ip_grpc_abandon(struct ip_grpc *grpc)
{
    struct statx found;

    if (grpc->fd && !ip_sys_statx(grpc->fd, "", AT_EMPTY_PATH, STATX_TYPE, &found) && (found.stx_mode & TYPE_OF_FILE) == TYPE_SOCKET)
        ip_sys_close(grpc->fd);
    *grpc = (struct ip_grpc){ .end = IP_GRPC_CLOSED, .streams = grpc->streams };
}

int ip_grpc_fd(const struct ip_grpc *grpc)
{
    return grpc->fd ? grpc->fd : -1;
}

uint64_t ip_grpc_streams(const struct ip_grpc *grpc)
{
    return grpc->streams;
}
