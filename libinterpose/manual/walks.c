/* ftw(3), nftw(3), fts(3) and glob(3): libc lists directories by itself, and may move the process there. */
#include "files.h"
#include "wrapper.h"

static void listed(const char *function, const char *path)
{
    struct ip_call_list call = {.function = function, .fd = -1, .dir = AT_FDCWD, .path = path};

    IP_HOOK(ip_after_list, &call);
}

/* glibc counts them from 0, musl from 1, and never moves. */
enum { FTW_D = 1, FTW_DP = 5, FTW_CHDIR = 4 };

struct FTW {
    int base, level;
};

typedef int visit_function(const char *, const struct stat *, int);
typedef int visit_more_function(const char *, const struct stat *, int, struct FTW *);

/* The program's function and what calls it. The walk hands on no pointer of ours, so this thread's innermost walk is kept here, and
 * put back after each call of the program's function: it may walk a tree itself, and jump out of that. */
struct walk {
    const char *function;
    visit_function *visit;
    visit_more_function *visit_more;
    int moves;
};

static _Thread_local const struct walk *current __attribute__((tls_model("initial-exec")));

/* A directory that the program does not want to see is not listed. Where the walk moves, it is still in a directory that it has
 * finished. */
static void after_visit(const struct walk *walk, const char *path, int type, int base, int result)
{
    int kind = type - !ip_is_glibc();

    if (result != 0 || !ip_recording())
        return;
    if (kind == FTW_D)
        listed(walk->function, path + (walk->moves ? base : 0));
    else if (kind == FTW_DP)
        listed(walk->function, walk->moves ? "." : path);
}

static int visit(const char *path, const struct stat *status, int type)
{
    const struct walk *walk = current;
    int result = walk->visit(path, status, type);

    current = walk;
    after_visit(walk, path, type, 0, result);
    return result;
}

static int visit_more(const char *path, const struct stat *status, int type, struct FTW *place)
{
    const struct walk *walk = current;
    int base = place->base, result = walk->visit_more(path, status, type, place);

    current = walk;
    after_visit(walk, path, type, base, result);
    return result;
}

