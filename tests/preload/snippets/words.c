/* wordexp(3) runs a shell, which is captured; the program does not see how.
 *
 * needs: exec glibc
 * events:
 *   spawn wordexp path=/bin/sh
 * process image ...:
 */
#include "harness.h"

#include <wordexp.h>

static void expanded(const char *words, int flags)
{
    wordexp_t found;
    int result = wordexp(words, &found, flags);

    say("%s: %d\n", words, result);
    for (size_t i = 0; !result && i < found.we_wordc; i++)
        say("%s\n", found.we_wordv[i]);
    if (!result)
        wordfree(&found);
}

TOPIC(words)
{
    setenv("GIVEN", "value", 1);
    expanded("plain '$(quoted)'", WRDE_NOCMD);
    expanded("one $(echo two three)", 0);
    say("%s\n", getenv("LD_PRELOAD") ? getenv("LD_PRELOAD") : "unset");
}
