/* What every wrapper uses, generated or by hand. */
#ifndef IP_WRAPPER_H
#define IP_WRAPPER_H

#include "bindings.h"
#include "consult.h"
#include "effects.h"
#include "functions.h"
#include "io.h"
#include "stack.h"
#include "state.h"
#include "types.h"

#define IP_ENOSYS 38

/* The function that the program would have called without us. Looked up once; asking twice is harmless. */
#define IP_REAL(name) ip_real(IP_FUNCTION_##name)

extern void *ip_reals[IP_FUNCTIONS];
void *ip_resolve(enum ip_function function);

static inline void *ip_real(enum ip_function function)
{
    void *real = __atomic_load_n(&ip_reals[function], __ATOMIC_RELAXED);

    return IP_RARE(!real) ? ip_resolve(function) : real;
}

/* The same where old versions of it do something else: that which the code that called the wrapper was linked with. */
#define IP_REAL_OF_CALLER(name) ip_real_of_caller(IP_FUNCTION_##name, (uintptr_t)__builtin_return_address(0))
void *ip_real_of_caller(enum ip_function function, uintptr_t caller);

int ip_errno(void);
void ip_set_errno(int error);
/* The libc at hand has no such function: errno says so. */
void ip_absent(void);

int ip_open_takes_mode(int flags);
int ip_fopen_flags(const char *mode);
/* Whether the stream will not read a file but map it. */
int ip_fopen_maps(const char *mode);
int ip_fileno(FILE *stream);
int ip_dirfd(DIR *stream);
/* What dprintf wrote, or -1 where its stream's write function has told of it already. */
long ip_dprintf_written(long result);

#endif
