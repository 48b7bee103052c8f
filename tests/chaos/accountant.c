/* Does what programs do, and keeps an account of it in shared memory, which survives SIGKILL.
 *
 *     accountant ACCOUNT SEED|EXEC:IMAGE:EXIT:SEED ACTIONS CALLS THREADS PAUSE
 *
 * Every call is entered before it is made and ticked off when it has returned, so of a killed program it is known what must be
 * in the database (ticked off), what may be (entered), and that nothing else may. Files have the number of the entry that made
 * them in their names. ACTIONS are letters, one of which is drawn for each of CALLS calls of each of THREADS threads; PAUSE is in
 * microseconds. tests/chaos/account.py reads the account. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum what {
    OPEN = 1, REOPEN, WRITE, READ, RENAME, CHMOD, TRUNCATE, LINK, SYMLINK, UNLINK, MKDIR, RMDIR, PIPE,
    FORK, VFORK, SPAWN, EXEC, IMAGE, EXIT, WAIT, THREAD_START, THREAD_EXIT, SIGNAL, KILL,
};

enum state { EMPTY, BEGUN, DONE };

struct entry {
    _Atomic uint32_t state;
    uint32_t what, pid;
    uint32_t number;               /* of the file that it is about, or a status */
    uint64_t began, ended;         /* nanoseconds since 1970 */
};

struct account {
    uint32_t capacity;
    _Atomic uint32_t next;
    _Atomic uint32_t stop;         /* set by whoever watches: make no more calls */
    _Atomic uint32_t gate_at;      /* from this entry on somebody waits to be traced; 0: nobody does */
    _Atomic uint32_t gate_thread;  /* who waits */
    _Atomic uint32_t gate_entry;
    _Atomic uint32_t gate_open;
    _Atomic uint32_t children;     /* of all processes together */
    struct entry entries[];
};

#define FILES 24                   /* that a thread has made and may still use */
#define DESCRIPTORS 8              /* that it keeps open */
#define MOST_CHILDREN 40
#define PIECE 7

struct worker {
    uint64_t random;
    long calls;
    const char *actions;
    uint32_t files[FILES];
    uint32_t open_files[DESCRIPTORS];
    int descriptors[DESCRIPTORS];
    int depth;                     /* how many forks deep */
    uint32_t ending;               /* the entry of this process's exit, made by whoever made the process */
};

static struct account *account;
static char **arguments;
static long pause_us;
static _Thread_local uint32_t awaited_signal;

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint32_t draw(struct worker *worker, uint32_t below)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return (uint32_t)(worker->random >> 32) % below;
}

/* 0 where the account is full. Entry 0 is never used. */
static uint32_t enter(enum what what, uint32_t number)
{
    uint32_t index = atomic_fetch_add(&account->next, 1);

    if (index >= account->capacity) {
        atomic_store(&account->stop, 1);
        return 0;
    }
    struct entry *entry = &account->entries[index];
    entry->what = (uint32_t)what;
    entry->pid = (uint32_t)getpid();
    entry->number = number ? number : index;
    entry->began = now();
    atomic_store(&entry->state, BEGUN);
    uint32_t gate = atomic_load(&account->gate_at);
    if (gate && index >= gate && what < FORK && atomic_compare_exchange_strong(&account->gate_at, &gate, 0)) {
        account->gate_entry = index;
        atomic_store(&account->gate_thread, (uint32_t)syscall(SYS_gettid));
        while (!atomic_load(&account->gate_open))
            ;
    }
    return index;
}

static void tick(uint32_t index)
{
    if (!index)
        return;
    account->entries[index].ended = now();
    atomic_store(&account->entries[index].state, DONE);
}

/* A call that failed left no trace at level `summary`: it is struck out. */
static int settle(uint32_t index, int failed)
{
    if (failed && index)
        account->entries[index].what = 0;
    tick(index);
    return !failed;
}

static char *name(char *buffer, char kind, uint32_t number)
{
    sprintf(buffer, "%c%u", kind, number);
    return buffer;
}

static uint32_t *free_place(uint32_t *files, int count)
{
    for (int i = 0; i < count; i++)
        if (!files[i])
            return &files[i];
    return NULL;
}

static uint32_t *any_file(struct worker *worker)
{
    uint32_t first = draw(worker, FILES);

    for (uint32_t i = 0; i < FILES; i++)
        if (worker->files[(first + i) % FILES])
            return &worker->files[(first + i) % FILES];
    return NULL;
}

