/* posix_spawn(3)'s file actions. They are the child's calls, made inside of libc, so the parent tells of them when it knows that they
 * were made. libc keeps them in memory: glibc in an array, musl in a list that begins with the newest. Neither has changed since they
 * have file actions; what makes no sense is passed over. */
#include "spawn_actions.h"

#include "clock.h"
#include "journal.h"
#include "loads.h"
#include "memory.h"
#include "wrapper.h"

#include <linux/fcntl.h>

#define ELSEWHERE -1               /* a directory that the parent cannot name */

enum kind { CLOSE, DUP2, OPEN, CHDIR, FCHDIR, OTHER };

struct action {
    const void *node;
    enum kind kind;
    int fd, from, flags;           /* DUP2: from `from` to `fd` */
    unsigned int mode;
    const char *path;              /* NULL if it cannot be read */
};

/* glibc's posix/spawn_int.h. */
struct glibc_action {
    int tag;
    union {
        struct { int fd, onto; } descriptors;
        struct { int fd; const char *path; int flags; unsigned int mode; } open;
        const char *path;
    };
};
_Static_assert(sizeof(struct glibc_action) == 32, "struct __spawn_action of glibc");

/* musl's src/process/fdop.h. */
struct musl_action {
    const struct musl_action *older, *newer;
    int command, fd, from, flags;
    unsigned int mode;
    char path[];
};
_Static_assert(offsetof(struct musl_action, path) == 36, "struct fdop of musl");

/* The public part of both. */
struct object {
    int allocated, used;           /* glibc */
    const void *actions;
};

/* Stands before an action of an object; `end` is behind glibc's last. */
struct list {
    const void *at, *end;
};

static struct list list_of(const void *actions)
{
    const struct object *object = actions;

    if (!object || !object->actions)
        return (struct list){0};
    if (ip_is_glibc()) {
        const struct glibc_action *first = object->actions;
        return (struct list){first, first + (object->used > 0 ? object->used : 0)};
    }
    const struct musl_action *oldest = object->actions;
    while (oldest->older)
        oldest = oldest->older;
    return (struct list){oldest, NULL};
}

static const char *readable(const char *path)
{
    return path && ip_path_is_readable(path) ? path : NULL;
}

static struct action read_glibc(const struct glibc_action *from)
{
    static const enum kind kinds[] = {CLOSE, DUP2, OPEN, CHDIR, FCHDIR};
    struct action action = {.node = from, .kind = OTHER, .fd = from->descriptors.fd};

    if (from->tag >= 0 && from->tag < (int)(sizeof kinds / sizeof *kinds))
        action.kind = kinds[from->tag];
    if (action.kind == DUP2) {
        action.from = from->descriptors.fd;
        action.fd = from->descriptors.onto;
    } else if (action.kind == OPEN) {
        action.flags = from->open.flags;
        action.mode = from->open.mode;
        action.path = readable(from->open.path);
    } else if (action.kind == CHDIR) {
        action.path = readable(from->path);
    }
    return action;
}

static struct action read_musl(const struct musl_action *from)
{
    static const enum kind kinds[] = {OTHER, CLOSE, DUP2, OPEN, CHDIR, FCHDIR};
    struct action action = {from, OTHER, from->fd, from->from, from->flags, from->mode, NULL};

    if (from->command > 0 && from->command < (int)(sizeof kinds / sizeof *kinds))
        action.kind = kinds[from->command];
    if (action.kind == OPEN || action.kind == CHDIR)
        action.path = from->path;
    return action;
}

/* Moves on; false at the end. */
static int next(struct list *list, struct action *action)
{
    if (!list->at || list->at == list->end)
        return 0;
    if (ip_is_glibc()) {
        *action = read_glibc(list->at);
        list->at = (const struct glibc_action *)list->at + 1;
    } else {
        *action = read_musl(list->at);
        list->at = ((const struct musl_action *)list->at)->newer;
    }
    return 1;
}

/* By which number the parent has what the child has as `fd` when it comes to `until`. */
static int number_in_parent(const void *actions, int fd, const void *until)
{
    for (;;) {
        struct list list = list_of(actions);
        struct action action, last = {.kind = OTHER};
        while (next(&list, &action) && action.node != until)
            if (action.fd == fd && (action.kind == DUP2 || action.kind == OPEN))
                last = action;
        if (last.kind != DUP2)
            return last.kind == OPEN ? ELSEWHERE : fd;
        fd = last.from;
        until = last.node;
    }
}

