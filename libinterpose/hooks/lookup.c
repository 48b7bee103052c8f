#include "consult.h"
#include "effects.h"
#include "files.h"
#include "journal.h"

#define ANSWERS 8
#define NUMBER 24

struct answer { /* struct addrinfo, which glibc and musl lay out alike */
    int flags, family, type, protocol;
    unsigned int length;
    const void *address;
    char *canonical;
    struct answer *next;
};
_Static_assert(offsetof(struct answer, next) == 40, "layout of addrinfo");

struct named_number { /* how struct passwd and struct group begin */
    const char *name, *password;
    unsigned int number;
};

struct service { /* struct servent */
    const char *name, *const *aliases;
    int port;
};

struct question { /* struct gaicb, as it begins */
    const char *name, *service;
    const void *wanted;
    const struct answer *answer;
    int problem;
};

struct host { /* struct hostent */
    const char *name, *const *aliases;
    int family, length;
    const void *const *addresses;
};

static struct ip_bytes decimal(char buffer[NUMBER], long number)
{
    char *end = ip_append_number(buffer, buffer + NUMBER, (uint64_t)number, 10, 1);

    return (struct ip_bytes){buffer, (size_t)(end - buffer)};
}

static int is_known(const struct ip_wire_Address *addresses, size_t count, const struct ip_wire_Address *address)
{
    for (size_t i = 0; i < count; i++)
        if (addresses[i].family == address->family && addresses[i].ip.size == address->ip.size &&
            !memcmp(addresses[i].ip.data, address->ip.data, address->ip.size))
            return 1;
    return 0;
}

/* getaddrinfo repeats an address for every type of socket. */
static size_t addresses_of_list(struct ip_wire_Address addresses[ANSWERS], const struct answer *list)
{
    size_t count = 0;

    for (; list && count < ANSWERS; list = list->next) {
        struct ip_wire_Address address = ip_address_of(list->address, list->length);
        if (!is_known(addresses, count, &address))
            addresses[count++] = address;
    }
    return count;
}

static size_t addresses_of_host(struct ip_wire_Address addresses[ANSWERS], const struct host *host)
{
    size_t count = 0;

    for (; count < ANSWERS && host->addresses[count]; count++)
        addresses[count] = (struct ip_wire_Address){
            .family = (uint32_t)host->family, .ip = {host->addresses[count], (size_t)host->length}};
    return count;
}

/* The other half of what was asked: a number's name, a name's number. */
static struct ip_bytes answer_of(const struct ip_call_lookup *call, char buffer[NUMBER])
{
    const struct named_number *entry = call->entry;
    const struct service *service = call->entry;

    if (call->number >= 0 || call->address)
        return ip_text(entry->name); /* all of them begin with it */
    if (call->database[0] == 's')
        return decimal(buffer, (service->port & 0xff) << 8 | (service->port >> 8 & 0xff));
    return decimal(buffer, entry->number);
}

static int is_about_hosts(const struct ip_call_lookup *call)
{
    return call->database[0] == 'h';
}

/* One thing only: a host has several addresses, and what came from a server is a packet. */
static int has_answer(const struct ip_call_lookup *call)
{
    return call->address || !(is_about_hosts(call) || call->database[0] == 'd');
}

void ip_after_lookup(const struct ip_call_lookup *call)
{
    char question[NUMBER], answer[NUMBER];
    struct ip_wire_Address addresses[ANSWERS];
    struct ip_call_consult consulted = {.function = call->function, .file = call->file};
    struct ip_wire_Lookup lookup = {
        .database = ip_text(call->database),
        .question = call->number >= 0 ? decimal(question, call->number) : ip_text(call->question),
        .service = ip_text(call->service),
        .found = call->entry || call->list,
        .result = call->result,
        .addresses = {addresses, 0},
    };

    if (call->address) {
        addresses[0] = (struct ip_wire_Address){.family = (uint32_t)call->family, .ip = {call->address, call->length}};
        lookup.addresses.count = 1;
    } else if (call->list)
        lookup.addresses.count = addresses_of_list(addresses, call->list);
    else if (call->entry && is_about_hosts(call))
        lookup.addresses.count = addresses_of_host(addresses, call->entry);
    if (call->entry && has_answer(call))
        lookup.answer = answer_of(call, answer);
    ip_consult(&consulted);
    IP_EMIT(call, LOOKUP, lookup, &lookup);
}

void ip_after_lookups(const struct ip_call_lookups *call)
{
    for (int i = 0; !call->error && i < call->count; i++) {
        const struct question *question = (const struct question *)call->list[i];
        struct ip_call_lookup lookup = {.function = call->function, .database = "hosts", .number = -1};
        if (!question)
            continue;
        lookup.question = question->name;
        lookup.service = question->service;
        if (call->answered) {
            lookup.result = question->problem;
            lookup.list = question->problem ? NULL : question->answer;
        }
        ip_after_lookup(&lookup);
    }
}