static void make_file(struct worker *worker)
{
    char path[32];
    uint32_t *place = free_place(worker->files, FILES), *kept = free_place(worker->open_files, DESCRIPTORS);

    if (!place)
        return;
    uint32_t index = enter(OPEN, 0);
    if (!index)
        return;
    int fd = open(name(path, 'f', index), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (!settle(index, fd < 0))
        return;
    *place = index;
    if (kept) {
        *kept = index;
        worker->descriptors[kept - worker->open_files] = fd;
    } else {
        close(fd);
    }
}

static void write_piece(struct worker *worker, int and_close)
{
    uint32_t place = draw(worker, DESCRIPTORS);
    uint32_t file = worker->open_files[place];

    if (!file)
        return;
    uint32_t index = enter(WRITE, file);
    if (index)
        settle(index, write(worker->descriptors[place], "account", PIECE) != PIECE);
    if (and_close) {
        close(worker->descriptors[place]);
        worker->open_files[place] = 0;
    }
}

/* Through another descriptor, and stdio for a change. */
static void read_file(struct worker *worker)
{
    char path[32], buffer[64];
    uint32_t *file = any_file(worker);

    if (!file)
        return;
    uint32_t index = enter(REOPEN, *file);
    if (!index)
        return;
    FILE *stream = fopen(name(path, 'f', *file), "r");
    if (!settle(index, !stream))
        return;
    index = enter(READ, *file);
    if (index)
        settle(index, read(fileno(stream), buffer, sizeof buffer) < 0);
    fclose(stream);
}

static void change_file(struct worker *worker, char action)
{
    char path[32], other[32];
    uint32_t *file = any_file(worker), index;

    if (!file)
        return;
    name(path, 'f', *file);
    switch (action) {
    case 'm':
        index = enter(CHMOD, *file);
        if (index)
            settle(index, chmod(path, 0644));
        break;
    case 'c':
        index = enter(TRUNCATE, *file);
        if (index)
            settle(index, truncate(path, 3));
        break;
    case 'l':
        index = enter(LINK, 0);
        if (index)
            settle(index, link(path, name(other, 'l', index)));
        break;
    case 'n':
        index = enter(RENAME, *file);
        if (index)
            settle(index, rename(path, name(other, 'r', *file)));
        *file = 0; /* and keeps its inode, so that no other file gets the same identity */
        break;
    default:
        abort();
    }
}

static void make_directory(void)
{
    char path[32];
    uint32_t index = enter(MKDIR, 0);

    if (!index || !settle(index, mkdir(name(path, 'd', index), 0777)))
        return;
    uint32_t removed = enter(RMDIR, index);
    if (removed)
        settle(removed, rmdir(path));
}

static void make_link(void)
{
    char path[32];
    uint32_t index = enter(SYMLINK, 0);

    if (!index || !settle(index, symlink("nowhere", name(path, 's', index))))
        return;
    uint32_t removed = enter(UNLINK, index);
    if (removed)
        settle(removed, unlink(path));
}

static void make_pipe(void)
{
    int ends[2];
    uint32_t index = enter(PIPE, 0);

    if (index && settle(index, pipe2(ends, O_CLOEXEC))) {
        close(ends[0]);
        close(ends[1]);
    }
}

static void handle(int signal)
{
    (void)signal;
    tick(awaited_signal);
}

/* To itself: the handler has run when the call returns. */
static void take_signal(void)
{
    uint32_t taken = enter(SIGNAL, SIGUSR1), sent = taken ? enter(KILL, SIGUSR1) : 0;

    if (!sent)
        return;
    awaited_signal = taken;
    settle(sent, raise(SIGUSR1));
}

static void work(struct worker *worker);

/* What a parent is told of a child makes the child's exit certain. */
static void await(pid_t child, uint32_t exit_entry)
{
    int status;
    uint32_t index = enter(WAIT, (uint32_t)child);

    if (!index || !settle(index, waitpid(child, &status, 0) != child))
        return;
    if (exit_entry && WIFEXITED(status))
        tick(exit_entry);
}

static void finish(uint32_t ending)
{
    if (!ending)
        ending = enter(EXIT, 0);
    if (!ending)
        _exit(0); /* the account is full; who reads it allows for that */
    account->entries[ending].pid = (uint32_t)getpid();
    exit((int)(ending % 100));
}

static int may_have_child(struct worker *worker)
{
    return worker->depth < 2 && atomic_fetch_add(&account->children, 1) < MOST_CHILDREN;
}

/* The exit is entered by the parent, and thus before the child can be killed. */
static void fork_child(struct worker *worker)
{
    if (!may_have_child(worker))
        return;
    uint32_t index = enter(FORK, 0), ending = index ? enter(EXIT, 0) : 0;
    if (!ending)
        return;
    account->entries[ending].pid = 0;
    pid_t child = fork();
    if (!child) {
        worker->depth++;
        worker->ending = ending;
        worker->calls = 1 + (long)draw(worker, 60);
        worker->random += (uint64_t)getpid() << 20;
        work(worker);
        finish(ending);
    }
    if (settle(index, child < 0) && draw(worker, 4))
        await(child, ending);
}

/* Of a program that is executed, the first thing is to tick off its execution (which the old image told) and its start. */
static char **command_line(char *buffer, char **vector, uint32_t executed, uint32_t image, uint32_t ending, uint32_t seed)
{
    sprintf(buffer, "%u:%u:%u:%u", executed, image, ending, seed);
    char *given[] = {arguments[0], arguments[1], buffer, arguments[3], "40", "1", arguments[6], NULL};
    memcpy(vector, given, sizeof given);
    return vector;
}

static void spawn_child(struct worker *worker)
{
    extern char **environ;
    char buffer[64], *vector[8];
    pid_t child;

    if (!may_have_child(worker))
        return;
    uint32_t index = enter(SPAWN, 0), image = index ? enter(IMAGE, 0) : 0, ending = image ? enter(EXIT, 0) : 0;
    if (!ending)
        return;
    account->entries[image].pid = account->entries[ending].pid = 0;
    command_line(buffer, vector, 0, image, ending, draw(worker, 1u << 30));
    if (!settle(index, posix_spawn(&child, "/proc/self/exe", NULL, NULL, vector, environ)))
        return;
    account->entries[image].pid = (uint32_t)child;
    if (draw(worker, 4))
        await(child, ending);
}

static void vfork_child(struct worker *worker)
{
    char buffer[64], *vector[8];

    if (!may_have_child(worker))
        return;
    uint32_t index = enter(VFORK, 0), ending = index ? enter(EXIT, 0) : 0;
    if (!ending)
        return;
    account->entries[ending].pid = 0;
    uint32_t random = draw(worker, 1u << 30);
    pid_t child = vfork();
    if (!child) {
        enter(EXEC, 0); /* told at level `calls` only: never ticked off */
        execv("/proc/self/exe", command_line(buffer, vector, 0, enter(IMAGE, 0), ending, random));
        _exit(1);
    }
    if (settle(index, child < 0) && draw(worker, 4))
        await(child, ending);
}

/* Only a process with one thread does it: the others' calls would end in their midst. */
static void execute(struct worker *worker)
{
    char buffer[64], *vector[8];

    if (worker->depth != 1 || draw(worker, 3))
        return;
    make_link(); /* who has told of nothing yet leaves it to the new image to do so */
    uint32_t index = enter(EXEC, 0), image = index ? enter(IMAGE, 0) : 0;
    if (!image)
        return;
    execv("/proc/self/exe", command_line(buffer, vector, index, image, worker->ending, draw(worker, 1u << 30)));
    abort();
}

static void act(struct worker *worker, char action)
{
    switch (action) {
    case 'o':
        make_file(worker);
        break;
    case 'w':
        write_piece(worker, !draw(worker, 8));
        break;
    case 'r':
        read_file(worker);
        break;
    case 'd':
        make_directory();
        break;
    case 's':
        make_link();
        break;
    case 'p':
        make_pipe();
        break;
    case 'k':
        take_signal();
        break;
    case 'F':
        fork_child(worker);
        break;
    case 'S':
        spawn_child(worker);
        break;
    case 'V':
        vfork_child(worker);
        break;
    case 'X':
        execute(worker);
        break;
    default:
        change_file(worker, action);
    }
}

static void work(struct worker *worker)
{
    size_t choices = strlen(worker->actions);

    while (worker->calls-- > 0 && !atomic_load(&account->stop)) {
        act(worker, worker->actions[draw(worker, (uint32_t)choices)]);
        if (pause_us > 0)
            usleep((useconds_t)draw(worker, (uint32_t)(2 * pause_us)));
    }
}

static uint32_t begun_threads[64], ended_threads[64];

static void *work_in_thread(void *argument)
{
    struct worker *worker = argument;

    tick(begun_threads[worker->depth]);
    worker->depth = 0;
    work(worker);
    return NULL;
}

static void begin(struct worker *worker, uint64_t seed, const char *actions, long calls)
{
    *worker = (struct worker){.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .actions = actions, .calls = calls};
    for (int i = 0; i < 10; i++)
        draw(worker, 1);
}

static void work_in_threads(uint64_t seed, const char *actions, long calls, int threads)
{
    static struct worker workers[64];
    pthread_t handles[64];

    for (int i = 0; i < threads; i++) {
        begin(&workers[i], seed + (uint64_t)i, actions, calls);
        if (!i)
            continue;
        workers[i].depth = i;
        begun_threads[i] = enter(THREAD_START, 0);
        ended_threads[i] = enter(THREAD_EXIT, 0);
        if (!ended_threads[i] || pthread_create(&handles[i], NULL, work_in_thread, &workers[i]))
            abort();
    }
    work(&workers[0]);
    for (int i = 1; i < threads; i++)
        if (!pthread_join(handles[i], NULL))
            tick(ended_threads[i]);
}

int main(int argc, char **argv)
{
    uint32_t executed = 0, image = 0, ending = 0, seed = 0;
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct stat status;

    if (argc != 7)
        return 2;
    arguments = argv;
    int fd = open(argv[1], O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status))
        return 2;
    account = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (account == MAP_FAILED)
        return 2;
    if (sscanf(argv[2], "%u:%u:%u:%u", &executed, &image, &ending, &seed) < 4) {
        executed = ending = 0;
        image = enter(IMAGE, 0);
        seed = (uint32_t)atol(argv[2]);
    }
    account->entries[image].pid = (uint32_t)getpid();
    tick(executed);
    tick(image);
    pause_us = atol(argv[6]);
    sigaction(SIGUSR1, &action, NULL);
    work_in_threads(seed, argv[3], atol(argv[4]), atoi(argv[5]));
    finish(ending);
}