/* Where the child stands: at `path` from the parent's `dir`. */
struct place {
    int dir;
    char path[IP_BASE_MAX];
};

static void move(struct place *place, const void *actions, const struct action *action)
{
    char *at = place->path;
    const char *end = at + sizeof place->path;

    if (action->kind == FCHDIR) {
        place->dir = number_in_parent(actions, action->fd, action->node);
        *at = 0;
        return;
    }
    if (!action->path) {
        place->dir = ELSEWHERE;
        return;
    }
    if (action->path[0] == '/')
        place->dir = AT_FDCWD;
    else
        at += strlen(at);
    at = at == place->path ? at : ip_append(at, end, "/");
    if (!at || !ip_append(at, end, action->path))
        place->dir = ELSEWHERE;
}

/* The same for a path that the child starts there. */
static const char *seen_from_parent(const struct place *place, const char *path, int *dir, char room[IP_BASE_MAX])
{
    const char *end = room + IP_BASE_MAX;

    *dir = path[0] == '/' ? AT_FDCWD : place->dir;
    if (path[0] == '/' || place->dir == ELSEWHERE || !place->path[0])
        return *dir == ELSEWHERE ? NULL : path;
    return ip_append(ip_append(ip_append(room, end, place->path), end, "/"), end, path) ? room : NULL;
}

static char *append_bytes(char *at, const char *end, struct ip_bytes bytes)
{
    if ((size_t)(end - at) <= bytes.size)
        return NULL;
    memcpy(at, bytes.data, bytes.size);
    at[bytes.size] = 0;
    return at + bytes.size;
}

/* A path of the child's with its base, in `base`. */
static struct ip_wire_Name name_of(const struct place *place, const char *path, char base[IP_BASE_MAX])
{
    char room[IP_BASE_MAX];
    const char *end = base + IP_BASE_MAX;
    struct ip_wire_Name name = {.path = ip_text(path)};

    if (path[0] == '/' || (place->dir != ELSEWHERE && !place->path[0]))
        return ip_name(0, place->dir, path, base);
    if (place->dir == ELSEWHERE)
        return name;
    struct ip_wire_Name start = ip_name(0, place->dir, place->path, room);
    char *at = append_bytes(base, end, start.base);
    at = at && start.base.size ? ip_append(at, end, "/") : at;
    if (at && append_bytes(at, end, start.path) && base[0] == '/')
        name.base = ip_text(base);
    return name;
}

const char *ip_spawn_path(const void *actions, const char *path, int *dir, char room[IP_BASE_MAX])
{
    struct place place = {.dir = AT_FDCWD};
    struct list list = list_of(actions);
    struct action action;

    while (next(&list, &action))
        if (action.kind == CHDIR || action.kind == FCHDIR)
            move(&place, actions, &action);
    return seen_from_parent(&place, path, dir, room);
}

static struct ip_wire_File file_now(const struct place *place, const struct action *action)
{
    char room[IP_BASE_MAX];
    struct ip_wire_File file = {0};
    int dir;
    const char *path = action->path ? seen_from_parent(place, action->path, &dir, room) : NULL;

    if (path)
        ip_file_at(&file, dir, path, action->flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0);
    return file;
}

void ip_spawn_files_look(struct ip_spawn_files *files, const void *actions)
{
    struct place place = {.dir = AT_FDCWD};
    struct list list = list_of(actions);
    struct action action;
    size_t count = 0;

    /* The child's program may write what code that was loaded by now has made. */
    ip_loads_refresh();
    files->actions = actions;
    files->began = ip_now();
    while (next(&list, &action) && count < IP_SPAWN_FILES)
        if (action.kind == OPEN)
            files->before[count++] = file_now(&place, &action);
        else if (action.kind == CHDIR || action.kind == FCHDIR)
            move(&place, actions, &action);
    while (count < IP_SPAWN_FILES)
        files->before[count++] = (struct ip_wire_File){0};
}

/* Who tells, and of whom. The times are that of the call's begin: the child's program may have done much when the call returns. */
struct teller {
    const char *function;
    uint64_t time;
    struct ip_wire_Process child;
    int unseen, asked;
};

static void tell(struct teller *teller, struct ip_wire_Event *event)
{
    event->time = teller->time;
    if (!teller->child.pid) {
        ip_emit(event);
        return;
    }
    if (!teller->unseen && !teller->asked) {
        teller->child.start_time = ip_start_time_of(teller->child.pid);
        teller->asked = 1;
    }
    event->thread = teller->child.pid;
    event->process = &teller->child;
    ip_emit(event);
}

