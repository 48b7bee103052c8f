/* What a program file is, before it is executed: will the library be loaded into it? */
#ifndef IP_IMAGE_H
#define IP_IMAGE_H

#include "files.h"
#include "wire.h"

struct ip_image {
    int dir;                       /* where a relative `path` starts */
    const char *path;              /* what will be executed, after a search in PATH */
    int searched;                  /* libc looks for it in PATH */
    int known;                     /* whether `file` was found */
    struct ip_wire_File file;
    enum ip_wire_BlindSpot_Cause blind; /* CAUSE_UNSPECIFIED if it will be seen */
    const char *blind_path;        /* the program that is meant: `path`, or a script's interpreter */
    char interpreter[IP_BASE_MAX / 4];
    char found[IP_BASE_MAX];
};

/* Looks at `path`, or at what a search in PATH finds for it. */
void ip_image_inspect(struct ip_image *image, int dir, const char *path, int search);
/* The library was loaded into this one, without anybody's looking at it. */
void ip_image_started(const struct statx *program);
/* Whether the library may stand in the environment of the new image: the loader of another machine complains of it. */
int ip_image_takes_library(const struct ip_image *image);

/* Whether it is the loader itself, asked to list what a program would load: as `ldd` does with musl, and ld.so --list. */
int ip_image_lists_libraries(const struct ip_image *image, char *const *arguments);

#endif
