/* pthread_create(3) and thrd_create(3): the new thread tells of itself, who made it, and its end. Its start function travels in a slot of a
 * static table, since nothing may be allocated; where all are taken the thread starts unannounced. */
#include "cleanup.h"
#include "files.h"
#include "syscall.h"
#include "wrapper.h"

struct start {
    _Atomic int taken;
    const char *creator;
    void *function;                /* what it returns depends on the creator */
    void *argument;
    uint32_t parent;
    size_t stack_size;
};

static struct start starts[256];

static struct start *take(void)
{
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        int free = 0;
        if (!atomic_load_explicit(&starts[i].taken, memory_order_relaxed) &&
            atomic_compare_exchange_strong(&starts[i].taken, &free, 1))
            return &starts[i];
    }
    return NULL;
}

static _Atomic size_t default_size; /* as the program has set it; 0 if it has not */

static size_t size_in(const pthread_attr_t *attributes)
{
    int (*get)(const pthread_attr_t *, size_t *) =
        (int (*)(const pthread_attr_t *, size_t *))IP_REAL(pthread_attr_getstacksize);
    size_t size = 0;

    return get && !get(attributes, &size) ? size : 0;
}

static size_t size_by_default(void)
{
    size_t size = atomic_load(&default_size);

    return size ? size : ip_stack_default();
}

IP_EXPORT int pthread_setattr_default_np(const pthread_attr_t *attributes);
IP_EXPORT int pthread_setattr_default_np(const pthread_attr_t *attributes)
{
    int (*real)(const pthread_attr_t *) = (int (*)(const pthread_attr_t *))IP_REAL(pthread_setattr_default_np);

    if (!real)
        return IP_ENOSYS;
    int error = real(attributes);
    if (!error && size_in(attributes))
        atomic_store(&default_size, size_in(attributes));
    return error;
}

static struct start *prepare(const char *creator, const pthread_attr_t *attributes, void *function, void *argument)
{
    struct start *slot = ip_recording() ? take() : NULL;

    if (!slot)
        return NULL;
    slot->creator = creator;
    slot->function = function;
    slot->argument = argument;
    slot->parent = (uint32_t)ip_sys_gettid();
    slot->stack_size = attributes ? size_in(attributes) : size_by_default();
    return slot;
}

static void tell_exit(const char *creator, int unwound)
{
    struct ip_wire_ThreadExit message = {.unwound = (uint32_t)unwound};

    if (!ip_recording())
        return;
    struct ip_wire_Event event = ip_event(creator, 0);
    event.effect = IP_EVENT_THREAD_EXIT;
    event.thread_exit = &message;
    ip_emit(&event);
}

IP_CLEANUP_ROUTINE static void unwound(void *creator)
{
    tell_exit(creator, 1);
}

/* In the new thread: gives the slot back and tells of the start. */
static struct start begin(struct start *slot)
{
    struct start start = {.creator = slot->creator, .function = slot->function, .argument = slot->argument, .parent = slot->parent};

    ip_stack_is(slot->stack_size);
    ip_valgrind_ignore(&ip_thread, sizeof ip_thread);
    atomic_store(&slot->taken, 0);
    if (ip_recording()) {
        struct ip_wire_ThreadStart message = {.parent = start.parent};
        struct ip_wire_Event event = ip_event(start.creator, 0);
        event.effect = IP_EVENT_THREAD_START;
        event.thread_start = &message;
        ip_emit(&event);
    }
    return start;
}

static void *run(void *memory)
{
    struct start start = begin(memory);
    struct ip_cleanup cleanup;

    ip_cleanup_push(&cleanup, unwound, (void *)start.creator);
    void *result = ((void *(*)(void *))start.function)(start.argument);
    ip_cleanup_pop(&cleanup);
    tell_exit(start.creator, 0);
    return result;
}

static int run_c11(void *memory)
{
    struct start start = begin(memory);
    struct ip_cleanup cleanup;

    ip_cleanup_push(&cleanup, unwound, (void *)start.creator);
    int result = ((int (*)(void *))start.function)(start.argument);
    ip_cleanup_pop(&cleanup);
    tell_exit(start.creator, 0);
    return result;
}

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

IP_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);
IP_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    create_function *real = (create_function *)IP_REAL(pthread_create);

    if (!real)
        return IP_ENOSYS;
    struct start *slot = prepare("pthread_create", attributes, (void *)function, argument);
    if (!slot)
        return real(thread, attributes, function, argument);
    int error = real(thread, attributes, run, slot);
    if (error)
        atomic_store(&slot->taken, 0);
    return error;
}

typedef int c11_function(thrd_t *, int (*)(void *), void *);

IP_EXPORT int thrd_create(thrd_t *thread, int (*function)(void *), void *argument);
IP_EXPORT int thrd_create(thrd_t *thread, int (*function)(void *), void *argument)
{
    c11_function *real = (c11_function *)IP_REAL(thrd_create);

    if (!real)
        return 2 /* thrd_error */;
    struct start *slot = prepare("thrd_create", NULL, (void *)function, argument);
    if (!slot)
        return real(thread, function, argument);
    int error = real(thread, run_c11, slot);
    if (error)
        atomic_store(&slot->taken, 0);
    return error;
}
