/* The system's log: libc's own socket, wherever it connects it, and what is sent there; not what the mask holds back.
 *
 * needs: root
 * events:
 *   connect syslog fd=@log peer.family=1 peer.path=/dev/log inode=@one
 *   io syslog fd=@log writes=1 inode=@one
 *   io closelog fd=@log writes=1 inode=@one final
 *   connect openlog fd=@log peer.family=1 peer.path=/dev/log inode=@two
 *   io syslog fd=@log writes=1 inode=@two
 *   socket socket fd=* family=1 type=2 inode=@own
 *   connect connect fd=* peer.path=/dev/log inode=@own
 *   [glibc] connect syslog fd=@log peer.path=/dev/log inode=@three
 *   [glibc] io syslog fd=@log writes=1 inode=@three
 *   io closelog fd=@log inode=* final
 *   connect syslog fd=@other peer.path=/dev/log inode=@four
 *   io syslog fd=@other writes=1 inode=@four
 */
#include "harness.h"

#include <syslog.h>

static int server;

static void serve(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (server)
        syscall(SYS_close, server);
    server = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (syscall(SYS_bind, server, &address, sizeof address))
        say("no log: %s\n", strerror(errno));
}

static void show(void)
{
    char message[256] = "";
    long size = syscall(SYS_recvfrom, server, message, sizeof message - 1, MSG_DONTWAIT, NULL, NULL);
    char *text = strchr(message, '[');

    say("%s\n", size > 0 && text ? text : "nothing");
}

TOPIC(log)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    replace_folder("/dev");
    syslog(LOG_INFO, "[there is no log]");
    serve("/dev/log");
    syslog(LOG_INFO, "[one %d]", 1);
    show();
    SAY(setlogmask(LOG_UPTO(LOG_ERR)));
    syslog(LOG_INFO, "[held back]");
    show();
    SAY(setlogmask(0));
    syslog(LOG_ERR, "[two]");
    show();
    closelog();
    openlog("snippet", LOG_NDELAY, LOG_USER);
    syslog(LOG_ERR, "[three]");
    show();
    int own = socket(AF_UNIX, SOCK_DGRAM, 0);
    SAY(connect(own, (struct sockaddr *)&address, sizeof address));
    serve("/dev/log");
    syslog(LOG_ERR, "[four]");
    show();
    closelog();
    /* As systemd has it. */
    serve("/dev/behind");
    syscall(SYS_unlinkat, AT_FDCWD, "/dev/log", 0);
    syscall(SYS_symlinkat, "behind", AT_FDCWD, "/dev/log");
    syslog(LOG_ERR, "[five]");
    show();
}
