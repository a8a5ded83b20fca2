// Probes: code is entered through the iret hypercall with known registers, traps, and the trap is printed in a form that
// does not depend on where the linker put things.
#include "probe.h"

struct trap trap;
u8 probe_stack[8192] __attribute__((aligned(4096)));
u8 kernel_stack[8192] __attribute__((aligned(4096)));
static u8 shared_page[4096] __attribute__((aligned(4096)));
static u8 ro_page[4096] __attribute__((aligned(4096)));
static u8 gone_page[4096] __attribute__((aligned(4096)));
u8 *read_only_page = ro_page, *absent_page = gone_page;
volatile struct shared_info *shared_info = (volatile struct shared_info *)shared_page;
extern u64 probe_stack_pointer;
void probe_enter(const struct probe *p);

static u64 entry_address(u32 n) { return (u64)trap_entries + n * 16; }

const char *error_name(s64 result) {
  switch (result) {
  case 0: return "0";
  case -1: return "EPERM";
  case -2: return "ENOENT";
  case -3: return "ESRCH";
  case -5: return "EIO";
  case -6: return "ENXIO";
  case -7: return "E2BIG";
  case -11: return "EAGAIN";
  case -12: return "ENOMEM";
  case -13: return "EACCES";
  case -14: return "EFAULT";
  case -16: return "EBUSY";
  case -17: return "EEXIST";
  case -19: return "ENODEV";
  case -22: return "EINVAL";
  case -28: return "ENOSPC";
  case -33: return "EDOM";
  case -38: return "ENOSYS";
  case -61: return "ENODATA";
  case -95: return "EOPNOTSUPP";
  }
  static char text[24];
  u64 value = result < 0 ? -(u64)result : (u64)result;
  char *p = text + sizeof text - 1;
  do *--p = "0123456789abcdef"[value & 15];
  while (value >>= 4);
  if (result < 0) *--p = '-';
  return p;
}

static void must(const char *what, s64 result) {
  if (result == 0) return;
  print("setup: %s: %s\n", what, error_name(result));
  shut_down(3);
}

void set_gate(u8 vector, u8 flags, bool present) {
  struct trap_info table[2] = {{vector, flags, 0xe033, entry_address(vector)}, {0}};
  if (present) {
    hypercall(set_trap_table, table);
    return;
  }
  // A table cannot name an empty entry: clear all, then set the others again.
  static struct trap_info all[257];
  u32 n = 0;
  for (u32 v = 0; v < 32; v++)
    if (v != vector) all[n++] = (struct trap_info){(u8)v, 0, 0xe033, entry_address(v)};
  all[n] = (struct trap_info){0};
  hypercall(set_trap_table, 0);
  hypercall(set_trap_table, all);
}

struct callback {
  u16 type, flags;
  u32 pad;
  u64 address;
};

void map_shared_info(void) {
  must("shared_info", hypercall(update_va_mapping, shared_page, start_info->shared_info | 0x67, 2));
}

void probe_setup(void) {
  map_shared_info();
  for (int n = 0; n < 64; n++) shared_info->evtchn_mask[n] = ~0ul;
  shared_info->vcpu_info[0].evtchn_pending_sel = 0;
  shared_info->vcpu_info[0].evtchn_upcall_pending = 0;
  must("read-only page", hypercall(update_va_mapping, ro_page, va_to_mfn(ro_page) << 12 | 0x25, 2));
  must("absent page", hypercall(update_va_mapping, gone_page, 0, 2));
  // Vectors 0 to 31 but the two that no gate is asked for here.
  static struct trap_info table[33];
  for (u32 v = 0; v < 32; v++) table[v] = (struct trap_info){(u8)v, 0, 0xe033, entry_address(v)};
  must("trap table", hypercall(set_trap_table, table));
  for (u16 type = 0; type < 8; type++) {
    if (type == 3 || type == 6) continue;
    struct callback callback = {type, 0, 0, entry_address(CALLBACK_ENTRY + (type > 5 ? 5u : type))};
    s64 result = hypercall(callback_op, 0, &callback);
    // A CPU without 32-bit SYSCALL or SYSENTER has no use for those.
    if (type != 5 && type != 7) must("callback", result);
  }
  must("stack", hypercall(stack_switch, 0xe02b, KERNEL_TOP));
  struct {
    u32 cmd, pad;
    u64 arg1, arg2;
  } op = {15, 0, va_to_mfn((void *)start_info->pt_base), 0};
  must("user table", hypercall(mmuext_op, &op, 1, 0, DOMID_SELF));
}

