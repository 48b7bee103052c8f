/* When the journal's new bytes go to the sidecar by themselves: a process that lives or talks enough. */
#ifndef IP_STREAM_H
#define IP_STREAM_H

#include <stdint.h>

void ip_stream_flush(uint64_t now);
void ip_stream_forget(void);       /* in a forked child: the connection is the parent's */
void ip_stream_closing(int fd);    /* before the application closes the connection's descriptor, if this is it */
void ip_stream_restored(void);     /* the connection is to nobody; from any thread */

#endif
