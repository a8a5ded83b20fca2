// A guest that does not end by itself: case=0 computes for ever, case=1 waits for an event that never comes.
#include "probe.h"

void guest_main(void) {
  u64 wait = option("case=", 0);
  print(wait ? "waiting\n" : "computing\n");
  // Block unmasks upcalls, and there is no handler: probe_setup masks every port and clears what is pending.
  probe_setup();
  for (;;)
    if (wait) hypercall(sched_op, 1, 0);
}
