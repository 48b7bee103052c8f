#ifndef IP_ARGUMENTS_H
#define IP_ARGUMENTS_H

#include "encode.h"

/* As many of the arguments as a record can hold; `omitted` says how many cannot. NULL has none. */
struct ip_strings ip_arguments_that_fit(char *const *arguments, uint64_t *omitted);

#endif
