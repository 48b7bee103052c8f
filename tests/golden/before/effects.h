/* Generated from generator/specs/effects.yaml: what wrappers tell hooks. */
#ifndef IP_EFFECTS_H
#define IP_EFFECTS_H

#include <linux/fcntl.h>

#include "types.h"
#include "wire.h"

struct ip_call_open {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
    int fd;
    const char *path;
    int flags;
    unsigned int mode;
};
void ip_after_open(const struct ip_call_open *call);

struct ip_call_close {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
    int fd;
};
void ip_before_close(struct ip_call_close *call);
void ip_after_close(const struct ip_call_close *call);

struct ip_call_connect {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
    int fd;
};
void ip_after_connect(const struct ip_call_connect *call);

struct ip_call_unlink {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
    const char *path;
    struct ip_wire_File file;
};
void ip_before_unlink(struct ip_call_unlink *call);
void ip_after_unlink(const struct ip_call_unlink *call);

struct ip_call_exec {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
};

struct ip_call_io {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
    int fd;
    long written;
};

struct ip_call_call {
    const char *function;
    int error;                     /* errno, 0 if the call succeeded */
    long result;
};
void ip_after_call(const struct ip_call_call *call);

#endif
