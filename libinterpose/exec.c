#include "exec.h"

#include "arguments.h"
#include "brief.h"
#include "clock.h"
#include "consult.h"
#include "env.h"
#include "environment.h"
#include "filter.h"
#include "io.h"
#include "loads.h"
#include "place.h"
#include "syscall.h"

/* What telling takes in a sandbox, and what it takes to ask when a process has started. */
#define TELLING_CALLS (IP_OWN_CALL(faccessat) | IP_OWN_CALL(rt_sigprocmask) | IP_OWN_CALL(clock_gettime) | IP_OWN_CALL(gettid) | IP_OWN_CALL(getpid))
#define STARTED_CALLS (IP_OWN_CALL(openat) | IP_OWN_CALL(read) | IP_OWN_CALL(close))

/* What is blind is described in full, since nobody else will; the others tell of themselves when they start. */
static int fill_blind_spot(const struct ip_image *image, struct ip_wire_BlindSpot *spot, struct ip_wire_Name *name,
                           char base[IP_BASE_MAX])
{
    if (!image->blind)
        return 0;
    *name = ip_name(0, AT_FDCWD, image->blind_path, base);
    *spot = (struct ip_wire_BlindSpot){.cause = image->blind, .name = name, .file = &image->file};
    return 1;
}

int ip_exec_is_readable(const char *path, char *const *arguments, char *const *environment)
{
    return (!path || ip_path_is_readable(path)) && (!arguments || ip_sys_can_read(arguments)) &&
           (!environment || ip_sys_can_read(environment));
}

char *const *ip_environment_for(const struct ip_image *image, char *const *arguments, char *const *given, void *memory)
{
    if (!ip_image_takes_library(image))
        return given;
    return ip_image_lists_libraries(image, arguments) ? ip_environment_without_us(given, memory) : ip_environment_merge(given, memory);
}

/* What a hook of these is given. */
struct told {
    const char *function;
    const struct ip_image *image;
    char *const *arguments;
    uint32_t child;
    int error;
};

static void tell_begin(void *memory)
{
    const struct told *told = memory;
    const struct ip_image *image = told->image;
    char base[IP_BASE_MAX], blind_base[IP_BASE_MAX];
    struct ip_wire_BlindSpot spot;
    struct ip_wire_Name blind_name, name;
    struct ip_wire_Exec exec = {.name = &name, .file = image->known ? &image->file : NULL};

    /* A forked child that has told of nothing yet leaves it to the new image to do so. */
    if (!image->known || (!image->blind && !ip_level_is_calls() && (ip_is_borrower() || !ip_home_if_any())))
        return;
    if (image->searched)
        ip_env_asked(told->function, "PATH");
    ip_loads_refresh();
    ip_consult_finish(told->function);
    ip_fds_flush(told->function);
    name = ip_name(0, image->dir, image->path, base);
    if (fill_blind_spot(image, &spot, &blind_name, blind_base)) {
        exec.blind_spot = &spot;
        exec.arguments = ip_arguments_that_fit(told->arguments, &exec.arguments_omitted);
    }
    struct ip_wire_Event event = ip_event(told->function, 0);
    event.effect = IP_EVENT_EXEC;
    event.exec = &exec;
    ip_emit(&event);
}

void ip_exec_begins(const char *function, const struct ip_image *image, char *const *arguments)
{
    ip_with_stack(tell_begin, &(struct told){.function = function, .image = image, .arguments = arguments});
}

static void tell_failure(void *memory)
{
    const struct told *told = memory;
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = ip_name(told->error, told->image->dir, told->image->path, base);
    struct ip_wire_Exec exec = {.name = &name};
    struct ip_wire_Event event = ip_event(told->function, told->error);

    event.effect = IP_EVENT_EXEC;
    event.exec = &exec;
    ip_emit(&event);
}

void ip_exec_failed(const char *function, const struct ip_image *image, int error)
{
    ip_with_stack(tell_failure, &(struct told){.function = function, .image = image, .error = error});
}

