/* The first record of every journal, and who this process is. */
#ifndef IP_ORIGIN_H
#define IP_ORIGIN_H

/* main's arguments, NULL if only /proc knows them. */
void ip_origin_set_arguments(char **arguments);
/* Before the process may lose /proc: its forked children run the same program. */
void ip_origin_keep_program(void);

#endif
