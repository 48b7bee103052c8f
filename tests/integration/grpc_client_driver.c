/* Drives the gRPC client for test_grpc_client.py: one command a line on standard input, one line of answer each.
 *
 *     driver SOCKET JOURNAL-FILE FAULT-SEED
 *
 * With a fault seed other than 0 the kernel is made to send and receive less than it was asked to, or nothing. The client
 * is included, not linked, so that its system calls can be replaced here. The clock runs as the commands say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ip_syscall ip_syscall_of_the_kernel
#include "syscall.h"
#undef ip_syscall

static long ip_syscall(long number, long a, long b, long c, long d, long e, long f);

#include "../../libinterpose/grpc.c"

static unsigned int fault_seed;
static bool blocked;
static unsigned long sends, receives, connects;

static unsigned int chance(unsigned int below)
{
    return (unsigned int)rand_r(&fault_seed) % below;
}

/* Cuts the message down to a few bytes. */
static void cut(struct message_header *message)
{
    size_t left = 1 + chance(chance(2) ? 40 : 20000);

    for (size_t i = 0; i < message->part_count; i++) {
        if (message->parts[i].iov_len > left)
            message->parts[i].iov_len = left;
        left -= message->parts[i].iov_len;
    }
}

static long ip_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    sends += number == __NR_sendmsg;
    receives += number == __NR_recvfrom;
    connects += number == __NR_connect;
    if (blocked && number == __NR_sendmsg)
        return -EAGAIN;
    if (fault_seed && number == __NR_sendmsg) {
        if (!chance(3))
            return -EAGAIN;
        cut((struct message_header *)b);
    }
    if (fault_seed && number == __NR_recvfrom) {
        if (!chance(3))
            return -EAGAIN;
        c = 1 + (long)chance((unsigned int)c);
    }
    return ip_syscall_of_the_kernel(number, a, b, c, d, e, f);
}

static struct ip_grpc client;
static const char *socket_path;
static uint8_t *events;
static uint64_t events_size, journal, now, written, acknowledged;
static unsigned int slice_seed = 1;

static void read_journal(const char *path)
{
    FILE *file = fopen(path, "r");

    if (!file || fseek(file, 0, SEEK_END))
        exit(1);
    events_size = (uint64_t)ftell(file);
    rewind(file);
    events = aligned_alloc(8, events_size + 8);
    if (!events || fread(events, 1, events_size, file) != events_size)
        exit(1);
    fclose(file);
}

static uint64_t push(uint64_t to)
{
    struct ip_grpc_range range = { .journal = journal, .events = events, .from = acknowledged, .to = to };

    return ip_grpc_push(&client, socket_path, now, &range);
}

static bool poll_once(struct ip_grpc_acknowledgement *acknowledgement)
{
    bool found = ip_grpc_poll(&client, now, acknowledgement);

    if (found && acknowledgement->journal == journal && acknowledgement->offset > acknowledged)
        acknowledged = acknowledgement->offset;
    return found;
}

/* As an application would: it records some more, flushes now and then, and never waits. */
static void run(unsigned long milliseconds)
{
    struct ip_grpc_acknowledgement acknowledgement;
    const struct timespec pause = { .tv_nsec = 50000 };

    for (unsigned long turn = 0; turn < milliseconds * 10 && acknowledged < events_size; turn++) {
        for (unsigned int records = (unsigned int)rand_r(&slice_seed) % 100; records && written < events_size; records--)
            written += record_size(events + written, events_size - written);
        if (push(written) > written)
            abort();
        while (poll_once(&acknowledgement))
            continue;
        now += 100000000;
        nanosleep(&pause, NULL);
    }
}

/* Puts another file in the place of the stream's descriptor, as a program does that does not know about it. */
static void steal(const char *path)
{
    int fd = ip_sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);

    if (dup2(fd, ip_grpc_fd(&client)) < 0)
        exit(1);
    close(fd);
}

static void set_limit(unsigned long long soft)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = soft;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void fork_child_that_closes(void)
{
    pid_t child = fork();

    if (!child) {
        ip_grpc_close(&client);
        _exit(ip_grpc_fd(&client) != -1);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status)
        exit(1);
}

static void obey(const char *command, unsigned long long number, const char *word)
{
    if (!strcmp(command, "push"))
        printf("%llu", (unsigned long long)push(number));
    else if (!strcmp(command, "run"))
        run((unsigned long)number);
    else if (!strcmp(command, "poll")) {
        struct ip_grpc_acknowledgement got;
        for (unsigned long long i = 0; i < number; i++)
            if (poll_once(&got))
                printf("%llu:%llu ", (unsigned long long)got.journal, (unsigned long long)got.offset);
    } else if (!strcmp(command, "wait"))
        now += number * 1000000;
    else if (!strcmp(command, "journal")) {
        journal = number;
        acknowledged = written = 0;
    } else if (!strcmp(command, "slices"))
        slice_seed = (unsigned int)number;
    else if (!strcmp(command, "block"))
        blocked = number;
    else if (!strcmp(command, "limit"))
        set_limit(number);
    else if (!strcmp(command, "shut"))
        close(number ? (int)number : ip_grpc_fd(&client));
    else if (!strcmp(command, "steal"))
        steal(word);
    else if (!strcmp(command, "fork"))
        fork_child_that_closes();
    else if (!strcmp(command, "close"))
        ip_grpc_close(&client);
    else if (strcmp(command, "state") != 0)
        exit(2);
}

static void print_state(void)
{
    printf("; %d %u %llu %llu %llu %lu %lu %lu\n", ip_grpc_fd(&client), client.end,
           (unsigned long long)ip_grpc_streams(&client), (unsigned long long)client.sent,
           (unsigned long long)acknowledged, sends, receives, connects);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[256], command[16], word[200];

    if (argc != 4)
        return 2;
    socket_path = argv[1];
    read_journal(argv[2]);
    fault_seed = (unsigned int)atoi(argv[3]);
    while (fgets(line, sizeof line, stdin)) {
        word[0] = 0;
        if (sscanf(line, "%15s %199s", command, word) < 1)
            return 2;
        obey(command, strtoull(word, NULL, 10), word);
        print_state();
    }
    return 0;
}
