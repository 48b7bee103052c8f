/* stdio(3) moves bytes past every wrapper of read and write. Wrapping its functions would cost per character and miss what
 * inline macros do; but its own reads and writes go through function pointers, once per system call. glibc has them in a few
 * tables shared by all streams, musl in each stream. Both layouts are checked against exported symbols before anything
 * is changed; where they do not fit nothing is. */
#include "streams.h"

#include <linux/elf.h>
#include <linux/mman.h>

#include "bindings.h"
#include "elf.h"
#include "syscall.h"
#include "wrapper.h"

static void count_read(int fd, long size)
{
    struct ip_call_io call = {.function = "fread", .fd = fd, .read = size, .written = -1};

    if (ip_recording())
        ip_after_io(&call);
}

static struct ip_call_io begin_write(int fd)
{
    struct ip_call_io call = {.function = "fwrite", .fd = fd, .read = -1};

    if (ip_recording())
        ip_before_io(&call);
    return call;
}

static void count_written(struct ip_call_io *call, long size)
{
    call->written = size;
    if (ip_recording())
        ip_after_io(call);
}

/* glibc: struct _IO_jump_t has __read, __write, __seek and __close one after another. */
typedef ssize_t glibc_read_function(FILE *, void *, ssize_t);
typedef ssize_t glibc_write_function(FILE *, const void *, ssize_t);
typedef int close_function(FILE *);

struct glibc_io {
    glibc_read_function *read;
    glibc_write_function *write;
    void *seek;
    close_function *close;
};

static struct glibc_io glibc;      /* the libc's own; `read` is not null once the tables are hooked */

static ssize_t read_glibc(FILE *stream, void *buffer, ssize_t size)
{
    ssize_t result = glibc.read(stream, buffer, size);

    if (result >= 0)
        count_read(ip_fileno(stream), result);
    return result;
}

static ssize_t write_glibc(FILE *stream, const void *data, ssize_t size)
{
    struct ip_call_io call = begin_write(ip_fileno(stream));
    ssize_t result = glibc.write(stream, data, size);

    if (result > 0)
        count_written(&call, result);
    return result;
}

static int close_glibc(FILE *stream)
{
    if (ip_recording())
        ip_fd_closing("fclose", ip_fileno(stream));
    return glibc.close(stream);
}

/* Streams of popen and mapped ones (fopen's "m") read and write as all others, and close in ways of their own. */
static close_function *other_closes[2];

static int close_other(FILE *stream, close_function *original)
{
    if (ip_recording())
        ip_fd_closing("fclose", ip_fileno(stream));
    return original(stream);
}

static int close_first(FILE *stream)
{
    return close_other(stream, other_closes[0]);
}

static int close_second(FILE *stream)
{
    return close_other(stream, other_closes[1]);
}

static close_function *hook_of_close(close_function *original)
{
    static close_function *const hooks[] = {close_first, close_second};

    if (original == glibc.close)
        return close_glibc;
    for (int i = 0; i < 2; i++) {
        if (!other_closes[i])
            other_closes[i] = original;
        if (other_closes[i] == original)
            return hooks[i];
    }
    return original;
}

/* The tables are among what the loader made read-only after relocation. */
static const Elf64_Phdr *relro_of(uintptr_t base)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);

    for (unsigned int i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == 0x6474e552 /* PT_GNU_RELRO */)
            return &segments[i];
    return NULL;
}

static uintptr_t base_of(const void *address)
{
    uintptr_t base = 0;

    for (const struct ip_object *object = ip_elf_objects(); object; object = object->next)
        if (object->base <= (uintptr_t)address && object->base > base)
            base = object->base;
    return base;
}

static void hook_tables(uintptr_t first, uintptr_t last)
{
    for (uintptr_t at = first; at + sizeof(struct glibc_io) <= last; at += sizeof(void *)) {
        struct glibc_io *table = (struct glibc_io *)at;
        if (table->read != glibc.read || table->write != glibc.write)
            continue;
        table->read = read_glibc;
        table->write = write_glibc;
        table->close = hook_of_close(table->close);
    }
}

static void start_glibc(const uint8_t *file_jumps)
{
    const struct glibc_io *found = (const struct glibc_io *)(file_jumps + 14 * sizeof(void *));
    const Elf64_Phdr *relro = relro_of(base_of(file_jumps));
    uintptr_t page = ip_elf_page_size();

    if (!relro || (void *)found->read != ip_elf_find("_IO_file_read") || (void *)found->write != ip_elf_find("_IO_file_write") ||
        (void *)found->close != ip_elf_find("_IO_file_close"))
        return;
    uintptr_t start = base_of(file_jumps) + relro->p_vaddr;
    uintptr_t first = start & ~(page - 1), last = (start + relro->p_memsz) & ~(page - 1);
    if ((uintptr_t)found < start || (uintptr_t)found >= last || ip_sys_mprotect((void *)first, last - first, PROT_READ | PROT_WRITE))
        return;
    glibc = *found;
    hook_tables(start, last);
    ip_sys_mprotect((void *)first, last - first, PROT_READ);
}

