/*
 * What root of a captured container can try against the sidecar that reads its spool, without end:
 *
 *   attacker swap TARGET SECONDS    put links to TARGET, FIFOs, directories and devices where names have just appeared
 *   attacker segments SECONDS      make sparse segments of every index, and claim that so many are needed
 *   attacker numbers SECONDS       write what it likes into control and into every journal
 *   attacker names SECONDS         make names, and directories in directories
 *
 * `swap` prints how many names it swapped, and each file of the spool that is TARGET itself: there must be none.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define SPOOL "/dev/interpose/spool"
#define NEXT_JOURNAL 128
#define SEGMENT (4l << 20)
#define MOST_NAMES 500000 /* the machine's file system is not what is tried here */

static time_t end;
static unsigned char *control;

static int goes_on(void)
{
    return time(NULL) < end;
}

static volatile uint64_t *word(int offset)
{
    return (volatile uint64_t *)(control + offset);
}

static void take_the_place_of(const char *name, const char *target, unsigned way)
{
    switch (way % 5) {
    case 0:
    case 1: symlink(target, name); break;
    case 2: mkfifo(name, 0666); break;
    case 3: mkdir(name, 0777); break;
    case 4: mknod(name, S_IFCHR | 0666, makedev(1, 3)); break;
    }
}

static unsigned swap_what_appeared(int watch, const char *target)
{
    static char events[1 << 16] __attribute__((aligned(8)));
    static unsigned swaps;
    ssize_t size = read(watch, events, sizeof events);
    for (char *at = events; size > 0 && at < events + size;) {
        struct inotify_event *event = (void *)at;
        at += sizeof *event + event->len;
        struct stat status;
        if (event->len == 0 || event->name[0] == 'z' || lstat(event->name, &status) != 0 || S_ISLNK(status.st_mode))
            continue;
        if (strcmp(event->name, "control") == 0)
            continue; /* without it nothing more would come */
        char away[64];
        snprintf(away, sizeof away, "z%u", swaps % 64);
        unlink(away);
        if (rename(event->name, away) == 0)
            take_the_place_of(event->name, target, swaps++);
    }
    return swaps;
}

/* Names of the spool that are the target, or a link to it that somebody has made for us. */
static unsigned reached(const char *target)
{
    struct stat wanted, status;
    unsigned found = 0;
    DIR *spool = opendir(".");
    int known = stat(target, &wanted) == 0;
    for (struct dirent *entry; (entry = readdir(spool)) != NULL;) {
        if (lstat(entry->d_name, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        if (known ? status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev
                  : status.st_nlink > 1 && status.st_size != SEGMENT) {
            printf("reached: %s\n", entry->d_name);
            found++;
        }
    }
    closedir(spool);
    return found;
}

static int swap(const char *target)
{
    unsigned swaps = 0;
    int watch = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(watch, ".", IN_CREATE | IN_MOVED_TO | IN_OPEN | IN_ATTRIB);
    for (time_t last = 0; goes_on();) {
        poll(&(struct pollfd){watch, POLLIN, 0}, 1, 100);
        swaps = swap_what_appeared(watch, target);
        if (time(NULL) != last) {
            last = time(NULL);
            *word(NEXT_JOURNAL) += 64; /* one more segment is wanted */
            if (last % 5 == 0) {       /* and there is room for it */
                char name[64];
                for (unsigned index = 0; index < 1000; index++) {
                    snprintf(name, sizeof name, "segment-%08x", index);
                    if (unlink(name) != 0)
                        rmdir(name);
                }
            }
        }
    }
    printf("swapped %u\n", swaps);
    return reached(target) != 0;
}

static int segments(void)
{
    *word(NEXT_JOURNAL) = 1ull << 40;
    for (unsigned index = 2; goes_on(); index++) {
        char name[64];
        snprintf(name, sizeof name, "segment-%08x", index % 20000);
        int file = open(name, O_RDWR | O_CREAT, 0666);
        if (file >= 0 && ftruncate(file, SEGMENT) == 0)
            close(file);
    }
    return 0;
}

static int numbers(void)
{
    uint64_t state = 88172645463325252ull;
    int journals = open("segment-00000000", O_RDWR);
    void *segment = journals < 0 ? MAP_FAILED : mmap(NULL, SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED, journals, 0);
    while (goes_on()) {
        for (int n = 0; n < 64; n++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *word((state >> 7) % 512 * 8) = state >> (state & 63);
            if (segment != MAP_FAILED)
                ((volatile uint64_t *)segment)[(state >> 9) % (SEGMENT / 8)] = state >> (state >> 58);
        }
        usleep(1000);
    }
    return 0;
}

static int names(void)
{
    char name[64];
    for (unsigned made = 0; goes_on() && made < MOST_NAMES; made++) {
        snprintf(name, sizeof name, "n%u", made);
        if (made % 64 == 0) {
            if (mkdir(name, 0777) == 0 && made % 4096 == 0)
                chdir(name);
        } else {
            close(open(name, O_CREAT | O_WRONLY, 0666));
        }
        if (made % 100000 == 99999)
            chdir(SPOOL);
    }
    return 0;
}

int main(int count, char **values)
{
    if (count < 3 || chdir(SPOOL) != 0)
        return 2;
    end = time(NULL) + atoi(values[count - 1]);
    int file = open("control", O_RDWR);
    control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (control == MAP_FAILED)
        return 2;
    if (strcmp(values[1], "swap") == 0)
        return swap(values[2]);
    if (strcmp(values[1], "segments") == 0)
        return segments();
    if (strcmp(values[1], "numbers") == 0)
        return numbers();
    return names();
}
