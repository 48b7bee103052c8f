/* Shared objects: reported as they are found in the loader's lists. */
#ifndef IP_LOADS_H
#define IP_LOADS_H

#include "elf.h"

/* Reports those that came since the last time, as what `function` loaded; they are under their names still. */
void ip_loads_tell(const char *function);
/* The same for those of one object's namespace: glibc before 2.35 has no list of these. */
void ip_loads_tell_of(const char *function, const struct ip_object *object);
/* At the start: those of LD_AUDIT, ld.so(8), whose namespaces are in no list before glibc 2.35. */
void ip_loads_tell_of_auditors(void);
void ip_loads_refresh(void);       /* the same, some time later: they may have gone, moved, or be out of reach */
void ip_loads_pause(void);         /* around dlclose: the lists lose entries */
void ip_loads_resume(void);
void ip_loads_forked(void);        /* in a forked child: other threads' pauses are none of its */
void ip_loads_restored(void);      /* where nobody knows of any: all are reported again */

#endif
