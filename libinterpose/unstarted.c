#include "unstarted.h"

#include <linux/errno.h>

#include "clock.h"
#include "memory.h"
#include "state.h"
#include "syscall.h"

/* The number in "pid:[4026531836]": statx may be what is refused. */
static uint64_t own_namespace(void)
{
    char text[64];
    long size = ip_sys_readlinkat(AT_FDCWD, "/proc/self/ns/pid", text, sizeof text - 1);
    uint64_t number = 0;

    text[size > 0 ? size : 0] = 0;
    const char *at = ip_find(text, '[');
    for (at += at != NULL; at && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number;
}

static struct ip_unstarted mark_of(uint32_t cause, const char *program)
{
    struct ip_unstarted mark = {
        .time = ip_now(), .start_time = ip_process_start_time(), .pid_namespace = own_namespace(), .pid = (uint32_t)ip_sys_getpid(), .cause = cause};

    for (size_t i = 0; program && program[i] && i < sizeof mark.program; i++)
        mark.program[i] = program[i];
    return mark;
}

static long place_of(uint64_t number)
{
    return (long)(IP_UNSTARTED_OFFSET + number % IP_UNSTARTED_KEPT * sizeof(struct ip_unstarted));
}

/* Where the page is not mapped two may take one number; then one mark is lost, and the count is one short. */
static void write_through(int fd, struct ip_control *page, const struct ip_unstarted *mark)
{
    uint64_t number = page->unstarted[0] + page->unstarted[1];
    uint64_t *count = &page->unstarted[mark->cause - 1];

    ++*count;
    ip_sys_pwrite(fd, mark, sizeof *mark, place_of(number));
    ip_sys_pwrite(fd, count, sizeof *count, (long)((uint8_t *)count - (uint8_t *)page));
}

static void write_into(struct ip_control *page, const struct ip_unstarted *mark)
{
    uint64_t others = __atomic_load_n(&page->unstarted[2 - mark->cause], __ATOMIC_RELAXED);
    uint64_t number = others + __atomic_load_n(&page->unstarted[mark->cause - 1], __ATOMIC_RELAXED);

    memcpy((uint8_t *)page + place_of(number), mark, sizeof *mark);
    __atomic_fetch_add(&page->unstarted[mark->cause - 1], 1, __ATOMIC_RELEASE);
}

static int is_control(const struct ip_control *page)
{
    return page->magic == IP_CONTROL_MAGIC && page->version == IP_SPOOL_VERSION;
}

void ip_unstarted(struct ip_control *control, int fd, int error, const char *program)
{
    struct ip_unstarted mark = mark_of(error == -ENOMEM || error == -EAGAIN ? IP_UNSTARTED_MEMORY : IP_UNSTARTED_REFUSED, program);
    struct ip_control page;

    if (!ip_is_error(control)) {
        if (is_control(control))
            write_into(control, &mark);
    } else if (ip_sys_pread(fd, &page, sizeof page, 0) == sizeof page && is_control(&page)) {
        write_through(fd, &page, &mark);
    }
}
