#include "env.h"

#include "effects.h"
#include "environment.h"
#include "journal.h"
#include "memory.h"
#include "state.h"

#define KNOWN 256

static _Atomic uint32_t known[KNOWN]; /* hashes of names that were told of; a forked child has its parent's answers */

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash | 1;
}

static int is_new(uint32_t hash)
{
    for (uint32_t i = 0; i < 8; i++) {
        _Atomic uint32_t *slot = &known[(hash + i) % KNOWN];
        uint32_t found = 0;
        if (atomic_load_explicit(slot, memory_order_relaxed) == hash)
            return 0;
        if (atomic_compare_exchange_strong(slot, &found, hash))
            return 1;
        if (found == hash)
            return 0;
    }
    return 0; /* a program that asks for this many names is looking at its environment as a whole */
}

static char upper(char character)
{
    return character >= 'a' && character <= 'z' ? (char)(character - 'a' + 'A') : character;
}

/* Whether a name sounds like that of a secret. */
static int is_secret(const char *name)
{
    static const char *const words[] = {"KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL", "AUTH", "COOKIE"};

    for (; *name; name++)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            const char *word = words[i], *at = name;
            while (*word && upper(*at) == *word)
                at++, word++;
            if (!*word)
                return 1;
        }
    return 0;
}

const char *ip_env_value(const char *name)
{
    size_t length = strlen(name);

    for (char **entry = ip_environment(); entry && *entry; entry++)
        if (ip_starts_with(*entry, name) && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

const char *ip_env_asked(const char *function, const char *name)
{
    struct ip_call_env call = {.function = function, .name = name, .value = ip_env_value(name)};

    ip_after_env(&call);
    return call.value;
}

void ip_after_env(const struct ip_call_env *call)
{
    struct ip_wire_Env env = {.name = ip_text(call->name), .present = call->value != NULL};

    if (ip_is_borrower() || !is_new(hash_of(call->name)))
        return;
    env.redacted = call->value && (ip_state.redaction != IP_REDACT_SECRETS || is_secret(call->name));
    if (!env.redacted)
        env.value = ip_text(call->value);
    /* Longer values belong to no place in a record; their beginning tells which they are. */
    if (env.value.size > 4096)
        env.value.size = 4096;
    IP_EMIT(call, ENV, env, &env);
}
