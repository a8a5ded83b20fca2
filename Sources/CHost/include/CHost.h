// What Swift cannot express; as small as it can be.
#ifndef PARAVANE_CHOST_H
#define PARAVANE_CHOST_H
#include "vcpu.h"
#endif
