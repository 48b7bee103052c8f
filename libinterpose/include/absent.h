/* Functions that are exported here and that the libc at hand does not have. */
#ifndef IP_ABSENT_H
#define IP_ABSENT_H

void ip_absent_hide(void);         /* once this library knows where the loader's list is */

#endif
