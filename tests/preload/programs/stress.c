/* Threads, signal handlers and children of every kind at once: `stress SEED OPERATIONS THREADS`. What each of them does it counts, when it
 * is done, in the file `account`, which all share: the names of `enum entry`, in their order. What went wrong in the program's own eyes is
 * counted as `failed`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum entry {
    FAILED, LEAKED,
    CALLS_OF_HANDLERS, CALLS_OF_THREADS, CALLS_OF_CHILDREN, CALLS_OF_BORROWERS, CALLS_OF_IMAGES,
    SIGNALS_OF_TIMER, SIGNALS_OF_THREADS, SIGNALS_SENT,
    FORKS, VFORKS, SPAWNS, IMAGES, EXITS, WAITS, WAITS_OF_KILLED,
    THREADS_STARTED, THREADS_RETURNED, THREADS_UNWOUND,
    FILES_OPENED, BYTES_WRITTEN, BYTES_READ, PIPES,
    ENTRIES
};

static uint64_t *account;
static char *self, *operations_text;
static uint64_t seed;
static _Thread_local sigjmp_buf *jump;

#define COUNT(entry, by) ((void)__atomic_fetch_add(&account[entry], (uint64_t)(by), __ATOMIC_RELAXED))
#define CHECK(condition) ((condition) ? (void)0 : COUNT(FAILED, 1))

static uint32_t chance(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33) % below;
}

static void call(const char *file, enum entry entry)
{
    if (chmod(file, 0600))
        COUNT(FAILED, 1);
    else
        COUNT(entry, 1);
}

static void on_timer(int signal)
{
    int error = errno;

    COUNT(SIGNALS_OF_TIMER, 1);
    call("handler", CALLS_OF_HANDLERS);
    errno = error;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int error = errno;

    COUNT(SIGNALS_OF_THREADS, 1);
    CHECK(info->si_pid == getpid());
    call("handler", CALLS_OF_HANDLERS);
    errno = error;
    if (jump)
        siglongjmp(*jump, 1);
}

static void write_file(uint64_t *state)
{
    static const char block[3000];
    char name[64];
    int times = 1 + (int)chance(state, 4);

    snprintf(name, sizeof name, "file-%d-%d", getpid(), gettid());
    int file = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        COUNT(FAILED, 1);
        return;
    }
    COUNT(FILES_OPENED, 1);
    for (int i = 0; i < times; i++) {
        ssize_t size = 1 + (ssize_t)chance(state, sizeof block), written = write(file, block, (size_t)size);
        CHECK(written == size);
        COUNT(BYTES_WRITTEN, written > 0 ? written : 0);
    }
    if (chance(state, 3) == 0) {
        int copy = fcntl(file, F_DUPFD_CLOEXEC, 100);
        CHECK(write(copy, block, 1) == 1);
        COUNT(BYTES_WRITTEN, 1);
        close(copy);
    }
    close(file);
}

static void use_pipe(uint64_t *state)
{
    char text[512];
    int ends[2];

    if (pipe2(ends, O_CLOEXEC)) {
        COUNT(FAILED, 1);
        return;
    }
    COUNT(PIPES, 1);
    ssize_t written = write(ends[1], text, 1 + chance(state, sizeof text));
    COUNT(BYTES_WRITTEN, written > 0 ? written : 0);
    ssize_t found = read(ends[0], text, sizeof text);
    COUNT(BYTES_READ, found > 0 ? found : 0);
    CHECK(found > 0 && found == written);
    close(ends[0]);
    close(ends[1]);
}

/* Of what another thread has open, files and pipes may have come along, and nothing of the capture's. */
static void look_for_leaks(void)
{
    char link[64], path[256];

    for (int fd = 3; fd < 128; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, sizeof path - 1);
        path[size > 0 ? size : 0] = 0;
        if (!path[0] || !strncmp(path, "pipe:", 5) || strstr(path, "/file-"))
            continue;
        COUNT(LEAKED, 1);
        dprintf(2, "leaked %s\n", path);
    }
}

static void end_wait(pid_t child, int expected_status, int expected_signal)
{
    int status = -1;
    pid_t found;

    while ((found = waitpid(child, &status, 0)) < 0 && errno == EINTR)
        ;
    CHECK(found == child);
    if (expected_signal) {
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == expected_signal);
        COUNT(WAITS_OF_KILLED, 1);
    } else {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected_status);
        COUNT(WAITS, 1);
    }
}

static char *const *image_arguments(void)
{
    static char *arguments[] = {NULL, "image", NULL};

    arguments[0] = self;
    return arguments;
}

static void *run_briefly(void *unused)
{
    call("thread", CALLS_OF_THREADS);
    return NULL;
}

enum ending { BY_EXIT, BY_KILL, BY_EXEC, BY_THREAD, ENDINGS };

