#include "origin.h"

#include <linux/utsname.h>

#include "arguments.h"
#include "brief.h"
#include "clock.h"
#include "files.h"
#include "image.h"
#include "journal.h"
#include "syscall.h"
#include "version.h"

#define MOST_ARGUMENTS ((uintptr_t)8 << 20) /* bytes of all arguments and variables; execve(2) allows 6 MiB */
#define TICKS_PER_SECOND 100u      /* USER_HZ, the unit of /proc: 100 on every architecture here */

static char **arguments;

void ip_origin_set_arguments(char **given)
{
    arguments = given;
}

/* A field of /proc/PROCESS/stat, 0 if it is not to be had. The second field is a name in parentheses that may hold anything,
 * so fields are counted from the last ')'. */
static uint64_t status_of(const char *process, int wanted)
{
    char text[1024];
    const char *end = text + sizeof text;

    ip_append(ip_append(ip_append(text, end, "/proc/"), end, process), end, "/stat");
    int fd = ip_brief_open(AT_FDCWD, text, O_RDONLY, 0);

    if (fd < 0)
        return 0;
    long size = ip_sys_read(fd, text, sizeof text - 1);
    ip_brief_close(fd);
    if (size <= 0)
        return 0;
    text[size] = 0;
    const char *at = text + size;
    while (at > text && *at != ')')
        at--;
    for (int field = 2; field < wanted && *at; field += *at == ' ', at++)
        ;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

static uint64_t status_of_pid(uint32_t pid, int wanted)
{
    char name[16];

    ip_append_number(name, name + sizeof name, pid, 10, 1);
    return status_of(name, wanted);
}

uint64_t ip_process_start_time(void)
{
    return status_of("self", 22) * (1000000000u / TICKS_PER_SECOND);
}

uint64_t ip_start_time_of(uint32_t pid)
{
    return status_of_pid(pid, 22) * (1000000000u / TICKS_PER_SECOND);
}

uint32_t ip_parent_of(uint32_t pid)
{
    return (uint32_t)status_of_pid(pid, 4);
}

/* A program that loads others by itself, as valgrind does, has a stack of its own there: argv would be that one's. */
char **ip_process_arguments(uintptr_t name)
{
    long *start = (long *)status_of("self", 28); /* where the kernel put argc, and argv behind it */

    return start && name - (uintptr_t)start < MOST_ARGUMENTS && *start >= 0 && !((char **)start)[1 + *start] ? (char **)start + 1 : NULL;
}

/* It may share its thread's memory with its parent, so nothing is kept there that tells them apart. */
uint32_t ip_companion(void)
{
    uint32_t pid = (uint32_t)ip_sys_getpid();

    return pid == ip_state.pid ? 0 : pid;
}

uint64_t ip_borrower_start(void)
{
    if (!ip_thread.borrower)
        return ip_process_start_time();
    if (!ip_thread.borrower_start)
        ip_thread.borrower_start = ip_process_start_time();
    return ip_thread.borrower_start;
}

/* For processes that do not see /proc any more: what runs in them. */
static struct {
    size_t length;
    struct ip_wire_File file;
    char path[IP_BASE_MAX];
} kept;

static size_t program_into(char path[IP_BASE_MAX], struct ip_wire_File *file, int started)
{
    struct statx status;
    long length = ip_sys_readlinkat(AT_FDCWD, "/proc/self/exe", path, IP_BASE_MAX);

    *file = (struct ip_wire_File){0};
    if (!ip_sys_statx(AT_FDCWD, "/proc/self/exe", 0, IP_FILE_MASK, &status)) {
        *file = ip_file_from(&status);
        if (started)
            ip_image_started(&status);
    }
    return length > 0 ? (size_t)length : 0;
}

void ip_origin_keep_program(void)
{
    if (!kept.length)
        kept.length = program_into(kept.path, &kept.file, 0);
}

void ip_append_origin(struct ip_journal *journal, enum ip_wire_Origin_Reason reason, uint64_t previous)
{
    char executable[IP_BASE_MAX];
    struct new_utsname host;
    struct ip_wire_File executable_file, namespace;
    struct ip_wire_Process process = {.pid = ip_state.pid, .start_time = ip_state.start_time};
    struct ip_wire_Process parent = {.pid = ip_state.parent_pid, .start_time = ip_state.parent_start_time};
    struct ip_wire_Origin origin = {
        .reason = (uint32_t)reason,
        .process = &process,
        .parent = &parent,
        .realtime_offset = ip_realtime_offset(),
        .previous = previous,
        .directory = ip_text(ip_state.directory),
        .user = (uint32_t)ip_syscall(__NR_geteuid, 0, 0, 0, 0, 0, 0),
        .group = (uint32_t)ip_syscall(__NR_getegid, 0, 0, 0, 0, 0, 0),
        .machine = ip_text(IP_MACHINE),
        .library_version = ip_text(IP_VERSION),
    };

    if (!ip_state.pid_namespace && !ip_file_at(&namespace, AT_FDCWD, "/proc/self/ns/pid", 0))
        ip_state.pid_namespace = namespace.inode;
    origin.pid_namespace = ip_state.pid_namespace;
    origin.executable = (struct ip_bytes){executable, program_into(executable, &executable_file, reason == IP_ORIGIN_REASON_REASON_IMAGE)};
    if (!origin.executable.size)
        origin.executable = (struct ip_bytes){kept.path, kept.length};
    if (!executable_file.inode)
        executable_file = kept.file;
    if (executable_file.inode)
        origin.executable_file = &executable_file;
    if (!ip_syscall(__NR_uname, (long)&host, 0, 0, 0, 0, 0))
        origin.host_name = ip_text(host.nodename);
    origin.arguments = ip_arguments_that_fit(arguments, &origin.arguments_omitted);
    struct ip_wire_Event event = ip_event("", 0);
    event.effect = IP_EVENT_ORIGIN;
    if (ip_is_borrower())
        event.thread = ip_thread.id;
    if (reason == IP_ORIGIN_REASON_REASON_FORK)
        event.time = ip_state.began;
    event.origin = &origin;
    ip_append_to(journal, &event);
}
