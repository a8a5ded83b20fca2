// What Xen cannot go on from: case= chooses one. The guest says which it is and is not heard of again.
#include "probe.h"

static const char *names[] = {
    "control",
    "exception without a handler",
    "upcall without a callback",
    "frame on an absent page",
    "frame on a read-only page",
    "frame in Xen's hole",
    "iret from an absent stack",
    "iret to user mode without a user table",
    "iret with nothing in it",
    "the last vCPU goes down",
    "shutdown with reason crash",
};

SNIPPET(trap, "ud2");
SNIPPET(iret_absent, "mov absent_page, %rsp; add $2048, %rsp; mov $23, %eax; syscall");

void guest_main(void) {
  u64 n = option("case=", 0);
  if (n >= sizeof names / sizeof *names) n = 0;
  print("case %lu: %s\n", n, names[n]);
  // The other side takes its time to read.
  for (int i = 0; i < 1000; i++) hypercall(sched_op, 0, 0);
  probe_setup();
  struct probe p = probe_start(snip_trap, MODE_KERNEL);
  switch (n) {
  case 1: hypercall(set_trap_table, 0); break;
  case 2: {
    struct {
      u16 type, flags;
      u32 pad;
      u64 address;
    } callback = {0, 0, 0, 0};
    hypercall(callback_op, 0, &callback);
    shared_info->vcpu_info[0].evtchn_upcall_pending = 1;
    p.rflags = 0x202;
    break;
  }
  case 3: p.rsp = (u64)absent_page + 2048; break;
  case 4: p.rsp = (u64)read_only_page + 2048; break;
  case 5: p.rsp = 0xffff810000001000; break;
  case 6: p.rip = (u64)snip_iret_absent; break;
  case 7: {
    struct {
      u32 cmd, pad;
      u64 arg1, arg2;
    } op = {15, 0, 0, 0};
    hypercall(mmuext_op, &op, 1, 0, DOMID_SELF);
    p = probe_start(snip_trap, MODE_USER);
    break;
  }
  case 8: p.cs = p.ss = p.rip = p.rsp = 0; break;
  case 9: hypercall(vcpu_op, 2, 0, 0); break;
  case 10: shut_down(3);
  }
  probe_run(&p);
  print("survived: trap %lu\n", trap.vector);
}