struct probe probe_start(const u8 *code, int mode) {
  struct probe p = {0};
  p.rax = 0xa0;
  p.rcx = 0xc1;
  p.rdx = 0xd2;
  p.rbx = 0xb3;
  p.rbp = 0xb5;
  p.rsi = 0x51;
  p.rdi = 0xd1;
  p.r8 = 0x88;
  p.r9 = 0x99;
  p.r10 = 0x1010;
  p.r11 = 0x1111;
  p.r12 = 0x1212;
  p.r13 = 0x1313;
  p.r14 = 0x1414;
  p.r15 = 0x1515;
  p.rip = (u64)code;
  p.cs = mode == MODE_USER ? 0xe033 : 0xe030;
  p.rflags = mode == MODE_USER ? 0x202 : 2;
  p.rsp = PROBE_TOP;
  p.ss = 0xe02b;
  return p;
}

static u8 mask_after;

void probe_run(const struct probe *p) {
  probe_enter(p);
  mask_after = shared_info->vcpu_info[0].evtchn_upcall_mask;
  shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
}

static bool has_error_code(u64 vector) {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

bool trap_is_done(const u8 *end) { return trap.vector == 6 && trap.frame[2] == (u64)end; }

static void print_address(const char *name, u64 value, const u8 *code, const u8 *end) {
  if (value >= (u64)code && value <= (u64)end)
    print(" %s +%lx", name, value - (u64)code);
  else if (value > (u64)probe_stack && value <= PROBE_TOP)
    print(" %s top-%lx", name, PROBE_TOP - value);
  else if (value > (u64)kernel_stack && value <= KERNEL_TOP)
    print(" %s kernel-%lx", name, KERNEL_TOP - value);
  else if (value >= (u64)ro_page && value < (u64)ro_page + 4096)
    print(" %s ro+%lx", name, value - (u64)ro_page);
  else if (value >= (u64)gone_page && value < (u64)gone_page + 4096)
    print(" %s absent+%lx", name, value - (u64)gone_page);
  else
    print(" %s %lx", name, value);
}

bool iret_fault;

void print_trap(const u8 *code, const u8 *end) {
  static const char *callbacks[] = {"event", "failsafe", "syscall", "?", "nmi", "syscall32"};
  u64 *f = trap.frame + 2;
  if (trap.vector >= CALLBACK_ENTRY)
    print(" %s", trap.vector == CALLBACK_ENTRY + 5 ? "sysenter/syscall32" : callbacks[trap.vector - CALLBACK_ENTRY]);
  else
    print(" #%lu", trap.vector);
  if (has_error_code(trap.vector)) print(" ec %lx", *f++);
  if (trap.vector == 14) print_address("cr2", shared_info->vcpu_info[0].cr2, code, end);
  print_address("rip", f[0], code, end);
  // A fault of IRET's own is the processor's to date before or after the jump: whether RF is set follows from that.
  if (iret_fault) f[2] &= ~0x10000ul;
  print(" cs %lx flags %lx", f[1], f[2]);
  print_address("rsp", f[3], code, end);
  print(" ss %lx", f[4]);
  print_address("rcx", trap.frame[0], code, end);
  print(" r11 %lx |", trap.frame[1]);
  print_address("at", trap.rsp, code, end);
  print(" flags %lx cs %x ss %x mask %x", trap.rflags, trap.cs, trap.ss, mask_after);
  if (trap.ds | trap.es | trap.fs | trap.gs) print(" ds %x es %x fs %x gs %x", trap.ds, trap.es, trap.fs, trap.gs);
}

void probe_print_from(const char *name, const struct probe *p, const u8 *code, const u8 *end, int mode) {
  probe_run(p);
  print("%s %s:", name, mode == MODE_USER ? "U" : "K");
  if (trap_is_done(end))
    print(" done");
  else
    print_trap(code, end);
  print("\n");
}

void probe_print(const char *name, const u8 *code, const u8 *end, int mode) {
  struct probe p = probe_start(code, mode);
  probe_print_from(name, &p, code, end, mode);
}

_Noreturn void unexpected_trap(void) {
  print("unexpected trap:");
  print_trap(0, 0);
  print("\n");
  for (int i = 0; i < 9; i++) print(" %lx", trap.frame[i]);
  print("\n");
  shut_down(3);
}
