/* Programs under valgrind. Its tools watch every access to memory, ours as well, whose order they cannot know: it goes without locks. So it is
 * told what memory is ours. It is asked by instructions that do nothing elsewhere ("client requests"; their numbers never change). */
#ifndef IP_VALGRIND_H
#define IP_VALGRIND_H

#include <stddef.h>

extern int ip_valgrind;            /* whether this is under it: known from the start on */

void ip_valgrind_start(void);
/* Races there are nobody's. */
void ip_valgrind_ignore(const void *memory, size_t size);

#endif
