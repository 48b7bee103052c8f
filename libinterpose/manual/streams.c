/* fclose(3) and freopen(3): where the streams' own close function is hooked, that tells of the descriptor's end, after the
 * last bytes were flushed. glibc's freopen calls no close function: it flushes and puts the new file in the old one's place. */
#include "streams.h"
#include "wrapper.h"

static void closing(const char *function, FILE *stream)
{
    if (ip_recording() && !ip_stdio_is_hooked(stream))
        ip_fd_closing(function, ip_fileno(stream));
}

#define FCLOSE(name)                                          \
    IP_EXPORT int name(FILE *stream);                         \
    IP_EXPORT int name(FILE *stream)                          \
    {                                                         \
        int (*real)(FILE *) = (int (*)(FILE *))IP_REAL(name); \
        if (!real) {                                          \
            ip_absent();                                      \
            return -1;                                        \
        }                                                     \
        closing(#name, stream);                               \
        return real(stream);                                  \
    }

FCLOSE(fclose)
FCLOSE(_IO_fclose)

#define FREOPEN(name)                                                                                               \
    IP_EXPORT FILE *name(const char *path, const char *mode, FILE *stream);                                         \
    IP_EXPORT FILE *name(const char *path, const char *mode, FILE *stream)                                          \
    {                                                                                                               \
        FILE *(*real)(const char *, const char *, FILE *) = (FILE * (*)(const char *, const char *, FILE *)) IP_REAL(name); \
        if (!real) {                                                                                                \
            ip_absent();                                                                                            \
            return NULL;                                                                                            \
        }                                                                                                           \
        int former = ip_recording() ? ip_fileno(stream) : -1;                                                       \
        FILE *result = real(path, mode, stream);                                                                    \
        if (former >= 0)                                                                                            \
            ip_fd_replaced(#name, former);                                                                          \
        if (ip_recording() && (result || ip_level_is_calls())) {                                                    \
            struct ip_call_open call = {.function = #name, .error = result ? 0 : ip_errno(), .fd = ip_fileno(result), \
                                        .dir = -100, .path = path, .flags = ip_fopen_flags(mode), .mapped = ip_fopen_maps(mode)}; \
            IP_HOOK(ip_after_open, &call);                                                                                   \
            ip_stdio_opened(result);                                                                                \
        }                                                                                                           \
        return result;                                                                                              \
    }

FREOPEN(freopen)
FREOPEN(freopen64)
