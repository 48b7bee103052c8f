/* Runs a topic in main, in a constructor that runs before the library's, before all constructors, in a thread or in a
 * forked child. Marks where the topic's events begin and end by a signal 0 to itself. */
#include "harness.h"

#include <stdarg.h>
#include <sys/mount.h>

extern const struct topic *__start_topics[] __attribute__((visibility("hidden")));
extern const struct topic *__stop_topics[] __attribute__((visibility("hidden")));

char self[PATH_MAX];
char **main_environment;

void say(const char *format, ...)
{
    char text[8192];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    syscall(SYS_write, 1, text, length);
}

void say_status(const char *what, int status)
{
    if (WIFSIGNALED(status))
        say("%s: signal %d\n", what, WTERMSIG(status));
    else
        say("%s: status %d\n", what, WEXITSTATUS(status));
}

void make_file(const char *path, const char *content)
{
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    syscall(SYS_write, fd, content, strlen(content));
    syscall(SYS_close, fd);
}

void replace_folder(const char *path)
{
    syscall(SYS_unshare, CLONE_NEWNS);
    syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL); /* in a changed root all is private, and "/" no mount */
    if (syscall(SYS_mount, "none", path, "tmpfs", 0, "mode=755"))
        say("%s cannot be replaced: %s\n", path, strerror(errno));
}

static void mark(void)
{
    kill(getpid(), 0);
}

static void *run_topic(void *name)
{
    for (const struct topic **topic = __start_topics; topic < __stop_topics; topic++)
        if (!strcmp((*topic)->name, name)) {
            mark();
            (*topic)->run();
            mark();
            return NULL;
        }
    say("no topic %s\n", (char *)name);
    _exit(99);
}

static void run_in_thread(char *name)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run_topic, name);

    if (error)
        say("pthread_create: %s\n", strerror(error));
    pthread_join(thread, NULL);
}

static void run_in_child(char *name)
{
    int status;
    pid_t child = fork();

    if (!child) {
        run_topic(name);
        exit(5);
    }
    waitpid(child, &status, 0);
    say_status("topic", status);
}

/* The arguments, where nobody hands them over: musl calls constructors without. */
static char *argument(int wanted)
{
    static char text[3 * PATH_MAX];
    long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
    long size = syscall(SYS_read, fd, text, sizeof text - 1);
    char *at = text;

    syscall(SYS_close, fd);
    for (int i = 0; i < wanted && at < text + size; i++)
        at += strlen(at) + 1;
    return at;
}

void harness_run_if(const char *mode)
{
    if (strcmp(argument(1), mode))
        return;
    strcpy(self, argument(0));
    run_topic(argument(2));
}

__attribute__((constructor)) static void construct(void)
{
    harness_run_if("constructor");
}

/* How the process was started, of what a parent can decide: for those that topics spawn. */
static void report(int terminal)
{
    char directory[PATH_MAX] = "";
    struct sched_param parameter;
    sigset_t blocked;
    uint64_t signals[2] = {0};

    for (int fd = 0; fd < 64; fd++)
        if (syscall(SYS_fcntl, fd, F_GETFD) >= 0)
            say("descriptor %d\n", fd);
    syscall(SYS_getcwd, directory, sizeof directory);
    say("in %s\n", strrchr(directory, '/') + 1);
    say("leads its group: %d, its session: %d\n", getpgid(0) == getpid(), getsid(0) == getpid());
    if (terminal >= 0)
        say("in the foreground: %d\n", tcgetpgrp(terminal) == getpgid(0));
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int signal = 1; signal < 32; signal++) {
        struct { /* rt_sigaction(2) */
            void *function;
            unsigned long flags;
            void *restorer;
            uint64_t mask;
        } action = {0};
        syscall(SYS_rt_sigaction, signal, NULL, &action, 8);
        signals[0] |= (uint64_t)(sigismember(&blocked, signal) == 1) << signal;
        signals[1] |= (uint64_t)(action.function == SIG_IGN) << signal;
    }
    say("blocks %lx, ignores %lx\n", (unsigned long)signals[0], (unsigned long)signals[1]);
    syscall(SYS_sched_getparam, 0, &parameter);
    say("scheduler %ld, priority %d\n", syscall(SYS_sched_getscheduler, 0), parameter.sched_priority);
    say("users %ld %ld\n", syscall(SYS_getuid), syscall(SYS_geteuid));
}

int harness_main(int argc, char **argv, char **environment)
{
    main_environment = environment;
    strcpy(self, argv[0]);
    if (argc < 3)
        return 98;
    for (char **entry = environment; *entry; entry++)
        if (!strncmp(*entry, "LD_PRELOAD=", 11))
            say("main was given %s\n", *entry);
    if (getenv("LD_PRELOAD"))
        say("main sees %s\n", getenv("LD_PRELOAD"));
    if (!strcmp(argv[1], "main"))
        run_topic(argv[2]);
    else if (!strcmp(argv[1], "thread"))
        run_in_thread(argv[2]);
    else if (!strcmp(argv[1], "fork"))
        run_in_child(argv[2]);
    else if (!strcmp(argv[1], "leaf")) /* what topics execute: it only tells that it ran, and how */
        say("leaf %s, LD_PRELOAD %s\n", argv[2], getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "unset");
    else if (!strcmp(argv[1], "report"))
        report(atoi(argv[2]));
    return argc > 3 ? atoi(argv[3]) : 0;
}
