/* Shared objects: reported as they are found in the loader's list. */
#ifndef IP_LOADS_H
#define IP_LOADS_H

void ip_loads_refresh(void);       /* reports those that came since the last time */
void ip_loads_pause(void);         /* around dlclose: the list loses entries */
void ip_loads_resume(void);
void ip_loads_forked(void);        /* in a forked child: other threads' pauses are none of its */
void ip_loads_restored(void);      /* where nobody knows of any: all are reported again */

#endif
