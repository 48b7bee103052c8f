/* Locales: which of them a program gets is for the environment to say, where it names none. Their files stay mapped. */
#include "bindings.h"
#include "consult.h"
#include "effects.h"
#include "env.h"

/* By the numbers of LC_CTYPE and its kin in locale.h; musl has the first six. */
static const char *const categories[] = {
    "LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES", NULL,
    "LC_PAPER", "LC_NAME", "LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT", "LC_IDENTIFICATION",
};

static int is_set(const char *value)
{
    return value && value[0];
}

/* setlocale(3): the first of the three that is not empty decides. */
static void ask_environment(const char *function, int mask)
{
    size_t count = ip_is_glibc() ? sizeof categories / sizeof *categories : 6;

    if (is_set(ip_env_asked(function, "LC_ALL")))
        return;
    for (size_t i = 0; i < count; i++)
        if (categories[i] && mask >> i & 1 && !is_set(ip_env_asked(function, categories[i])))
            ip_env_asked(function, "LANG");
}

void ip_after_locale(const struct ip_call_locale *call)
{
    struct ip_call_consult consult = {.function = call->function, .maps = call->name && call->files, .later = call->files};

    if (call->name && !call->name[0])
        ask_environment(call->function, call->category < 0 || call->category == 6 /* LC_ALL */ ? call->mask : 1 << call->category);
    ip_after_consult(&consult);
}
