/* What may act past libc's functions, and so past this library: objects with system calls of their own. */
#ifndef IP_UNSEEN_H
#define IP_UNSEEN_H

#include "elf.h"
#include "wire.h"

/* Tell of it, if it may: the program, at its start; an object that was loaded. */
void ip_unseen_program(void);
void ip_unseen_object(const struct ip_object *object, const struct ip_notes *notes, const struct ip_wire_Name *name,
                      const struct ip_wire_File *file);
/* The process has an io_uring. */
void ip_unseen_rings(const char *function);
/* In the first journal of a forked child, which has all of it in its memory, too. */
void ip_unseen_forked(void);

#endif
