/* A gRPC client for one call, interpose.v1.Capture/Stream, over a Unix socket: journal ranges up, acknowledgements down.
 *
 * It lives inside an application that must not notice it: no heap, no threads, no signals, and nothing here ever waits.
 * Every call does a bounded amount of work and leaves the rest to the next one. What does not arrive is not lost: the
 * events stay in their journal, and after a reconnection the stream goes on behind the last acknowledgement.
 *
 * One thread at a time may be inside these functions. A struct ip_grpc of zeros is ready for use. */
#ifndef IP_GRPC_H
#define IP_GRPC_H

#include <stdbool.h>
#include <stdint.h>

/* Why there is no stream, or why the last one ended. */
enum ip_grpc_end {
    IP_GRPC_NEVER = 0,
    IP_GRPC_UNREACHABLE,           /* no socket, nobody listens there, or its queue is full */
    IP_GRPC_BROKEN,                /* the connection broke */
    IP_GRPC_FINISHED,              /* the peer ended the stream in the protocol's own way */
    IP_GRPC_MALFORMED,             /* the peer did not speak HTTP/2, or not gRPC */
    IP_GRPC_TAKEN,                 /* the application closed or replaced the descriptor */
    IP_GRPC_CLOSED,                /* ip_grpc_close */
};

/* Events that should reach the peer: records of one journal, whole ones. Their memory is read by this call and by later
 * ones, until one has been given another journal's. */
struct ip_grpc_range {
    uint64_t journal;
    const uint8_t *events;         /* where the journal's events begin */
    uint64_t from;                 /* where to begin if this is another journal than the last; between records */
    uint64_t to;
};

struct ip_grpc_acknowledgement {
    uint64_t journal;
    uint64_t offset;               /* the peer's database has everything before */
};

#define IP_GRPC_FRAME_HEAD 9u      /* RFC 9113, section 4.1 */
#define IP_GRPC_PREFIX 5u          /* of each gRPC message: compressed or not, length */
#define IP_GRPC_BATCH_HEAD 22u     /* Batch.journal and Batch.offset at their longest */
#define IP_GRPC_REPLIES 128u
#define IP_GRPC_MESSAGE_MAX 64u    /* an Acknowledgement has at most 22 bytes; the rest is for fields to come */
#define IP_GRPC_BUFFER 512u

/* What goes out on one connection: at most one frame at a time, which must be finished before anything else is sent. */
struct ip_grpc_out {
    const uint8_t *body;           /* the rest of the message, in the journal */
    uint64_t message_end;          /* the journal's offset behind the message */
    int64_t connection_window;     /* what the peer allows; the stream's may become negative (RFC 9113, section 6.9.2) */
    int64_t stream_window;
    uint32_t initial_window;
    uint32_t frame_max;
    uint32_t body_left;
    uint32_t frame_left;           /* of the payload */
    bool broken;                   /* the peer takes nothing any more */
    uint8_t head_left;
    uint8_t prefix_left;
    uint8_t prefix_size;
    uint8_t replies_at;
    uint8_t replies_size;
    uint8_t head[IP_GRPC_FRAME_HEAD];
    uint8_t prefix[IP_GRPC_PREFIX + IP_GRPC_BATCH_HEAD];
    uint8_t replies[IP_GRPC_REPLIES];
};

/* What comes in on one connection: the frame and the message that are being read. */
struct ip_grpc_in {
    uint32_t left;                 /* of the frame's payload */
    uint32_t padding;              /* at the payload's end */
    uint32_t taken;                /* bytes of DATA that no WINDOW_UPDATE has given back yet */
    uint16_t at;
    uint16_t size;
    uint8_t type;
    uint8_t flags;
    uint8_t stream;                /* 0, 1; more where it does not matter */
    bool greeted;                  /* the peer's first SETTINGS came */
    bool continued;                /* header block goes on in a CONTINUATION */
    bool padded;                   /* the next byte says how much padding there is */
    uint8_t head_have;
    uint8_t item_have;
    uint8_t message_have;
    uint8_t head[IP_GRPC_FRAME_HEAD];
    uint8_t item[8];               /* a setting, an increment, a ping */
    uint8_t message[IP_GRPC_PREFIX + IP_GRPC_MESSAGE_MAX];
    uint8_t buffer[IP_GRPC_BUFFER];
};

struct ip_grpc {
    int32_t fd;                    /* 0: none, which a stream's never is */
    uint32_t end;                  /* enum ip_grpc_end */
    uint64_t streams;              /* begun so far */
    uint64_t socket;               /* its inode, and */
    uint64_t device;               /* that one's device: is the descriptor still ours? */
    uint64_t now;
    uint64_t pause;                /* before the next attempt */
    uint64_t retry_at;
    /* how far the journal is that the stream is at */
    const uint8_t *events;         /* NULL: at none */
    uint64_t journal;
    uint64_t sent;
    uint64_t acknowledged;
    struct ip_grpc_out out;
    struct ip_grpc_in in;
};
_Static_assert(sizeof(struct ip_grpc) <= 1024, "lies in the data of every application");

/* Hands records to the kernel, as many as the peer's windows and the socket's buffer take now, and connects to the
 * socket `path` first if there is no stream and the pause since the last attempt is over (`now`: nanoseconds of any
 * clock that does not go back). Returns how far this journal is handed over. That is less than before when a new stream
 * begins again behind the last acknowledgement; so `events` is where the journal's events begin, not the range's. When
 * the journal changes, the one before is left as it is: whoever wants its rest sent waits with the next one. */
uint64_t ip_grpc_push(struct ip_grpc *grpc, const char *path, uint64_t now, const struct ip_grpc_range *range);

/* Reads what the peer sent and answers it. True with the next acknowledgement, false when there is none now. Each call
 * is bounded; a loop around it is as long as the peer wishes, so the caller bounds that too. */
bool ip_grpc_poll(struct ip_grpc *grpc, uint64_t now, struct ip_grpc_acknowledgement *acknowledgement);

/* Closes the descriptor, this process's copy of it, and sends nothing: what was handed over and not acknowledged may be
 * lost to the peer. In a fork child the parent's stream goes on undisturbed. */
void ip_grpc_close(struct ip_grpc *grpc);

/* The same after a restore from a checkpoint, which made another socket of it. Begins with nothing sent, and at once. */
void ip_grpc_abandon(struct ip_grpc *grpc);

/* The stream's descriptor, or -1. */
int ip_grpc_fd(const struct ip_grpc *grpc);

/* How many streams were begun. */
uint64_t ip_grpc_streams(const struct ip_grpc *grpc);

#endif
