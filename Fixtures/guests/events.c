// Event channels, grants, vcpu_op, sched_op, timers and the small hypercalls: what each refuses, and what simple uses do.
#include "probe.h"

static void say(const char *what, s64 result) { print("%s: %s\n", what, error_name(result)); }
#define BAD ((void *)0x7000000000)

static u32 argument[16];

static s64 evtchn(u32 op, u32 a, u32 b, u32 c) {
  argument[0] = a;
  argument[1] = b;
  argument[2] = c;
  for (int n = 3; n < 16; n++) argument[n] = 0;
  return hypercall(event_channel_op, op, argument);
}

static void status(const char *what, u32 port) {
  s64 result = evtchn(5, DOMID_SELF, port, 0);
  print("%s: %s", what, error_name(result));
  if (result == 0) print(" status %u vcpu %u data %x", argument[2], argument[3], argument[4]);
  print("\n");
}

static bool pending(u32 port) { return shared_info->evtchn_pending[port / 64] >> (port & 63) & 1; }
static void clear(u32 port) { shared_info->evtchn_pending[port / 64] &= ~(1ul << (port & 63)); }

static void channels(void) {
  say("alloc_unbound self", evtchn(6, DOMID_SELF | 0 << 16, 0, 0));
  u32 unbound = argument[1];
  print("port %u\n", unbound);
  status("status of it", unbound);
  say("alloc_unbound for unknown remote", evtchn(6, DOMID_SELF | 1234u << 16, 0, 0));
  u32 other = argument[1];
  say("alloc_unbound in unknown domain", evtchn(6, 1234, 0, 0));
  say("send on unbound", evtchn(4, unbound, 0, 0));
  say("send on 0", evtchn(4, 0, 0, 0));
  say("send on free", evtchn(4, 100, 0, 0));
  say("send out of range", evtchn(4, 5000, 0, 0));
  say("close", evtchn(3, other, 0, 0));
  say("close again", evtchn(3, other, 0, 0));
  say("close 0", evtchn(3, 0, 0, 0));
  say("close out of range", evtchn(3, 5000, 0, 0));
  say("unmask 0", evtchn(9, 0, 0, 0));
  say("unmask free", evtchn(9, 100, 0, 0));
  say("unmask out of range", evtchn(9, 5000, 0, 0));
  status("status of 0", 0);
  status("status of free", 100);
  status("status out of range", 5000);
  argument[0] = 1234;
  argument[1] = 1;
  say("status in unknown domain", hypercall(event_channel_op, 5, argument));
  argument[0] = 0;
  say("status in domain 0", hypercall(event_channel_op, 5, argument));

  say("bind_virq timer", evtchn(1, 0, 0, 0));
  u32 timer = argument[2];
  status("status of it", timer);
  say("bind_virq timer again", evtchn(1, 0, 0, 0));
  say("bind_virq debug", evtchn(1, 1, 0, 0));
  say("bind_virq 2 on vcpu 1", evtchn(1, 2, 1, 0));
  say("bind_virq 24", evtchn(1, 24, 0, 0));
  say("bind_virq unknown vcpu", evtchn(1, 0, 40, 0));
  say("bind_ipi", evtchn(7, 0, 0, 0));
  u32 ipi = argument[1];
  status("status of it", ipi);
  say("bind_ipi unknown vcpu", evtchn(7, 40, 0, 0));
  say("bind_vcpu of ipi", evtchn(8, ipi, 0, 0));
  say("bind_vcpu of timer", evtchn(8, timer, 0, 0));
  say("bind_vcpu of free", evtchn(8, 100, 0, 0));
  say("bind_vcpu of unbound", evtchn(8, unbound, 1, 0));
  status("status of it", unbound);
  say("bind_vcpu unknown vcpu", evtchn(8, unbound, 40, 0));
  say("bind_vcpu back", evtchn(8, unbound, 0, 0));
  say("bind_interdomain unknown domain", evtchn(0, 1234, 1, 0));
  say("bind_interdomain port not offered", evtchn(0, 0, 1, 0));
  say("bind_interdomain with oneself", evtchn(6, DOMID_SELF | (u32)DOMID_SELF << 16, 0, 0));
  u32 offered = argument[1];
  say("... bound", evtchn(0, DOMID_SELF, offered, 0));
  u32 local = argument[2];
  status("status of one end", offered);
  status("status of the other", local);

  // Delivery, all masked: only the pending bits.
  clear(offered);
  clear(local);
  say("send", evtchn(4, local, 0, 0));
  print("pending here %u there %u, selector %lx, upcall %x\n", pending(local), pending(offered),
        shared_info->vcpu_info[0].evtchn_pending_sel, shared_info->vcpu_info[0].evtchn_upcall_pending);
  say("unmask", evtchn(9, offered, 0, 0));
  print("selector %lx, upcall %x, mask bit %lu\n", shared_info->vcpu_info[0].evtchn_pending_sel,
        shared_info->vcpu_info[0].evtchn_upcall_pending, shared_info->evtchn_mask[0] >> offered & 1);
  clear(offered);
  shared_info->evtchn_mask[0] = ~0ul;
  shared_info->vcpu_info[0].evtchn_pending_sel = 0;
  shared_info->vcpu_info[0].evtchn_upcall_pending = 0;
  say("send on ipi", evtchn(4, ipi, 0, 0));
  print("ipi pending %u\n", pending(ipi));
  say("close ipi", evtchn(3, ipi, 0, 0));
  print("ipi pending %u\n", pending(ipi));
  say("close one end", evtchn(3, local, 0, 0));
  status("status of the other", offered);

  say("bind_pirq", evtchn(2, 3, 0, 0));
  say("expand_array", evtchn(12, 0, 0, 0));
  say("set_priority", evtchn(13, 1, 3, 0));
  say("init_control bad offset", evtchn(11, 5, 0, 12));
  say("op 14", evtchn(14, 0, 0, 0));
  say("op 15", evtchn(15, 0, 0, 0));
  say("bad pointer", hypercall(event_channel_op, 4, BAD));
  say("reset unknown domain", evtchn(10, 1234, 0, 0));
  say("close timer", evtchn(3, timer, 0, 0));
}

