/* The system's log: what the program has told libc of it. */
#ifndef IP_LOG_H
#define IP_LOG_H

void ip_log_options(int options);
void ip_log_mask(int mask);
/* Before libc closes its socket. */
void ip_log_closing(const char *function);

#endif