static int is_same(const struct ip_wire_File *one, const struct ip_wire_File *other)
{
    return one->inode == other->inode && one->device == other->device && one->birth_time == other->birth_time;
}

static void tell_open(struct teller *teller, const struct place *place, const struct action *action, const struct ip_wire_File *file)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = {0};
    int flags = action->flags, access = flags & O_ACCMODE, path_only = !!(flags & O_PATH);
    struct ip_wire_Open open = {
        .name = &name,
        .file = file->inode ? file : NULL,
        .fd = action->fd,
        .read = !path_only && access != O_WRONLY,
        .write = !path_only && access != O_RDONLY,
        .append = !!(flags & O_APPEND),
        .create = !!(flags & O_CREAT),
        .truncate = !path_only && !!(flags & O_TRUNC),
        .exclusive = !!(flags & O_EXCL),
        .directory = !!(flags & O_DIRECTORY) || (file->mode & S_IFMT) == S_IFDIR,
        .path_only = (uint32_t)path_only,
        .mode = action->mode,
    };
    struct ip_wire_Event event = ip_event(teller->function, 0);

    if (action->path)
        name = name_of(place, action->path, base);
    event.effect = IP_EVENT_OPEN;
    event.open = &open;
    tell(teller, &event);
}

static void tell_chdir(struct teller *teller, const struct place *place, const void *actions, const struct action *action)
{
    char base[IP_BASE_MAX];
    struct ip_wire_Name name = {0};
    struct ip_wire_Chdir chdir = {.name = action->path ? &name : NULL};
    struct ip_wire_Event event = ip_event(teller->function, 0);

    if (action->kind == FCHDIR)
        chdir.directory = ip_name_of_fd(number_in_parent(actions, action->fd, action->node), base).path;
    else if (action->path)
        name = name_of(place, action->path, base);
    event.effect = IP_EVENT_CHDIR;
    event.chdir = &chdir;
    tell(teller, &event);
}

static void tell_descriptor(struct teller *teller, const struct action *action)
{
    struct ip_wire_Close close = {.fd = action->fd};
    struct ip_wire_Dup dup = {.from = action->from, .fd = action->fd};
    struct ip_wire_Event event = ip_event(teller->function, 0);

    if (!ip_level_is_calls())
        return;
    event.effect = action->kind == CLOSE ? IP_EVENT_CLOSE : IP_EVENT_DUP;
    if (action->kind == CLOSE)
        event.close = &close;
    else
        event.dup = &dup;
    tell(teller, &event);
}

/* What the child opened. By now another file may have the name: then it is the one that had it before. */
static struct ip_wire_File opened(const struct ip_wire_File *before, const struct ip_wire_File *now)
{
    return before->inode && !is_same(before, now) ? *before : *now;
}

/* Without a child it is told what a failed one did to files, as far as that shows. */
static int shows(const struct action *action, const struct ip_wire_File *before, const struct ip_wire_File *now)
{
    if (!before->inode)
        return action->flags & O_CREAT && now->inode;
    return action->flags & O_TRUNC && is_same(before, now) && before->size && !now->size;
}

static void tell_all(struct teller *teller, const struct ip_spawn_files *files)
{
    static const struct ip_wire_File none;
    struct place place = {.dir = AT_FDCWD};
    struct list list = list_of(files->actions);
    struct action action;

    for (size_t count = 0; next(&list, &action);) {
        int is_open = action.kind == OPEN, moves = action.kind == CHDIR || action.kind == FCHDIR;
        if (is_open) {
            const struct ip_wire_File *before = count < IP_SPAWN_FILES ? &files->before[count] : &none;
            struct ip_wire_File now = file_now(&place, &action), file = opened(before, &now);
            if (teller->child.pid || (count < IP_SPAWN_FILES && shows(&action, before, &now)))
                tell_open(teller, &place, &action, &file);
            count++;
        } else if (teller->child.pid && moves) {
            tell_chdir(teller, &place, files->actions, &action);
        } else if (teller->child.pid && action.kind != OTHER) {
            tell_descriptor(teller, &action);
        }
        if (moves)
            move(&place, files->actions, &action);
    }
}

void ip_spawn_files_tell(const struct ip_spawn_files *files, const char *function, uint32_t child, int unseen)
{
    struct teller teller = {.function = function, .time = files->began, .child.pid = child, .unseen = unseen};

    tell_all(&teller, files);
}

void ip_spawn_files_failed(const struct ip_spawn_files *files, const char *function)
{
    struct teller teller = {.function = function, .time = files->began};

    tell_all(&teller, files);
}
