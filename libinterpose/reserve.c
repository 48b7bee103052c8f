#include "reserve.h"

#include <linux/mman.h>
#include <linux/stat.h>

#include "journal.h"
#include "origin.h"
#include "place.h"
#include "syscall.h"

#define SHARE 64u                  /* a reserve is this part of what is free, at most: many processes may have one */
#define OPEN_TO_ALL 0006u
#define PASSABLE 0001u

/* The number stands for a journal that is locked and mapped. */
static uint32_t fill(struct ip_reserve *reserve)
{
    uint64_t wanted = ip_spool_free() / SHARE;
    uint32_t count = 0;

    if (wanted > IP_RESERVE_MOST)
        wanted = IP_RESERVE_MOST;
    while (count < wanted && (reserve->journals[count] = ip_spool_map_next(&reserve->numbers[count])))
        count++;
    return count;
}

/* A vfork child is about to execute something, and what it mapped would stay with its parent. */
void ip_reserve_make(void)
{
    if (ip_is_borrower() || !ip_home() || ip_state.reserve)
        return;
    struct ip_reserve *reserve = ip_map(4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ip_is_error(reserve))
        return;
    reserve->count = fill(reserve);
    ip_origin_keep_program();
    ip_state.reserve = reserve;
}

static int has_mode(const char *path, unsigned int mode)
{
    struct statx status;

    return !ip_sys_statx(AT_FDCWD, path, 0, STATX_MODE, &status) && (status.stx_mode & mode) == mode;
}

/* Whether every directory on the way lets everybody pass, and the control page everybody write. */
static int is_open_to_all(void)
{
    char path[IP_SPOOL_PATH_MAX + 32];
    const char *end = path + sizeof path;

    if (!ip_append(ip_append(path, end, ip_state.spool), end, "/control") || !has_mode(path, OPEN_TO_ALL))
        return 0;
    for (char *at = path + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            if (!has_mode(path, PASSABLE))
                return 0;
            *at = '/';
        }
    return 1;
}

void ip_reserve_make_for_others(void)
{
    if (!ip_state.reserve && !ip_is_borrower() && !ip_syscall(__NR_geteuid, 0, 0, 0, 0, 0, 0) && !is_open_to_all())
        ip_reserve_make();
}

int ip_reserve_left(void)
{
    const struct ip_reserve *reserve = ip_state.reserve;

    return reserve && __atomic_load_n(&reserve->next, __ATOMIC_RELAXED) < reserve->count;
}

struct ip_journal *ip_reserve_take(uint64_t *number)
{
    struct ip_reserve *reserve = ip_state.reserve;

    if (!ip_reserve_left())
        return NULL;
    uint32_t taken = __atomic_fetch_add(&reserve->next, 1, __ATOMIC_RELAXED);
    if (taken >= reserve->count)
        return NULL;
    *number = reserve->numbers[taken];
    return reserve->journals[taken];
}

void ip_reserve_forget(void)
{
    ip_state.reserve = NULL;
    ip_state.lent = NULL;
}
