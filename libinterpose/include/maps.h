/* What is mapped into the process: proc_pid_maps(5). */
#ifndef IP_MAPS_H
#define IP_MAPS_H

/* Calls `visit` for each line, which it may change, until it returns other than zero, and returns that; 0 or -errno if nobody does. */
int ip_maps_walk(int (*visit)(void *context, char *line), void *context);

#endif
