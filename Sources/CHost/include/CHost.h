// What Swift cannot express; as small as it can be.
#ifndef PARAVANE_CHOST_H
#define PARAVANE_CHOST_H
#include "vcpu.h"

/// Opens a new pty's master side and writes the slave's path into `name`; -1 with errno. (Swift's C library module hides
/// these behind a feature macro.)
int ph_open_pty(char *name, size_t size);

#endif