#define FTW(name)                                                                                                    \
    IP_EXPORT int name(const char *path, visit_function *function, int descriptors);                                 \
    IP_EXPORT int name(const char *path, visit_function *function, int descriptors)                                  \
    {                                                                                                                \
        int (*real)(const char *, visit_function *, int) =                                                           \
            (int (*)(const char *, visit_function *, int))IP_REAL(name);                                             \
        struct walk walk = {.function = #name, .visit = function};                                                   \
        const struct walk *outer = current;                                                                          \
        if (!real) {                                                                                                 \
            ip_absent();                                                                                             \
            return -1;                                                                                               \
        }                                                                                                            \
        if (!ip_recording())                                                                                         \
            return real(path, function, descriptors);                                                                \
        current = &walk;                                                                                             \
        int result = real(path, visit, descriptors);                                                                 \
        current = outer;                                                                                             \
        return result;                                                                                               \
    }

FTW(ftw)
FTW(ftw64)

#define NFTW(name)                                                                                                   \
    IP_EXPORT int name(const char *path, visit_more_function *function, int descriptors, int flags);                 \
    IP_EXPORT int name(const char *path, visit_more_function *function, int descriptors, int flags)                  \
    {                                                                                                                \
        int (*real)(const char *, visit_more_function *, int, int) =                                                 \
            (int (*)(const char *, visit_more_function *, int, int))IP_REAL_OF_CALLER(name);                                   \
        struct walk walk = {.function = #name, .visit_more = function, .moves = flags & FTW_CHDIR && ip_is_glibc()};             \
        const struct walk *outer = current;                                                                          \
        if (!real) {                                                                                                 \
            ip_absent();                                                                                             \
            return -1;                                                                                               \
        }                                                                                                            \
        if (!ip_recording())                                                                                         \
            return real(path, function, descriptors, flags);                                                         \
        current = &walk;                                                                                             \
        atomic_fetch_add(&ip_state.walks, walk.moves);                                                               \
        int result = real(path, visit_more, descriptors, flags);                                                     \
        atomic_fetch_sub(&ip_state.walks, walk.moves);                                                               \
        current = outer;                                                                                             \
        return result;                                                                                               \
    }

NFTW(nftw)
NFTW(nftw64)

enum { FTS_NOCHDIR = 4, FTS_D = 1, FTS_SKIP = 4 };

#if defined(__x86_64__)
typedef uint64_t link_count;
#else
typedef uint32_t link_count;
#endif

struct ip_opaque_walked {          /* FTSENT */
    FTSENT *cycle, *parent, *link;
    long number;
    void *pointer;
    char *access_path, *path;
    int error, directory;
    unsigned short path_length, name_length;
    uint64_t inode, device;
    link_count links;
    short level;
    unsigned short info, flags, instruction;
};

struct ip_opaque_walk {            /* FTS */
    FTSENT *current, *child;
    FTSENT **sorted;
    uint64_t device;
    char *path;
    int root, path_size, count;
    void *compare;
    int options;
};

/* What fts_read returned last is listed next, unless the program has said otherwise. */
static void listing(const char *function, FTS *walk)
{
    FTSENT *at = walk ? walk->current : NULL;

    if (at && at->info == FTS_D && at->instruction != FTS_SKIP && ip_recording())
        listed(function, at->access_path);
}

typedef int compare_function(const FTSENT **, const FTSENT **);

#define FTS(name, open, read, children, close)                                                                        \
    IP_EXPORT FTS *open(char *const *paths, int options, compare_function *compare);                                  \
    IP_EXPORT FTS *open(char *const *paths, int options, compare_function *compare)                                   \
    {                                                                                                                 \
        FTS *(*real)(char *const *, int, compare_function *) =                                                        \
            (FTS * (*)(char *const *, int, compare_function *)) IP_REAL(open);                                        \
        if (!real) {                                                                                                  \
            ip_absent();                                                                                              \
            return NULL;                                                                                              \
        }                                                                                                             \
        FTS *walk = real(paths, options, compare);                                                                    \
        if (walk && !(walk->options & FTS_NOCHDIR))                                                                   \
            atomic_fetch_add(&ip_state.walks, 1);                                                                     \
        return walk;                                                                                                  \
    }                                                                                                                 \
    IP_EXPORT FTSENT *read(FTS *walk);                                                                                \
    IP_EXPORT FTSENT *read(FTS *walk)                                                                                 \
    {                                                                                                                 \
        FTSENT *(*real)(FTS *) = (FTSENT * (*)(FTS *)) IP_REAL(read);                                                 \
        if (!real) {                                                                                                  \
            ip_absent();                                                                                              \
            return NULL;                                                                                              \
        }                                                                                                             \
        if (walk && !walk->child)                                                                                     \
            listing(#read, walk);                                                                                     \
        return real(walk);                                                                                            \
    }                                                                                                                 \
    IP_EXPORT FTSENT *children(FTS *walk, int options);                                                               \
    IP_EXPORT FTSENT *children(FTS *walk, int options)                                                                \
    {                                                                                                                 \
        FTSENT *(*real)(FTS *, int) = (FTSENT * (*)(FTS *, int)) IP_REAL(children);                                   \
        if (!real) {                                                                                                  \
            ip_absent();                                                                                              \
            return NULL;                                                                                              \
        }                                                                                                             \
        listing(#children, walk);                                                                                     \
        return real(walk, options);                                                                                   \
    }                                                                                                                 \
    IP_EXPORT int close(FTS *walk);                                                                                   \
    IP_EXPORT int close(FTS *walk)                                                                                    \
    {                                                                                                                 \
        int (*real)(FTS *) = (int (*)(FTS *))IP_REAL(close);                                                          \
        if (!real) {                                                                                                  \
            ip_absent();                                                                                              \
            return -1;                                                                                                \
        }                                                                                                             \
        int moves = !(walk->options & FTS_NOCHDIR), result = real(walk);                                              \
        if (moves)                                                                                                    \
            atomic_fetch_sub(&ip_state.walks, 1);                                                                     \
        return result;                                                                                                \
    }

FTS(fts, fts_open, fts_read, fts_children, fts_close)
FTS(fts64, fts64_open, fts64_read, fts64_children, fts64_close)

enum { GLOB_ALTDIRFUNC = 1 << 9 };

struct ip_opaque_glob {            /* glob_t, as glibc and musl have it */
    size_t count;
    char **paths;
    size_t offset;
};

/* The length of the directory's part of a path, without the slash that ends it; 0 for "/" and where there is none. */
static size_t folder_of(const char *path, size_t length)
{
    while (length && path[length - 1] != '/')
        length--;
    return length ? length - 1 : 0;
}

static int list_folder(const char *function, const char *path, size_t length)
{
    char folder[IP_BASE_MAX];

    if (length >= sizeof folder)
        return 0;
    memcpy(folder, path, length);
    folder[length] = 0;
    listed(function, length ? folder : path[0] == '/' ? "/" : ".");
    return 1;
}

/* The directory before the first wildcard was listed; and where another one follows, at least those that led to something. */
static void after_glob(const char *function, const char *pattern, const glob_t *found, size_t from)
{
    size_t fixed = 0, last = strlen(pattern), former_length = 0;
    const char *former = NULL;

    while (pattern[fixed] && !ip_find("*?[{", pattern[fixed]))
        fixed++;
    if (!pattern[fixed])
        return;
    if (pattern[0] != '~')
        list_folder(function, pattern, folder_of(pattern, fixed));
    last = folder_of(pattern, last);
    if (pattern[0] != '~' && fixed > last)
        return;
    for (size_t i = from; found && i < found->count; i++) {
        const char *path = found->paths[found->offset + i];
        size_t length = folder_of(path, strlen(path));
        if (!former || length != former_length || memcmp(former, path, length))
            list_folder(function, path, length);
        former = path;
        former_length = length;
    }
}

#define GLOB(name)                                                                                                   \
    IP_EXPORT int name(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);             \
    IP_EXPORT int name(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)              \
    {                                                                                                                \
        int (*real)(const char *, int, int (*)(const char *, int), glob_t *) =                                       \
            (int (*)(const char *, int, int (*)(const char *, int), glob_t *))IP_REAL_OF_CALLER(name);                         \
        if (!real) {                                                                                                 \
            ip_absent();                                                                                             \
            return -1;                                                                                               \
        }                                                                                                            \
        size_t from = flags & GLOB_APPEND ? found->count : 0;                                                        \
        int result = real(pattern, flags, failed, found);                                                            \
        if (!(flags & GLOB_ALTDIRFUNC) && (result == 0 || result == GLOB_NOMATCH) && ip_recording())                 \
            after_glob(#name, pattern, result == 0 ? found : NULL, from);                                            \
        return result;                                                                                               \
    }

enum { GLOB_APPEND = 1 << 5, GLOB_NOMATCH = 3 };

GLOB(glob)
GLOB(glob64)