static void tell_spawn(void *memory)
{
    const struct told *told = memory;
    const struct ip_image *image = told->image;
    char base[IP_BASE_MAX], blind_base[IP_BASE_MAX];
    struct ip_wire_BlindSpot spot;
    struct ip_wire_Name blind_name, name = ip_name(0, image->dir, image->path, base);
    struct ip_wire_Spawn spawn = {.child = told->child, .name = &name, .file = image->known ? &image->file : NULL};

    if (image->searched)
        ip_env_asked(told->function, "PATH");
    if (fill_blind_spot(image, &spot, &blind_name, blind_base))
        spawn.blind_spot = &spot;
    spawn.arguments = ip_arguments_that_fit(told->arguments, &spawn.arguments_omitted);
    struct ip_wire_Event event = ip_event(told->function, 0);
    event.effect = IP_EVENT_SPAWN;
    event.spawn = &spawn;
    ip_emit(&event);
}

int ip_exec_is_sandboxed(void)
{
    return ip_thread.sandboxed || atomic_load(&ip_state.phase) == IP_SANDBOXED;
}

/* By another process than the journal's: a vfork child, or a child that was forked in the sandbox and has no journal of its own. */
static struct ip_wire_Process *borrowing(struct ip_wire_Process *process)
{
    if (ip_thread.sandboxed)
        *process = (struct ip_wire_Process){ip_thread.borrower, ip_thread.borrower_start};
    else if (!*ip_state.alive)
        *process = (struct ip_wire_Process){(uint32_t)ip_sys_getpid(), ip_may(STARTED_CALLS) ? ip_process_start_time() : 0};
    else
        return NULL;
    return process;
}

void ip_exec_told_in_sandbox(const char *function, int dir, const char *path, char *const *arguments, int error)
{
    struct ip_wire_Name name = {.base = ip_text("")};
    struct ip_wire_BlindSpot spot = {.cause = IP_BLINDSPOT_CAUSE_CAUSE_SECCOMP, .name = &name};
    struct ip_wire_Exec exec = {.name = &name, .blind_spot = error ? NULL : &spot};
    struct ip_wire_Process process;

    if (!ip_may(TELLING_CALLS) || atomic_load(&ip_state.companions) || !ip_exec_is_readable(path, arguments, NULL))
        return;
    name.path = ip_text(path);
    if (path && path[0] != '/' && dir == AT_FDCWD && !ip_thread.sandboxed)
        name.base = ip_text(ip_state.directory);
    if (!error)
        exec.arguments = ip_arguments_that_fit(arguments, &exec.arguments_omitted);
    struct ip_wire_Event event = ip_event(function, error);
    event.process = borrowing(&process);
    event.effect = IP_EVENT_EXEC;
    event.exec = &exec;
    ip_append_quietly(&event);
}

void ip_spawned(const char *function, uint32_t child, const struct ip_image *image, char *const *arguments)
{
    ip_with_stack(tell_spawn, &(struct told){.function = function, .image = image, .arguments = arguments, .child = child});
}

void ip_forked(const char *function, uint32_t child, int vfork)
{
    struct ip_wire_Fork fork = {.child = child, .vfork = (uint32_t)vfork};
    struct ip_wire_Event event = ip_event(function, 0);

    event.effect = IP_EVENT_FORK;
    event.fork = &fork;
    ip_emit(&event);
}

void ip_before_fork(void)
{
    if (!ip_recording())
        return;
    ip_loads_refresh(); /* or each child would tell of what its parent has loaded */
    ip_thread.forking = ip_now();
    ip_brief_before_fork();
}

void ip_after_fork_in_child(void)
{
    if (ip_is_on(atomic_load(&ip_state.phase)) && ip_state.pid != (uint32_t)ip_sys_getpid())
        ip_start_forked();
}

void *ip_large_room(size_t size)
{
    void *room = ip_map_memory(size);

    if (ip_is_error(room))
        return NULL;
    if (ip_thread.borrower) {
        ip_thread.room = room;
        ip_thread.room_size = size;
    }
    return room;
}

void ip_release_room(void *room, size_t size)
{
    if (!room)
        return;
    ip_sys_munmap(room, size);
    if (ip_thread.room == room)
        ip_thread.room = NULL;
}
