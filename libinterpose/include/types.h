/* The types that prototypes are made of. Opaque where the library never looks inside, so that one file fits every libc. */
#ifndef IP_TYPES_H
#define IP_TYPES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef long off_t;
typedef long off64_t;
typedef long time_t;
typedef int pid_t;
typedef int idtype_t;
typedef int clockid_t;
typedef int key_t;
typedef unsigned int mode_t;
typedef unsigned int uid_t;
typedef unsigned int gid_t;
typedef unsigned int id_t;
typedef unsigned int socklen_t;
typedef unsigned short sa_family_t;
typedef uint64_t eventfd_t;
typedef unsigned long dev_t;
typedef unsigned long nfds_t;
typedef unsigned long pthread_t;
typedef unsigned long thrd_t;
typedef void *locale_t;
typedef void *iconv_t;
typedef void *nl_catd;
typedef struct ip_opaque_file FILE;
typedef struct ip_opaque_dir DIR;
typedef struct ip_opaque_spawn_actions posix_spawn_file_actions_t;
typedef struct ip_opaque_spawn_attributes posix_spawnattr_t;
typedef struct ip_opaque_thread_attributes pthread_attr_t;
typedef struct ip_opaque_siginfo siginfo_t;
typedef struct ip_opaque_sigset sigset_t;
typedef void (*sighandler_t)(int);
typedef struct ip_opaque_semaphore sem_t;
typedef struct ip_opaque_glob glob_t;
typedef struct ip_opaque_words wordexp_t;
typedef struct ip_opaque_walk FTS;
typedef struct ip_opaque_walked FTSENT;
union sigval {
    int sival_int;
    void *sival_ptr;
};

struct FTW;
struct addrinfo;
struct aiocb;
struct dirent;
struct dl_phdr_info;
struct file_handle;
struct iovec;
struct mmsghdr;
struct mount_attr;
struct mq_attr;
struct msghdr;
struct sigaction;
struct sigvec;
struct gaicb;
struct group;
struct hostent;
struct servent;
struct sigevent;
struct spwd;
struct passwd;
struct tm;
struct utmp;
struct utmpx;
struct rlimit;
struct rusage;
struct sockaddr;
struct sockaddr_in;
struct stat;
struct statfs;
struct statvfs;
struct statx;
struct termios;
struct timespec;
struct timeval;
struct utimbuf;
struct winsize;
struct __user_cap_header_struct;
struct __user_cap_data_struct;

/* What bindings name and the kernel's headers do not have. */
#define MSG_PEEK 2
#ifndef S_IFIFO
#define S_IFIFO 0010000
#endif
#define FALLOC_FL_KEEP_SIZE 1
#define GAI_WAIT 0
#define F_ULOCK 0
#define F_LOCK 1
#define F_TLOCK 2

#endif
