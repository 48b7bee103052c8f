/* Generated from generator/specs: names to look up, and what `interpose coverage` prints. */
#include "functions.h"

const char *const ip_function_names[IP_FUNCTIONS] = {
    [IP_FUNCTION___open_2] = "__open_2",
    [IP_FUNCTION_execve] = "execve",
    [IP_FUNCTION_fileno] = "fileno",
    [IP_FUNCTION_posix_close] = "posix_close",
    [IP_FUNCTION_renameat2] = "renameat2",
    [IP_FUNCTION_scandir] = "scandir",
};

const struct ip_uncertain ip_uncertain[] = {
    {"posix_close", 0, 1},
    {"__open_2", 0, 0},
    {"renameat2", 0, 0},
    {0, 0, 0},
};
