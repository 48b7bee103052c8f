#ifndef IP_START_H
#define IP_START_H

/* Takes up the process whose main has these arguments; NULL where they are not known. Returns whether it is recorded. */
int ip_start_at(char **arguments);
/* Once, when the program ends: what is still to be said, and its status. */
void ip_finish(const char *function, int status);

#endif
