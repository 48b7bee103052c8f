/* Which objects make system calls of their own. Go's say so by a note. In the others' code the instruction is looked for, once in a
 * spool: what was found is remembered in the control page, by the object's build-id, or its file where it has none. Whoever can write
 * that page can make it say anything, of the programs in its own container. */
#include "unseen.h"

#include <linux/elf.h>

#include "direct.h"
#include "files.h"
#include "filter.h"
#include "journal.h"
#include "number.h"
#include "stack.h"

#define AT_ONCE ((uintptr_t)1 << 21)  /* bytes of code that are made present together */
#define MADV_POPULATE_READ 22
#define BEHIND_THE_LAST 4096       /* bytes that the last function may have */

enum verdict { UNJUDGED, NOTHING, CALLS, RINGS };

/* A number that programs use: it is no system call of this library's. */
#define THEIR(name) __NR_##name

static int says_little_of_files(long number)
{
    switch (number) {
    case THEIR(mmap): case THEIR(ioctl): case THEIR(getrandom): case THEIR(gettimeofday): case THEIR(clock_gettime):
    case THEIR(exit_group): case THEIR(kill): case THEIR(tkill): case THEIR(tgkill): case THEIR(rt_sigqueueinfo):
    case THEIR(rt_tgsigqueueinfo): case THEIR(prlimit64):
#ifdef __x86_64__
    case THEIR(time):
#endif
        return 1;
    default: return 0;
    }
}

/* Of what syscall(2) is asked for by these numbers, the library would tell. What says little of files is left out: an allocator
 * that maps memory, a runtime that asks for the time or ends a thread are no blind spots. */
void ip_direct_count(struct ip_direct *found, long number)
{
    if (number < 0)
        found->unknown++;
    else if (number >= 425 && number <= 427)
        found->rings++;
    else if (number < IP_NUMBERS && ip_numbers[number] && !says_little_of_files(number))
        found->told++;
    else
        found->others++;
}

/* A number that is not known is as a rule one of those that the object has elsewhere, in a loop around a lock's system call. */
static enum verdict verdict_of(const struct ip_direct *found)
{
    if (found->rings)
        return RINGS;
    return found->told || found->unknown * 2 > found->others ? CALLS : NOTHING;
}

static int can_be_read(uintptr_t from, uintptr_t to)
{
    uintptr_t page = ip_elf_page_size();

    from &= ~(page - 1);
    if (ip_may(IP_OWN_CALL(madvise)) && ip_sys_madvise((void *)from, to - from, MADV_POPULATE_READ) == 0)
        return 1;
    for (; from < to; from += page) /* Linux before 5.14 */
        if (!ip_may(IP_OWN_CALL(rt_sigprocmask)) || !ip_sys_can_read((void *)from))
            return 0;
    return 1;
}

/* Of a segment that holds data too, only the code that the table for unwinding begins and ends with. */
static struct ip_segment code_in(const struct ip_object *object, struct ip_segment segment)
{
    struct ip_segment table = ip_elf_segment_of_type(object, PT_GNU_EH_FRAME);
    const uint8_t *head = (const uint8_t *)table.first;
    const int32_t *entries = (const int32_t *)(head + 12);

    if (table.first < segment.first || table.last > segment.last || table.last - table.first < 20 ||
        !can_be_read(table.first, table.last) || head[0] != 1 || head[2] != 0x03 || head[3] != 0x3b)
        return segment;
    uint64_t count = ((const uint32_t *)head)[2];
    if (!count || 12 + count * 8 > table.last - table.first)
        return segment;
    uintptr_t first = table.first + (uintptr_t)(intptr_t)entries[0];
    uintptr_t last = table.first + (uintptr_t)(intptr_t)entries[(count - 1) * 2] + BEHIND_THE_LAST;
    if (first < segment.first || last < first || first >= segment.last)
        return segment;
    return (struct ip_segment){first, last < segment.last ? last : segment.last, segment.flags};
}

static void look_through(const struct ip_object *object, struct ip_segment segment, struct ip_direct *found)
{
    struct ip_segment code = code_in(object, segment);

    /* A piece begins where the last one ended, so a call on the border is found in one of them. */
    for (uintptr_t at = code.first; at < code.last; at += AT_ONCE) {
        uintptr_t end = code.last - at > AT_ONCE ? at + AT_ONCE : code.last;
        if (!can_be_read(at, end))
            return;
        ip_direct_in((const uint8_t *)(at == code.first ? at : at - 1), (const uint8_t *)end, found);
    }
}

static enum verdict look_at(const struct ip_object *object)
{
    struct ip_direct found = {0};
    struct ip_segment segment;

    if (ip_elf_is_of_libc(object))
        return NOTHING;
    for (unsigned int i = 0; ip_elf_loaded(object, i, &segment); i++)
        if ((segment.flags & (PF_R | PF_X)) == (PF_R | PF_X))
            look_through(object, segment, &found);
    return verdict_of(&found);
}

static uint64_t mixed(uint64_t hash, const void *bytes, size_t size)
{
    for (const uint8_t *at = bytes; size--; at++)
        hash = (hash ^ *at) * UINT64_C(0x100000001b3);
    return hash;
}