static void grants(void) {
  struct {
    u16 dom, pad;
    u32 nr_frames;
    int16_t status, pad2[3];
    u64 *list;
  } setup = {DOMID_SELF, 0, 1, 0, {0}, 0};
  static u64 list[80];
  setup.list = list;
#define SETUP(what)                                                                                                    \
  do {                                                                                                                 \
    setup.status = 99;                                                                                                 \
    s64 result = hypercall(grant_table_op, 2, &setup, 1);                                                              \
    print("%s: %s status %d\n", what, error_name(result), setup.status);                                               \
  } while (0)
  SETUP("setup_table");
  setup.dom = 1234;
  SETUP("setup_table unknown domain");
  setup.dom = DOMID_SELF;
  setup.nr_frames = 65;
  SETUP("setup_table 65 frames");
  setup.nr_frames = 1;
  setup.list = BAD;
  SETUP("setup_table bad list");
  say("setup_table bad pointer", hypercall(grant_table_op, 2, BAD, 1));
  say("setup_table count 0", hypercall(grant_table_op, 2, &setup, 0));
  say("setup_table count 2", hypercall(grant_table_op, 2, &setup, 2));
  struct {
    u16 dom, pad;
    u32 nr, max;
    int16_t status, pad2;
  } size = {DOMID_SELF, 0, 0, 0, 9, 0};
  s64 result = hypercall(grant_table_op, 6, &size, 1);
  print("query_size: %s %u %u status %d\n", error_name(result), size.nr, size.max, size.status);
  u32 version = 1;
  say("set_version 1", hypercall(grant_table_op, 8, &version, 1));
  version = 3;
  say("set_version 3", hypercall(grant_table_op, 8, &version, 1));
  struct {
    u16 dom, pad;
    u32 version;
  } get = {DOMID_SELF, 0, 0};
  result = hypercall(grant_table_op, 10, &get, 1);
  print("get_version: %s %u\n", error_name(result), get.version);
  struct {
    u64 host;
    u32 flags, ref;
    u16 dom;
    int16_t status;
    u32 handle;
    u64 bus;
  } map = {0x10000000, 2, 100000, 0, 9, 0, 0};
#define MAP(what)                                                                                                      \
  do {                                                                                                                 \
    map.status = 99;                                                                                                   \
    result = hypercall(grant_table_op, 0, &map, 1);                                                                    \
    print("%s: %s status %d\n", what, error_name(result), map.status);                                                 \
  } while (0)
  map.dom = DOMID_SELF;
  MAP("map ref out of range");
  map.ref = 9;
  MAP("map unused ref");
  map.dom = 1234;
  MAP("map from unknown domain");
  struct {
    u64 host, bus;
    u32 handle;
    int16_t status, pad;
  } unmap = {0x10000000, 0, 77, 99, 0};
  result = hypercall(grant_table_op, 1, &unmap, 1);
  print("unmap unknown handle: %s status %d\n", error_name(result), unmap.status);
  say("op 3", hypercall(grant_table_op, 3, &unmap, 1));
  say("op 13", hypercall(grant_table_op, 13, &unmap, 1));
}