/* musl: struct _IO_FILE, unchanged since 1.1. */
struct musl_stream {
    unsigned int flags;
    uint8_t *read_at, *read_end;
    close_function *close;
    uint8_t *write_end, *write_at, *zero, *write_base;
    size_t (*read)(FILE *, uint8_t *, size_t);
    size_t (*write)(FILE *, const uint8_t *, size_t);
    void *seek;
    uint8_t *buffer;
    size_t buffer_size;
    void *previous, *next;
    int fd;
};
_Static_assert(offsetof(struct musl_stream, fd) == 120, "layout of musl's streams");

struct musl_original {
    FILE *stream;                  /* NULL: of all that were opened */
    struct musl_stream functions;
};

static struct musl_original musl[4];
static int musl_is_hooked;

static struct musl_original *original_of(FILE *stream)
{
    for (int i = 1; i < 4; i++)
        if (musl[i].stream == stream)
            return &musl[i];
    return &musl[0];
}

static size_t read_musl(FILE *file, uint8_t *buffer, size_t size)
{
    struct musl_stream *stream = (struct musl_stream *)file;
    size_t result = original_of(file)->functions.read(file, buffer, size);
    size_t ahead = stream->read_end ? (size_t)(stream->read_end - stream->read_at) : 0;

    /* A negative count is an error that was stored in the flags; what was read beyond `buffer` is in the stream's own. */
    if (result <= size)
        count_read(stream->fd, (long)(result + ahead));
    return result;
}

static size_t write_musl(FILE *file, const uint8_t *data, size_t size)
{
    struct musl_stream *stream = (struct musl_stream *)file;
    struct musl_original *original = original_of(file);
    size_t waiting = stream->write_at ? (size_t)(stream->write_at - stream->write_base) : 0;
    struct ip_call_io call = begin_write(stream->fd);
    size_t result = original->functions.write(file, data, size);

    /* stdout's first write finds out whether it is a terminal, and puts the usual function in its place. */
    if (stream->write != write_musl) {
        original->functions.write = stream->write;
        stream->write = write_musl;
    }
    if (result == size && waiting + size)
        count_written(&call, (long)(waiting + size));
    return result;
}

static int close_musl(FILE *file)
{
    if (ip_recording())
        ip_fd_closing("fclose", ((struct musl_stream *)file)->fd);
    return original_of(file)->functions.close(file);
}

static void hook_stream(struct musl_original *original, struct musl_stream *stream)
{
    original->functions = *stream;
    stream->read = read_musl;
    stream->write = write_musl;
    stream->close = close_musl;
}

static void start_musl(void)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};

    for (int i = 0; i < 3; i++) {
        FILE **variable = ip_elf_find(names[i]);
        struct musl_stream *stream = variable ? (struct musl_stream *)*variable : NULL;
        if (!stream || stream->fd != i)
            return;
        musl[i + 1].stream = (FILE *)stream;
        hook_stream(&musl[i + 1], stream);
    }
    musl_is_hooked = 1;
}

void ip_stdio_start(void)
{
    const uint8_t *file_jumps = ip_elf_find("_IO_file_jumps");

    if (file_jumps)
        start_glibc(file_jumps);
    else if (!ip_elf_find("gnu_get_libc_version") && ip_elf_find("__libc_start_main"))
        start_musl();
}

void ip_stdio_opened(FILE *file)
{
    struct musl_stream *stream = (struct musl_stream *)file;

    if (!musl_is_hooked || !file || stream->fd < 0 || stream->read == read_musl)
        return;
    if (original_of(file) != &musl[0] || !musl[0].functions.read) {
        hook_stream(original_of(file), stream);
    } else if (stream->read == musl[0].functions.read && stream->write == musl[0].functions.write) {
        stream->read = read_musl;
        stream->write = write_musl;
        stream->close = close_musl;
    }
}

int ip_stdio_is_shared(void)
{
    return glibc.read != NULL;
}

int ip_stdio_is_hooked(FILE *file)
{
    return glibc.read || (musl_is_hooked && ((struct musl_stream *)file)->close == close_musl);
}

/* Until 2.36 glibc formats into a stream of its own, whose write function is hooked. */
long ip_dprintf_written(long result)
{
    return glibc.read && ip_glibc_is_before(37) ? -1 : result;
}
