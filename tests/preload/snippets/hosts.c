/* Hosts: what was asked for and what came back, of each of the ways to ask. Before 2.34 glibc's module opens files by fopen, and a
 * library of its own asks in a thread.
 *
 * needs: root
 * events:
 *   [glibc<2.34] open fopen path=/etc/services fd=* read mode=0o666
 *   [glibc<2.34] io fread bytes_read=17
 *   [glibc<2.34] open fopen path=/etc/hosts fd=* read mode=0o666
 *   [glibc<2.34] io fread bytes_read=26
 *   lookup getaddrinfo database=hosts question=one service=answers addresses=* found
 *   [glibc<2.34] open fopen path=/etc/hosts fd=* read mode=0o666
 *   [glibc<2.34] io fread bytes_read=26
 *   lookup gethostbyname database=hosts question=one addresses=* found
 *   [glibc<2.34] open fopen path=/etc/hosts fd=* read mode=0o666
 *   [glibc<2.34] io fread bytes_read=26
 *   lookup gethostbyaddr database=hosts answer=one.example addresses=* found
 *   [glibc<2.34] open fopen path=/etc/hosts fd=* read mode=0o666
 *   [glibc<2.34] io fread bytes_read=26
 *   lookup gethostbyaddr_r database=hosts answer=one.example addresses=* found
 *   [glibc>=2.34] lookup getaddrinfo_a database=hosts question=one addresses=* found
 *   [glibc<2.34] thread_start pthread_create
 *   [glibc<2.34] open fopen path=/etc/hosts fd=* read mode=0o666
 *   [glibc<2.34] io fread bytes_read=26
 *   [glibc<2.34] lookup getaddrinfo database=hosts question=one addresses=* found
 */
#include "harness.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>

TOPIC(hosts)
{
    struct addrinfo *answer = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    uint8_t address[] = {192, 0, 2, 1};
    char buffer[1024];
    struct hostent room, *host = NULL;
    int problem;

    replace_folder("/etc");
    make_file("/etc/nsswitch.conf", "hosts: files\nservices: files\n");
    make_file("/etc/hosts", "192.0.2.1 one.example one\n");
    make_file("/etc/services", "answers 4242/tcp\n");
    make_file("/etc/resolv.conf", "nameserver 192.0.2.2\noptions timeout:1 attempts:1\n");
    SAY(getaddrinfo("one", "answers", &hints, &answer));
    if (answer)
        freeaddrinfo(answer);
    host = gethostbyname("one");
    say("%s\n", host ? host->h_name : "none");
    host = gethostbyaddr(address, sizeof address, AF_INET);
    say("%s\n", host ? host->h_name : "none");
    host = NULL;
    SAY(gethostbyaddr_r(address, sizeof address, AF_INET, &room, buffer, sizeof buffer, &host, &problem));
    say("%s\n", host ? host->h_name : "none");
#ifdef __GLIBC__
    struct gaicb known = {.ar_name = "one", .ar_request = &hints}, *questions[] = {&known, NULL};
    dlopen("libanl.so.1", RTLD_NOW | RTLD_GLOBAL);
    int (*ask)(int, struct gaicb **, int, struct sigevent *) = dlsym(RTLD_DEFAULT, "getaddrinfo_a");
    SAY(ask(GAI_WAIT, questions, 2, NULL));
    SAY(known.ar_result != NULL);
#endif
}