/* FNV-1a; 0 for an object of which nothing is known. */
static uint64_t key_of(const struct ip_bytes *build_id, const struct ip_wire_File *file)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    struct ip_wire_File program;

    if (build_id->size)
        return mixed(hash, build_id->data, build_id->size);
    if (!file && ip_file_at(&program, AT_FDCWD, "/proc/self/exe", 0) < 0)
        return 0;
    const struct ip_wire_File *of = file ? file : &program;
    if (!of->inode)
        return 0;
    const uint64_t identity[] = {of->device, of->inode, of->birth_time, of->modified, of->size};
    return mixed(hash, identity, sizeof identity);
}

static uint32_t *group_of(uint64_t key)
{
    uint32_t *all = (uint32_t *)((uint8_t *)ip_state.control + IP_VERDICTS_OFFSET);

    return all + (uint32_t)key % IP_VERDICT_GROUPS * IP_VERDICTS_OF_A_GROUP;
}

static uint32_t word_of(uint64_t key, enum verdict verdict)
{
    return ((uint32_t)(key >> 32) & ~3u) | (uint32_t)verdict;
}

static enum verdict remembered(uint64_t key)
{
    const uint32_t *group = group_of(key);

    for (uint32_t i = 0; i < IP_VERDICTS_OF_A_GROUP; i++) {
        uint32_t word = __atomic_load_n(&group[i], __ATOMIC_RELAXED);
        if ((word & ~3u) == word_of(key, UNJUDGED) && word & 3)
            return (enum verdict)(word & 3);
    }
    return UNJUDGED;
}

/* Where there is no room, another one is forgotten. */
static void remember(uint64_t key, enum verdict verdict)
{
    uint32_t *group = group_of(key), *forgotten = &group[(uint32_t)(key >> 16) % IP_VERDICTS_OF_A_GROUP];

    for (uint32_t i = 0; i < IP_VERDICTS_OF_A_GROUP; i++) {
        uint32_t empty = 0;
        if (__atomic_compare_exchange_n(&group[i], &empty, word_of(key, verdict), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
    }
    __atomic_store_n(forgotten, word_of(key, verdict), __ATOMIC_RELAXED);
}

static enum verdict judge(const struct ip_object *object, uint64_t key)
{
    enum verdict verdict = key ? remembered(key) : UNJUDGED;

    if (verdict == UNJUDGED) {
        verdict = look_at(object);
        if (key)
            remember(key, verdict);
    }
    return verdict;
}

static enum ip_wire_BlindSpot_Cause cause_of(const struct ip_object *object, const struct ip_notes *notes,
                                             const struct ip_wire_File *file)
{
    if (notes->is_go)
        return IP_BLINDSPOT_CAUSE_CAUSE_GO;
    switch (judge(object, key_of(&notes->build_id, file))) {
    case CALLS: return IP_BLINDSPOT_CAUSE_CAUSE_DIRECT_SYSCALLS;
    case RINGS: return IP_BLINDSPOT_CAUSE_CAUSE_IO_URING;
    default: return IP_BLINDSPOT_CAUSE_CAUSE_UNSPECIFIED;
    }
}

void ip_unseen_object(const struct ip_object *object, const struct ip_notes *notes, const struct ip_wire_Name *name,
                      const struct ip_wire_File *file)
{
    struct ip_wire_BlindSpot spot = {.cause = cause_of(object, notes, file), .name = name, .file = file};

    if (spot.cause == IP_BLINDSPOT_CAUSE_CAUSE_UNSPECIFIED)
        return;
    atomic_store(&ip_state.unseen, 1);
    struct ip_wire_Event event = ip_event("", 0);
    event.effect = IP_EVENT_BLIND_SPOT;
    event.blind_spot = &spot;
    ip_emit(&event);
}

static void look_at_program(void *memory)
{
    struct ip_object *program = memory;
    struct ip_notes notes = ip_elf_notes(program);

    ip_unseen_object(program, &notes, NULL, NULL);
}

void ip_unseen_program(void)
{
    if (ip_elf_objects())
        ip_with_stack(look_at_program, (void *)ip_elf_objects());
}

static void tell_again(const struct ip_object *object)
{
    char base[IP_BASE_MAX];
    struct ip_wire_File file;

    if (!object->name || !object->name[0] || object == ip_elf_self() || object == ip_elf_objects() || ip_elf_is_vdso(object) ||
        ip_file_at(&file, AT_FDCWD, object->name, 0) < 0)
        return;
    struct ip_notes notes = ip_elf_notes(object);
    struct ip_wire_Name name = ip_name(0, AT_FDCWD, object->name, base);
    ip_unseen_object(object, &notes, &name, &file);
}

void ip_unseen_rings(const char *function)
{
    struct ip_wire_BlindSpot spot = {.cause = IP_BLINDSPOT_CAUSE_CAUSE_IO_URING};
    struct ip_wire_Event event = ip_event(function, 0);

    event.effect = IP_EVENT_BLIND_SPOT;
    event.blind_spot = &spot;
    ip_emit(&event);
}

void ip_unseen_forked(void)
{
    const void *space = NULL;
    const struct ip_object *object;

    if (atomic_load(&ip_state.rings))
        ip_unseen_rings("");
    if (!atomic_load(&ip_state.unseen))
        return;
    ip_unseen_program();
    while ((object = ip_elf_next_objects(&space)))
        for (; object; object = object->next)
            tell_again(object);
}