static void vcpu_ops(void) {
  static u8 area[128] __attribute__((aligned(64)));
  u64 pointer;
  say("is_up 0", hypercall(vcpu_op, 3, 0, 0));
  say("is_up 1", hypercall(vcpu_op, 3, 1, 0));
  say("is_up 2", hypercall(vcpu_op, 3, 2, 0));
  say("is_up 40", hypercall(vcpu_op, 3, 40, 0));
  say("up, not initialised", hypercall(vcpu_op, 1, 1, 0));
  say("up, running", hypercall(vcpu_op, 1, 0, 0));
  say("initialise, running", hypercall(vcpu_op, 0, 0, area));
  say("initialise, bad pointer", hypercall(vcpu_op, 0, 1, BAD));
  say("get_runstate", hypercall(vcpu_op, 4, 0, area));
  print("state %u\n", *(u32 *)area);
  say("get_runstate bad pointer", hypercall(vcpu_op, 4, 0, BAD));
  pointer = (u64)area;
  say("register_runstate", hypercall(vcpu_op, 5, 0, &pointer));
  print("state %u\n", *(u32 *)area);
  say("register_runstate bad pointer", hypercall(vcpu_op, 5, 0, BAD));
  pointer = 0x7000000000;
  say("register_runstate bad area", hypercall(vcpu_op, 5, 0, &pointer));
  pointer = 0;
  say("register_runstate none", hypercall(vcpu_op, 5, 0, &pointer));
  pointer = 1000;
  say("set_periodic 1000 ns", hypercall(vcpu_op, 6, 0, &pointer));
  say("set_periodic other vcpu", hypercall(vcpu_op, 6, 1, &pointer));
  say("stop_periodic", hypercall(vcpu_op, 7, 0, 0));
  say("stop_periodic other vcpu", hypercall(vcpu_op, 7, 1, 0));
  u64 shot[2] = {1, 0};
  say("set_singleshot past", hypercall(vcpu_op, 8, 0, shot));
  shot[1] = 1;
  say("set_singleshot past, future flag", hypercall(vcpu_op, 8, 0, shot));
  shot[1] = 0x80;
  say("set_singleshot unknown flag", hypercall(vcpu_op, 8, 0, shot));
  say("set_singleshot other vcpu", hypercall(vcpu_op, 8, 1, shot));
  say("set_singleshot bad pointer", hypercall(vcpu_op, 8, 0, BAD));
  say("stop_singleshot", hypercall(vcpu_op, 9, 0, 0));
  say("stop_singleshot other vcpu", hypercall(vcpu_op, 9, 1, 0));
  say("send_nmi unknown vcpu", hypercall(vcpu_op, 11, 40, 0));
  say("get_physid", hypercall(vcpu_op, 12, 0, area));
  pointer = (u64)area + 64;
  say("register_time", hypercall(vcpu_op, 13, 0, &pointer));
  print("time mul %s\n", *(u32 *)(area + 64 + 0x18) ? "set" : "0");
  say("op 14", hypercall(vcpu_op, 14, 0, area));
  say("op 99", hypercall(vcpu_op, 99, 0, area));
  say("op 99 unknown vcpu", hypercall(vcpu_op, 99, 40, area));
  // vcpu_info: the new place takes over what the old one held.
  static u8 page[4096] __attribute__((aligned(4096)));
  struct {
    u64 mfn;
    u32 offset, rsvd;
  } place = {va_to_mfn(page), 4090, 0};
  say("register_vcpu_info crossing", hypercall(vcpu_op, 10, 0, &place));
  place.offset = 4;
  say("register_vcpu_info misaligned", hypercall(vcpu_op, 10, 0, &place));
  place.offset = 4096;
  say("register_vcpu_info beyond the page", hypercall(vcpu_op, 10, 0, &place));
  place.offset = 64;
  place.mfn = 0x7fffffff;
  say("register_vcpu_info bad frame", hypercall(vcpu_op, 10, 0, &place));
  place.mfn = va_to_mfn((void *)start_info->pt_base);
  say("register_vcpu_info page table", hypercall(vcpu_op, 10, 0, &place));
  place.mfn = va_to_mfn(page);
  say("register_vcpu_info unknown vcpu", hypercall(vcpu_op, 10, 40, &place));
  shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
  u32 version = shared_info->vcpu_info[0].time.version;
  say("register_vcpu_info", hypercall(vcpu_op, 10, 0, &place));
  volatile struct vcpu_info *v = (void *)(page + 64);
  print("pending %x mask %x selector %lx, time version %s, old pending %x\n", v->evtchn_upcall_pending, v->evtchn_upcall_mask,
        v->evtchn_pending_sel, v->time.version >= version && !(v->time.version & 1) ? "even" : "odd",
        shared_info->vcpu_info[0].evtchn_upcall_pending);
  say("register_vcpu_info again", hypercall(vcpu_op, 10, 0, &place));
}