static void live_as_child(enum ending ending, uint64_t *state)
{
    pthread_t thread;

    look_for_leaks();
    for (uint32_t i = chance(state, 4); i <= 4; i++)
        call("child", CALLS_OF_CHILDREN);
    write_file(state);
    switch (ending) {
    case BY_KILL: COUNT(SIGNALS_SENT, 1); raise(SIGKILL);
    case BY_EXEC: execv(self, image_arguments()); COUNT(FAILED, 1);
    case BY_THREAD:
        CHECK(!pthread_create(&thread, NULL, run_briefly, NULL));
        COUNT(THREADS_STARTED, 1);
        pthread_join(thread, NULL);
        COUNT(THREADS_RETURNED, 1);
    default: COUNT(EXITS, 1); _exit(3);
    }
}

static void fork_child(uint64_t *state)
{
    enum ending ending = (enum ending)chance(state, ENDINGS);
    pid_t child = fork();

    if (!child)
        live_as_child(ending, state);
    if (child < 0) {
        COUNT(FAILED, 1);
        return;
    }
    COUNT(FORKS, 1);
    end_wait(child, 3, ending == BY_KILL ? SIGKILL : 0);
}

static int live_as_borrower(void *executes)
{
    call("borrower", CALLS_OF_BORROWERS);
    if (executes)
        execv(self, image_arguments());
    COUNT(EXITS, 1);
    _exit(3);
}

__attribute__((noinline)) static pid_t vfork_borrower(void *executes)
{
    pid_t child = vfork();

    if (!child)
        live_as_borrower(executes);
    return child;
}

static void borrow(uint64_t *state)
{
    char stack[16384] __attribute__((aligned(16)));
    void *executes = chance(state, 2) ? state : NULL;
    pid_t child = chance(state, 2) ? vfork_borrower(executes)
                                   : clone(live_as_borrower, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, executes);

    if (child < 0) {
        COUNT(FAILED, 1);
        return;
    }
    COUNT(VFORKS, 1);
    end_wait(child, 3, 0);
}

static void spawn_image(void)
{
    extern char **environ;
    pid_t child;

    if (posix_spawn(&child, self, NULL, NULL, image_arguments(), environ)) {
        COUNT(FAILED, 1);
        return;
    }
    COUNT(SPAWNS, 1);
    end_wait(child, 3, 0);
}

static void *leave(void *unused)
{
    call("thread", CALLS_OF_THREADS);
    pthread_exit(NULL);
}

static void *wait_for_cancel(void *unused)
{
    call("thread", CALLS_OF_THREADS);
    for (;;)
        pause();
}

static void run_thread(uint32_t which)
{
    void *(*const functions[])(void *) = {run_briefly, leave, wait_for_cancel};
    pthread_t thread;

    if (pthread_create(&thread, NULL, functions[which], NULL)) {
        COUNT(FAILED, 1);
        return;
    }
    COUNT(THREADS_STARTED, 1);
    if (which == 2)
        CHECK(!pthread_cancel(thread));
    CHECK(!pthread_join(thread, NULL));
    COUNT(which ? THREADS_UNWOUND : THREADS_RETURNED, 1);
}

/* Half of the time the handler jumps out of raise, which then does not return: it is told of before. */
static void send_signal(uint64_t *state)
{
    sigjmp_buf place;

    COUNT(SIGNALS_SENT, 1);
    if (chance(state, 2)) {
        jump = &place;
        if (!sigsetjmp(place, 1))
            raise(SIGUSR1);
        jump = NULL;
    } else {
        raise(SIGUSR1);
    }
}

static void *operate(void *number)
{
    uint64_t state = seed ^ (uint64_t)(uintptr_t)number << 32;

    for (int i = atoi(operations_text); i > 0; i--)
        switch (chance(&state, 12)) {
        case 0: case 1: fork_child(&state); break;
        case 2: case 3: borrow(&state); break;
        case 4: spawn_image(); break;
        case 5: case 6: run_thread(chance(&state, 3)); break;
        case 7: case 8: send_signal(&state); break;
        case 9: use_pipe(&state); break;
        case 10: write_file(&state); break;
        default: call("thread", CALLS_OF_THREADS);
        }
    return NULL;
}

static void open_account(void)
{
    int file = open("account", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    ftruncate(file, ENTRIES * sizeof *account);
    account = mmap(NULL, ENTRIES * sizeof *account, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    COUNT(FILES_OPENED, 1);
}

int main(int argc, char **argv)
{
    struct sigaction timed = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    struct sigaction sent = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO | SA_NODEFER};
    struct itimerval timer = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    int count = argc > 3 ? atoi(argv[3]) : 0;
    pthread_t threads[64];

    self = argv[0];
    open_account();
    if (argc < 4) {
        COUNT(IMAGES, 1);
        call("image", CALLS_OF_IMAGES);
        COUNT(EXITS, 1);
        return 3;
    }
    seed = strtoull(argv[1], NULL, 10);
    operations_text = argv[2];
    run_thread(1); /* the first to unwind loads a library, and a child forked meanwhile would have a descriptor of it */
    sigaction(SIGUSR1, &sent, NULL);
    sigaction(SIGALRM, &timed, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, operate, (void *)(uintptr_t)(i + 1));
        COUNT(THREADS_STARTED, 1);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        COUNT(THREADS_RETURNED, 1);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    COUNT(EXITS, 1);
    return 0;
}
