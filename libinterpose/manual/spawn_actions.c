/* posix_spawn_file_actions_addchdir_np(3): where a child that is spawned looks for its program. libc keeps the actions in ways of its
 * own, so those that change the directory are kept here too, by the object's address. */
#include "spawn_actions.h"

#include "memory.h"
#include "wrapper.h"

#include <linux/fcntl.h>

#define PLACES 32
#define ELSEWHERE -1

static struct place {
    _Atomic(const void *) actions;
    int dir;                       /* where `path` starts; ELSEWHERE if that is not known */
    char path[256];
} places[PLACES];

static _Atomic int crowded;        /* some actions found no place */

static struct place *find(const void *actions)
{
    for (size_t i = 0; i < PLACES; i++)
        if (atomic_load(&places[i].actions) == actions)
            return &places[i];
    return NULL;
}

static struct place *find_or_claim(const void *actions)
{
    struct place *place = find(actions);

    for (size_t i = 0; !place && i < PLACES; i++) {
        const void *nobody = NULL;
        if (!atomic_compare_exchange_strong(&places[i].actions, &nobody, actions))
            continue;
        place = &places[i];
        place->dir = AT_FDCWD;
        place->path[0] = 0;
    }
    if (!place)
        atomic_store(&crowded, 1);
    return place;
}

static void release(const void *actions)
{
    struct place *place = find(actions);

    if (place)
        atomic_store(&place->actions, NULL);
}

static void change(const void *actions, int dir, const char *path)
{
    struct place *place = find_or_claim(actions);

    if (!place)
        return;
    char *at = place->path;
    const char *end = at + sizeof place->path;
    if (path[0] != '/' && dir == AT_FDCWD)
        at += strlen(at);
    else
        place->dir = dir;
    at = at == place->path ? at : ip_append(at, end, "/");
    if (!at || !ip_append(at, end, path))
        place->dir = ELSEWHERE;
}

const char *ip_spawn_path(const void *actions, const char *path, int *dir, char *room, size_t size)
{
    const struct place *place = actions && path[0] != '/' ? find(actions) : NULL;

    *dir = AT_FDCWD;
    if (!place)
        return actions && path[0] != '/' && atomic_load(&crowded) ? NULL : path;
    *dir = place->dir;
    if (!place->path[0])
        return place->dir == ELSEWHERE ? NULL : path;
    char *at = ip_append(room, room + size, place->path);
    at = at ? ip_append(at, room + size, "/") : NULL;
    return place->dir != ELSEWHERE && at && ip_append(at, room + size, path) ? room : NULL;
}

typedef int object_function(posix_spawn_file_actions_t *);

#define OBJECT(name)                                                \
    IP_EXPORT int name(posix_spawn_file_actions_t *actions);        \
    IP_EXPORT int name(posix_spawn_file_actions_t *actions)         \
    {                                                               \
        object_function *real = (object_function *)IP_REAL(name);   \
        release(actions);                                           \
        return real ? real(actions) : IP_ENOSYS;                    \
    }

OBJECT(posix_spawn_file_actions_init)
OBJECT(posix_spawn_file_actions_destroy)

IP_EXPORT int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
IP_EXPORT int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path)
{
    int (*real)(posix_spawn_file_actions_t *, const char *) =
        (int (*)(posix_spawn_file_actions_t *, const char *))IP_REAL(posix_spawn_file_actions_addchdir_np);
    int error = real ? real(actions, path) : IP_ENOSYS;

    if (!error)
        change(actions, AT_FDCWD, path);
    return error;
}

IP_EXPORT int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *actions, int fd);
IP_EXPORT int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *actions, int fd)
{
    int (*real)(posix_spawn_file_actions_t *, int) =
        (int (*)(posix_spawn_file_actions_t *, int))IP_REAL(posix_spawn_file_actions_addfchdir_np);
    int error = real ? real(actions, fd) : IP_ENOSYS;

    if (!error) {
        release(actions);
        change(actions, fd, "");
    }
    return error;
}