static void scheduling(void) {
  say("yield", hypercall(sched_op, 0, 0));
  struct {
    u32 *ports;
    u32 n, pad;
    u64 timeout;
  } poll = {0, 0, 0, 1};
  static u32 ports[4] = {1, 2, 3, 4};
  say("poll nothing", hypercall(sched_op, 3, &poll));
  poll.ports = ports;
  poll.n = 129;
  say("poll 129", hypercall(sched_op, 3, &poll));
  ports[0] = 5000;
  poll.n = 1;
  say("poll a bad port", hypercall(sched_op, 3, &poll));
  ports[0] = 3;
  say("poll until a past time", hypercall(sched_op, 3, &poll));
  poll.ports = BAD;
  say("poll bad ports", hypercall(sched_op, 3, &poll));
  say("poll bad pointer", hypercall(sched_op, 3, BAD));
  say("shutdown bad pointer", hypercall(sched_op, 2, BAD));
  struct {
    u16 dom, pad;
    u32 reason;
  } remote = {1234, 0, 0};
  say("remote_shutdown unknown domain", hypercall(sched_op, 4, &remote));
  struct {
    u32 id, timeout;
  } watchdog = {0, 100};
  say("watchdog", hypercall(sched_op, 6, &watchdog));
  watchdog.id = 1;
  watchdog.timeout = 0;
  say("watchdog stop", hypercall(sched_op, 6, &watchdog));
  watchdog.id = 9;
  say("watchdog bad id", hypercall(sched_op, 6, &watchdog));
  say("pin_override", hypercall(sched_op, 7, &watchdog));
  say("op 8", hypercall(sched_op, 8, &watchdog));
  say("op 99", hypercall(sched_op, 99, 0));
  say("set_timer_op 0", hypercall(set_timer_op, 0));
}

