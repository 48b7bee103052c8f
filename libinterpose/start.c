/* Taking up a process: at the start of its program, at the first call that comes earlier, and in a forked child,
 * and after a restore from a checkpoint. */
#include <linux/auxvec.h>

#include "absent.h"
#include "brief.h"
#include "clock.h"
#include "consult.h"
#include "elf.h"
#include "environment.h"
#include "files.h"
#include "io.h"
#include "loads.h"
#include "origin.h"
#include "place.h"
#include "reserve.h"
#include "stack.h"
#include "start.h"
#include "streams.h"
#include "stream.h"
#include "syscall.h"
#include "unseen.h"
#include "unstarted.h"

struct ip_state ip_state;
_Thread_local struct ip_thread ip_thread;

/* The kernel lays out argc, argv, envp and the auxiliary vector one after another. */
static const unsigned long *auxiliary_vector_after(char **arguments)
{
    char **at = arguments;

    while (*at)
        at++;
    for (at++; *at; at++)
        ;
    return (const unsigned long *)(at + 1);
}

/* For calls that come before anybody has told us where the stack is. */
static const unsigned long *read_auxiliary_vector(void)
{
    static unsigned long vector[128];
    int fd = ip_brief_open(AT_FDCWD, "/proc/self/auxv", O_RDONLY, 0);

    if (fd < 0)
        return NULL;
    long size = ip_sys_read(fd, vector, sizeof vector - 2 * sizeof *vector);
    ip_brief_close(fd);
    return size > 0 ? vector : NULL;
}

/* Those of main, for calls that come before it. */
static char **find_arguments(void)
{
    const unsigned long *vector = read_auxiliary_vector();

    for (; vector && *vector; vector += 2)
        if (*vector == AT_EXECFN)
            return ip_process_arguments(vector[1]);
    return NULL;
}

/* The library and the spool are neighbours: the library's own path says where. */
static int find_spool(const char *program)
{
    const char *path = ip_elf_self()->name;
    char *end = ip_append(ip_state.library, ip_state.library + sizeof ip_state.library, path);

    if (!end || path[0] != '/')
        return -1;
    memcpy(ip_state.spool, ip_state.library, sizeof ip_state.spool);
    char *slash = ip_state.spool + (end - ip_state.library);
    while (*slash != '/')
        slash--;
    return ip_append(slash, ip_state.spool + sizeof ip_state.spool, "/spool") ? ip_spool_open(program) : -1;
}

/* The kernel empties this page in every forked child, also in one that was forked past our wrappers. Where it does not know
 * MADV_WIPEONFORK such a child is known by its pid. */
static int make_alive_page(const char *program)
{
    ip_state.alive = ip_map_memory(4096);
    if (ip_is_error(ip_state.alive)) {
        ip_unstarted(ip_state.control, -1, (int)(long)ip_state.alive, program);
        return -1;
    }
    ip_state.wiped = !ip_sys_madvise(ip_state.alive, 4096, 18 /* MADV_WIPEONFORK */);
    atomic_store(&ip_state.companions, !ip_state.wiped);
    *ip_state.alive = 1;
    return 0;
}

/* A process is known by pid and start time, so these two make its mark: no other has it in this spool. */
static void identify(uint64_t start_time, enum ip_wire_Origin_Reason reason)
{
    ip_state.start_time = start_time;
    ip_state.reason = (uint32_t)reason;
    atomic_store(&ip_state.owner, start_time ^ (uint64_t)ip_state.pid << 40);
}

static const char *program_in(const unsigned long *auxiliary_vector)
{
    for (; auxiliary_vector[0]; auxiliary_vector += 2)
        if (auxiliary_vector[0] == AT_EXECFN)
            return (const char *)auxiliary_vector[1];
    return NULL;
}

static void ignore_own_data(void)
{
    struct ip_segment data = ip_elf_segment(ip_elf_self(), (uintptr_t)&ip_state);

    ip_valgrind_ignore((const void *)data.first, data.last - data.first);
    ip_valgrind_ignore(&ip_thread, sizeof ip_thread);
}

static int take_up(const unsigned long *auxiliary_vector)
{
    ip_valgrind_start();
    if (!auxiliary_vector || ip_elf_start(auxiliary_vector) < 0)
        return -1;
    ignore_own_data();
    ip_clock_start(auxiliary_vector);
    const char *program = program_in(auxiliary_vector);
    if (find_spool(program) < 0 || make_alive_page(program) < 0)
        return -1;
    ip_state.pid = (uint32_t)ip_sys_getpid();
    ip_state.parent_pid = (uint32_t)ip_syscall(__NR_getppid, 0, 0, 0, 0, 0, 0);
    identify(ip_process_start_time(), IP_ORIGIN_REASON_REASON_IMAGE);
    ip_state.began = ip_now();
    ip_state.root = ip_state.roots[0];
    ip_directory_refresh();
    return 0;
}

