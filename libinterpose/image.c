#include "image.h"

#include <linux/elf.h>
#include <linux/errno.h>

#include "brief.h"
#include "env.h"
#include "journal.h"
#include "memory.h"
#include "stack.h"
#include "syscall.h"

#define SCRIPTS_DEEP 5             /* as the kernel follows them */
#define HEAD 1024

static const char *program_path(void)
{
    const char *path = ip_env_value("PATH");

    return path ? path : "/bin:/usr/bin";
}

/* As execvp: the first regular file of that name that may be executed. */
static const char *search_path(struct ip_image *image, const char *name)
{
    const char *end = image->found + sizeof image->found;
    struct ip_wire_File file;

    for (const char *at = program_path();; at++) {
        char *out = image->found;
        for (; *at && *at != ':' && out < end - 1; at++)
            *out++ = *at;
        *out = 0;
        if ((out == image->found || ip_append(out, end, "/")) &&
            ip_append(out == image->found ? out : out + 1, end, name) &&
            !ip_syscall(__NR_faccessat, AT_FDCWD, (long)image->found, 1 /* X_OK */, 0, 0, 0) &&
            !ip_file_at(&file, AT_FDCWD, image->found, 0) && (file.mode & S_IFMT) == S_IFREG)
            return image->found;
        while (*at && *at != ':')
            at++;
        if (!*at)
            return name;
    }
}

/* Reading a program's head takes an open that nobody else would make: who must allow opens, or keeps an account of them, sees it. So it
 * is done once for each program file: what was found good is noted in the spool, for all processes of the run. The file's times are among
 * what names it, so that no changed one is taken for it. Who writes there what is not true hides blind spots of its own container. */
static uint64_t name_of(const struct statx *status)
{
    const uint64_t parts[] = {(uint64_t)status->stx_dev_major << 32 | status->stx_dev_minor, status->stx_ino, status->stx_size,
                              (uint64_t)status->stx_ctime.tv_sec, status->stx_ctime.tv_nsec,
                              (uint64_t)status->stx_mtime.tv_sec, status->stx_mtime.tv_nsec};
    uint64_t name = IP_CONTROL_MAGIC;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        name = (name ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
        name ^= name >> 32;
    }
    return name ? name : 1;
}

#define NEIGHBOURS 4u

static uint64_t *place_of(uint64_t name, uint32_t neighbour)
{
    uint64_t *programs = (uint64_t *)((uint8_t *)ip_state.control + IP_PROGRAMS_OFFSET);

    return &programs[(name + neighbour) % IP_PROGRAMS];
}

static int is_known(uint64_t name)
{
    for (uint32_t i = 0; i < NEIGHBOURS; i++)
        if (__atomic_load_n(place_of(name, i), __ATOMIC_RELAXED) == name)
            return 1;
    return 0;
}

static void keep_in_mind(uint64_t name)
{
    uint32_t place = 0;

    while (place < NEIGHBOURS && __atomic_load_n(place_of(name, place), __ATOMIC_RELAXED))
        place++;
    __atomic_store_n(place_of(name, place < NEIGHBOURS ? place : (uint32_t)(name >> 32) % NEIGHBOURS), name, __ATOMIC_RELAXED);
}

/* One of which nobody who executes it gets more than they have. It is named as the open file is: the path may lead to another by now. */
static void keep_if_plain(int fd)
{
    char capabilities[1];
    struct statx status;

    if (!ip_sys_statx(fd, "", AT_EMPTY_PATH, IP_FILE_MASK, &status) && !(status.stx_mode & (S_ISUID | S_ISGID)) &&
        ip_syscall(__NR_fgetxattr, fd, (long)"security.capability", (long)capabilities, 0, 0, 0) <= 0)
        keep_in_mind(name_of(&status));
}

void ip_image_started(const struct statx *program)
{
    uint64_t name = name_of(program);
    char capabilities[1];

    if (!is_known(name) && !(program->stx_mode & (S_ISUID | S_ISGID)) &&
        ip_syscall(__NR_getxattr, (long)"/proc/self/exe", (long)"security.capability", (long)capabilities, 0, 0, 0) <= 0)
        keep_in_mind(name);
}

/* execve(2) and capabilities(7): when the loader will be in secure-execution mode and ignore LD_PRELOAD. */
static int gains_privileges(int fd, const struct statx *status)
{
    char capabilities[1];
    long user = ip_syscall(__NR_getuid, 0, 0, 0, 0, 0, 0), group = ip_syscall(__NR_getgid, 0, 0, 0, 0, 0, 0);
    int gains = (status->stx_mode & S_ISUID && status->stx_uid != user) ||
                ((status->stx_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status->stx_gid != group);
    long size = user ? ip_syscall(__NR_fgetxattr, fd, (long)"security.capability", (long)capabilities, 0, 0, 0) : 0;

    if (!gains && size <= 0)
        return 0;
    return !ip_syscall(__NR_prctl, 39 /* PR_GET_NO_NEW_PRIVS */, 0, 0, 0, 0, 0);
}

static enum ip_wire_BlindSpot_Cause judge_elf(int fd, const struct statx *status, const uint8_t *head, long size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)head;
    Elf64_Phdr segment;

    if (size < (long)sizeof *header || header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != IP_ELF_MACHINE)
        return IP_BLINDSPOT_CAUSE_CAUSE_OTHER_MACHINE;
    if (gains_privileges(fd, status))
        return IP_BLINDSPOT_CAUSE_CAUSE_SECURE_EXEC;
    for (unsigned int i = 0; i < header->e_phnum; i++) {
        long at = (long)header->e_phoff + (long)i * header->e_phentsize;
        if (ip_sys_pread(fd, &segment, sizeof segment, at) != sizeof segment)
            break;
        if (segment.p_type == PT_INTERP)
            return IP_BLINDSPOT_CAUSE_CAUSE_UNSPECIFIED;
    }
    return IP_BLINDSPOT_CAUSE_CAUSE_STATIC;
}