static void others(void) {
  static u64 buffer[512];
  say("xen_version 99", hypercall(xen_version, 99, buffer));
  say("xen_version 1, bad pointer", hypercall(xen_version, 1, BAD));
  u32 features[2] = {1, 0x55};
  say("features, index 1", hypercall(xen_version, 6, features));
  print("map %x\n", features[1]);
  say("build id", hypercall(xen_version, 10, buffer));
  static const u32 unknown[] = {11, 27, 38, 39, 43, 47, 50, 63, 64, 100, 127};
  for (u32 n = 0; n < sizeof unknown / sizeof *unknown; n++) {
    print("hypercall %u", unknown[n]);
#ifndef HYPERCALL_PAGE
    say("", hypercall5(unknown[n], 0, 0, 0, 0, 0));
#endif
  }
  say("hypercall 17 + 2^32", hypercall5(17 + (1ul << 32), 0, 0, 0, 0, 0));
  say("platform_op", hypercall5(7, (u64)buffer, 0, 0, 0, 0));
  say("sysctl", hypercall5(35, (u64)buffer, 0, 0, 0, 0));
  say("domctl", hypercall5(36, (u64)buffer, 0, 0, 0, 0));
  say("kexec", hypercall5(37, 0, (u64)buffer, 0, 0, 0));
  say("xenpmu", hypercall5(40, 0, (u64)buffer, 0, 0, 0));
  say("hypfs", hypercall5(42, 0, 0, 0, 0, 0));
  say("mca", hypercall5(48, (u64)buffer, 0, 0, 0, 0));
  say("vm_assist enable 0", hypercall(vm_assist, 0, 0));
  say("vm_assist enable 2", hypercall(vm_assist, 0, 2));
  say("vm_assist disable 2", hypercall(vm_assist, 1, 2));
  say("vm_assist enable 6", hypercall(vm_assist, 0, 6));
  say("vm_assist enable 32", hypercall(vm_assist, 0, 32));
  say("vm_assist disable 32", hypercall(vm_assist, 1, 32));
  say("vm_assist cmd 2", hypercall(vm_assist, 2, 0));
  u32 iopl = 4;
  say("set_iopl 4", hypercall(physdev_op, 6, &iopl));
  iopl = 1;
  say("set_iopl 1", hypercall(physdev_op, 6, &iopl));
  say("set_iopl bad pointer", hypercall(physdev_op, 6, BAD));
  static const u32 physdev[] = {0, 3, 8, 10, 11, 12, 13, 18, 33, 99};
  for (u32 n = 0; n < sizeof physdev / sizeof *physdev; n++) {
    print("physdev_op %u", physdev[n]);
    say("", hypercall(physdev_op, physdev[n], buffer));
  }
  struct {
    u16 type, flags;
    u32 pad;
    u64 address;
  } callback = {0, 0, 0, 0x1234000000000000};
  say("callback not canonical", hypercall(callback_op, 0, &callback));
  callback.type = 3;
  callback.address = 0;
  say("callback type 3", hypercall(callback_op, 0, &callback));
  callback.type = 9;
  say("callback type 9", hypercall(callback_op, 0, &callback));
  callback.type = 0;
  say("unregister event", hypercall(callback_op, 1, &callback));
  callback.type = 4;
  say("unregister nmi", hypercall(callback_op, 1, &callback));
  say("callback op 9", hypercall(callback_op, 9, &callback));
  say("callback bad pointer", hypercall(callback_op, 0, BAD));
  say("trap table bad pointer", hypercall(set_trap_table, BAD));
  struct trap_info bad_table[2] = {{40, 0, 0xe033, 0x1234000000000000}, {0}};
  say("trap table not canonical", hypercall(set_trap_table, bad_table));
  say("segment base not canonical", hypercall(set_segment_base, 0, 0x1234000000000000));
  say("segment base which 4", hypercall(set_segment_base, 4, 0));
  say("segment base bad selector", hypercall(set_segment_base, 3, 0x1234));
  say("debugreg 0, hole", hypercall(set_debugreg, 0, 0xffff800000000000));
  say("debugreg 0, not canonical", hypercall(set_debugreg, 0, 0x1234000000000000));
  say("debugreg 7, GD", hypercall(set_debugreg, 7, 0x2400));
  say("debugreg 7, upper", hypercall(set_debugreg, 7, 1ul << 32));
  say("debugreg 8", hypercall(set_debugreg, 8, 0));
  print("get debugreg 7: %lx\n", hypercall(get_debugreg, 7));
  struct {
    u64 op;
    s64 result;
    u64 args[6];
  } calls[3] = {{17, 0, {0}}, {13, 0, {0}}, {99, 0, {0}}};
  say("multicall", hypercall(multicall, calls, 3));
  print("results %lx %s", calls[0].result, error_name(calls[1].result));
  print(" %s\n", error_name(calls[2].result));
  say("multicall of none", hypercall(multicall, calls, 0));
  say("multicall bad pointer", hypercall(multicall, BAD, 1));
  u16 domid = 1234;
  say("memory maximum_reservation unknown domain", hypercall(memory_op, 4, &domid));
  domid = DOMID_SELF;
  print("current_reservation %ld\n", hypercall(memory_op, 3, &domid));
  print("maximum_reservation %ld\n", hypercall(memory_op, 4, &domid));
  say("machine_memory_map", hypercall(memory_op, 10, buffer));
  say("memory op 29", hypercall(memory_op, 29, buffer));
}

void guest_main(void) {
  probe_setup();
  print("-- event channels\n");
  channels();
  print("-- grants\n");
  grants();
  print("-- vcpu_op\n");
  vcpu_ops();
  print("-- sched_op\n");
  scheduling();
  print("-- others\n");
  others();
}