int ip_start_at(char **arguments)
{
    int unstarted = IP_UNSTARTED;

    if (!atomic_compare_exchange_strong(&ip_state.phase, &unstarted, IP_STARTING))
        return ip_unusual(unstarted);
    int on = !take_up(arguments ? auxiliary_vector_after(arguments) : read_auxiliary_vector());
    if (ip_elf_self()) {
        ip_environment_hide();
        ip_absent_hide();
    }
    atomic_store(&ip_state.phase, on ? IP_ON : IP_OFF);
    if (!on)
        return 0;
    ip_origin_set_arguments(arguments);
    ip_stack_is_mains(arguments);
    ip_home();
    ip_unseen_program();
    ip_loads_tell("");
    ip_loads_tell_of_auditors();
    ip_stdio_start();
    ip_consult_loader();
    return 1;
}

int ip_start(void)
{
    return ip_start_at(find_arguments());
}

int ip_unusual(int phase)
{
    if (phase == IP_UNSTARTED)
        return ip_start();
    return ip_is_on(phase) && (*ip_state.alive || ip_start_forked());
}

/* glibc's loader calls constructors with main's arguments; musl calls them with none, but after __libc_start_main. */
__attribute__((constructor)) static void construct(int count, char **arguments)
{
    ip_state.constructed = 1;
    if (atomic_load(&ip_state.phase) == IP_UNSTARTED)
        ip_start_at(count >= 0 && arguments && !arguments[count] ? arguments : find_arguments());
    else
        ip_environment_hide();
}

__attribute__((destructor)) static void destroy(void)
{
    ip_finish("exit", atomic_load(&ip_state.exit_status));
}

static void take_up_forked(void *unused)
{
    (void)unused;
    uint64_t forking = ip_thread.forking;
    uint32_t borrower = ip_thread.borrower;
    ip_brief_forked();
    *ip_state.alive = 1;
    ip_state.parent_pid = borrower ? borrower : ip_state.pid;
    ip_state.parent_start_time = borrower ? ip_thread.borrower_start : ip_state.start_time;
    if (atomic_exchange(&ip_state.companions, !ip_state.wiped) && ip_state.wiped) {
        ip_state.parent_pid = (uint32_t)ip_syscall(__NR_getppid, 0, 0, 0, 0, 0, 0);
        ip_state.parent_start_time = 0;
    }
    ip_thread = (struct ip_thread){.unloading = ip_thread.unloading,
                                   .brief = ip_thread.brief,
                                   .stack = ip_thread.stack,
                                   .stack_size = ip_thread.stack_size,
                                   .switched = ip_thread.switched,
                                   .blocked = ip_thread.blocked};
    ip_stacks_forked();
    ip_state.files_shared = 0;
    ip_state.pid = (uint32_t)ip_sys_getpid();
    ip_state.began = forking ? forking : ip_now();
    uint64_t start = ip_process_start_time();
    identify(start ? start : ip_state.began, IP_ORIGIN_REASON_REASON_FORK); /* one that does not see /proc has another than its former namesakes */
    ip_journals_drop();
    ip_stream_forget();
    ip_fds_drop();
    ip_loads_forked();
}

/* No handler may run in the midst of it: what it told would go into the parent's journal. */
int ip_start_forked(void)
{
    uint64_t all = ~UINT64_C(0), before;

    if (!ip_is_on(atomic_load(&ip_state.phase)))
        return 0;
    ip_syscall(__NR_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&all, (long)&before, sizeof all, 0, 0);
    if (!*ip_state.alive || ip_state.pid != (uint32_t)ip_sys_getpid())
        ip_with_stack(take_up_forked, NULL);
    ip_syscall(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, (long)&before, 0, sizeof before, 0, 0);
    return 1;
}

/* It has its memory back, and nothing of what it shared. Several threads may be here at once, handlers, and a vfork child for
 * its parent: all find the same. Who it was is known where its journals are; elsewhere only its parent's pid means something. */
int ip_start_restored(void)
{
    uint64_t before = ip_state.start_time, now = ip_start_time_of(ip_state.pid);
    int same;

    ip_reserve_forget();
    if (ip_spool_reopen(&same) < 0) {
        atomic_store(&ip_state.phase, IP_OFF);
        return 0;
    }
    atomic_fetch_add(&ip_state.appending, 1);
    if (now && now != before) {
        ip_state.parent_pid = same ? ip_state.pid : ip_parent_of(ip_state.pid);
        ip_state.parent_start_time = same ? before : 0;
        ip_state.pid_namespace = 0;
    }
    ip_state.began = ip_now();
    identify(now ? now : before, IP_ORIGIN_REASON_REASON_RESTORED);
    if (ip_journals_leave(same)) {
        ip_stream_restored();
        ip_fds_restored();
        ip_loads_restored();
    }
    atomic_fetch_sub(&ip_state.appending, 1);
    return 1;
}
