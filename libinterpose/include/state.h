/* What the library knows of the process that it is in. Private memory: a forked child has a copy, a vfork child and
 * the threads share it. Written at start and by the rare calls that change it. */
#ifndef IP_STATE_H
#define IP_STATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "spool.h"

#define IP_RARE(condition) ((int)__builtin_expect(!!(condition), 0))
#define IP_EXPORT __attribute__((visibility("default")))
#define IP_PATH_MAX 4096
#define IP_SPOOL_PATH_MAX 256
#define IP_BASE_MAX 1024           /* on the stack: longer bases are left out */
#define IP_JOURNAL_MAPS 8

/* IP_SANDBOXED: a seccomp filter may end the process for a system call of ours, so there are none any more. IP_PARTLY: it is so for a vfork
 * child, or has been, and not for its parent, in whose memory it is: ip_thread tells them apart. */
enum ip_phase { IP_UNSTARTED = 0, IP_STARTING, IP_ON, IP_OFF, IP_SANDBOXED, IP_PARTLY };

struct ip_state {
    _Atomic int phase;             /* enum ip_phase */
    uint32_t pid;
    uint64_t start_time;           /* nanoseconds after boot */
    uint64_t pid_namespace;
    uint32_t parent_pid;
    uint64_t parent_start_time;    /* 0 if only the pid is known */
    uint64_t began;                /* CLOCK_BOOTTIME when the library started in this process */
    uint32_t reason;               /* Origin.Reason: how it came to be */
    _Atomic uint64_t owner;        /* what stands in its journals, and in no other process's */
    _Atomic int companions;        /* whether other processes may be running in this memory */
    _Atomic int files_shared;      /* whether other processes may change this one's descriptors */
    uint32_t *alive;               /* a page that the kernel wipes in a forked child: not zero in who wrote it */
    int wiped;                     /* whether it does */
    struct ip_control *control;
    uint32_t journal_size;         /* as `control` had it at the start, like the next two */
    uint32_t journals_per_segment;
    uint64_t redaction;
    uint64_t spool_id;             /* half of the spool's, which is enough to tell it from another */
    _Atomic(struct ip_journal *) home;      /* the process's first journal, with the descriptors' counters */
    _Atomic(struct ip_journal *) current;   /* the journal that is appended to */
    _Atomic(struct ip_journal *) retired[IP_JOURNAL_MAPS]; /* full ones that somebody may still write in */
    _Atomic int appending;         /* threads that are between reading `current` and finishing their record */
    _Atomic uint64_t retry_at;     /* no claim is tried before this time */
    _Atomic uint32_t reads;        /* counts reads of something new; see struct ip_fd.epoch */
    _Atomic uint32_t highest_fd;
    _Atomic(struct ip_fd *) far_fds;        /* descriptors beyond the home journal's */
    _Atomic int exit_status;
    int dispatched;                /* it is in a sandbox because its system calls become signals: exec ends that */
    _Atomic uint64_t refused;      /* system calls of ours that a seccomp filter of the program's does not surely let pass: filter.h */
    int constructed;               /* the loader will call the destructor too */
    _Atomic int rings;             /* whether the process has set up an io_uring */
    _Atomic int unseen;            /* whether the program, or an object in it, may act past libc */
    _Atomic uint32_t walks;        /* of trees, during which libc moves the process about by itself */
    const char *directory;         /* the working directory, one of the two buffers */
    char directories[2][IP_PATH_MAX];
    struct ip_reserve *reserve;    /* reserve.h; NULL if there is none */
    struct ip_journal *lent;       /* the parent's, where this process could not have one; NULL if it could */
    uint64_t lent_owner;           /* what stands in it as `owner` */
    int cut_off;                   /* the spool could not be reached when a journal was to be claimed */
    int entering;                  /* which of these two chroot(2) is about to make the root */
    const char *root;              /* where the process's root is, seen from the one that its program began with; "" for that */
    char roots[2][IP_BASE_MAX];
    char library[IP_SPOOL_PATH_MAX];    /* this library's path, as LD_PRELOAD named it */
    char spool[IP_SPOOL_PATH_MAX];
};

extern struct ip_state ip_state;

/* What a thread knows of itself. */
struct ip_thread {
    uint32_t id;                   /* 0: not asked yet */
    uint32_t vforks;               /* how many vforks deep */
    uint32_t borrower;             /* pid of the vfork child that runs on this thread's stack, 0 if none does */
    uint32_t unloading;            /* how many dlcloses deep */
    uint64_t borrower_start;
    int sandboxed;                 /* that child is, as IP_SANDBOXED; and how many vforks deep since */
    uint64_t refused;              /* by its filters; see ip_state.refused */
    void *room;                    /* that a vfork child has mapped and not released, since it executed a program */
    size_t room_size;
    uint32_t brief;                /* how many descriptors of ours it has open: brief.h */
    uint64_t ended_before;
    uint64_t forking;              /* when the fork began that it is in, 0 if it is in none */
    uintptr_t stack;               /* stack.h: the lowest address that counts, and how many bytes do; none if it is not known */
    size_t stack_size;
    int switched;                  /* whether this is a stack of ours; then all signals are blocked, and were before: */
    uint64_t blocked;
};

extern _Thread_local struct ip_thread ip_thread __attribute__((tls_model("initial-exec")));

int ip_start(void);                /* all return whether this process is recorded */
int ip_unusual(int phase);         /* so it is, or its state could be, in any phase but IP_ON */
int ip_start_forked(void);
int ip_start_restored(void);       /* a journal of the process is not its own (any more) */

static inline int ip_is_on(int phase)
{
    return phase == IP_ON || (phase == IP_PARTLY && !ip_thread.sandboxed);
}

/* Whether anything may be recorded: in a forked child that has not taken up its own state yet, too. */
static inline int ip_may_record(void)
{
    int phase = atomic_load_explicit(&ip_state.phase, memory_order_relaxed);

    return ip_is_on(phase) || phase == IP_UNSTARTED;
}

/* Whether calls are to be recorded; true in a forked child too, once it has taken up its own state. */
static inline int ip_recording(void)
{
    int phase = atomic_load_explicit(&ip_state.phase, memory_order_relaxed);

    if (IP_RARE(phase != IP_ON))
        return ip_unusual(phase);
    return IP_RARE(!*ip_state.alive) ? ip_start_forked() : 1;
}

static inline int ip_level_is_calls(void)
{
    return ip_state.control->level == IP_LEVEL_CALLS;
}

uint32_t ip_companion(void);

/* The pid of a process that runs in another's memory, a vfork child above all, else 0. What it does to descriptors and
 * directories concerns its own copies, not the state in this memory. */
static inline uint32_t ip_borrower(void)
{
    if (IP_RARE(ip_thread.borrower))
        return ip_thread.borrower;
    return IP_RARE(atomic_load_explicit(&ip_state.companions, memory_order_relaxed)) ? ip_companion() : 0;
}

static inline int ip_is_borrower(void)
{
    return ip_borrower() != 0;
}

uint64_t ip_borrower_start(void);  /* nanoseconds after boot; asked once of a vfork child */
uint64_t ip_process_start_time(void);
uint64_t ip_start_time_of(uint32_t pid);
uint32_t ip_parent_of(uint32_t pid);
/* Where the kernel put them for main; NULL if it does not tell. `name` (AT_EXECFN) stands behind them. */
char **ip_process_arguments(uintptr_t name);

#endif