/* The interpreter of a script, cut out of its first line in place. */
static char *interpreter_in(char *head, long size)
{
    char *at = head + 2, *start;

    head[size < HEAD ? size : HEAD - 1] = 0;
    while (*at == ' ' || *at == '\t')
        at++;
    for (start = at; *at && *at != ' ' && *at != '\t' && *at != '\n'; at++)
        ;
    *at = 0;
    return start;
}

static void judge(struct ip_image *image, int dir, const char *path, int depth)
{
    char head[HEAD];
    struct statx status;

    /* Only a regular file is opened: a FIFO would wait, a device might react. */
    if (depth > SCRIPTS_DEEP || ip_sys_statx(dir, path, path[0] ? 0 : AT_EMPTY_PATH, IP_FILE_MASK, &status) < 0 ||
        (status.stx_mode & S_IFMT) != S_IFREG)
        return;
    if (!depth) {
        image->file = ip_file_from(&status);
        image->known = 1;
    }
    if (is_known(name_of(&status)))
        return;
    int fd = path[0] ? ip_brief_open(dir, path, O_RDONLY, 0) : dir;
    if (fd < 0)
        return;
    long size = ip_sys_pread(fd, head, sizeof head, 0);
    if (size >= 4 && !memcmp(head, ELFMAG, 4)) {
        image->blind = judge_elf(fd, &status, (const uint8_t *)head, size);
        image->blind_path = depth ? image->interpreter : image->path;
        if (!image->blind)
            keep_if_plain(fd);
    }
    if (path[0])
        ip_brief_close(fd);
    if (size > 2 && head[0] == '#' && head[1] == '!') {
        char *interpreter = interpreter_in(head, size);
        if (ip_append(image->interpreter, image->interpreter + sizeof image->interpreter, interpreter))
            judge(image, AT_FDCWD, image->interpreter, depth + 1);
    }
}

static void inspect(void *memory)
{
    struct ip_image *image = memory;

    if (image->searched)
        image->path = search_path(image, image->path);
    judge(image, image->dir, image->path, 0);
    if (!image->known || image->blind)
        return;
    if (ip_syscall(__NR_faccessat, AT_FDCWD, (long)ip_state.library, 4 /* R_OK */, 0, 0, 0))
        image->blind = IP_BLINDSPOT_CAUSE_CAUSE_LIBRARY_UNREACHABLE;
    else if (!ip_spool_is_in_reach())
        image->blind = IP_BLINDSPOT_CAUSE_CAUSE_SPOOL_UNREACHABLE;
    if (image->blind)
        image->blind_path = image->path;
}

void ip_image_inspect(struct ip_image *image, int dir, const char *path, int search)
{
    image->dir = dir;
    image->path = path;
    image->known = 0;
    image->searched = search && path && path[0] && !ip_find(path, '/');
    image->blind = IP_BLINDSPOT_CAUSE_CAUSE_UNSPECIFIED;
    image->blind_path = NULL;
    if (path)
        ip_with_stack(inspect, image);
}

int ip_image_takes_library(const struct ip_image *image)
{
    return image->blind != IP_BLINDSPOT_CAUSE_CAUSE_OTHER_MACHINE &&
           image->blind != IP_BLINDSPOT_CAUSE_CAUSE_LIBRARY_UNREACHABLE;
}

static const char *base_name(const char *path)
{
    const char *base = path;

    for (; *path; path++)
        base = *path == '/' ? path + 1 : base;
    return base;
}

static int takes_value(const char *option)
{
    static const char *const options[] = {"--library-path", "--inhibit-rpath", "--audit", "--preload", "--argv0",
                                          "--glibc-hwcaps-prepend", "--glibc-hwcaps-mask"};

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (ip_equal(option, options[i]))
            return 1;
    return 0;
}

/* Among the loader's own options, which end with the program's name. */
static int asks_for_list(char *const *arguments)
{
    for (char *const *at = arguments[0] ? arguments + 1 : arguments; *at && ip_starts_with(*at, "--"); at++) {
        if (ip_equal(*at, "--list"))
            return 1;
        if (takes_value(*at) && !*++at)
            return 0;
    }
    return 0;
}

int ip_image_lists_libraries(const struct ip_image *image, char *const *arguments)
{
    if (image->blind != IP_BLINDSPOT_CAUSE_CAUSE_STATIC || !arguments || !image->path || !ip_starts_with(base_name(image->path), "ld"))
        return 0;
    return ip_equal(base_name(image->path), "ldd") || asks_for_list(arguments);
}
