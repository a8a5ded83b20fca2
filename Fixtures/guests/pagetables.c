// Page-table rules: what each kind of entry may be, what is stored for it, pins, stores to tables, descriptor tables.
#include "probe.h"

#define BAD ((void *)0x7000000000)
#define P 1ul
#define NX (1ul << 63)
#define KERNEL_BIT (1ul << 52)
#define FRAME 0xffffffffff000ul

static u8 data[4096] __attribute__((aligned(4096)));
static u8 window[4096] __attribute__((aligned(4096)));
static u64 table1[512] __attribute__((aligned(4096)));
static u64 table2[512] __attribute__((aligned(4096)));
static u64 table3[512] __attribute__((aligned(4096)));
static u64 top[512] __attribute__((aligned(4096)));
static u64 gdt[512] __attribute__((aligned(4096)));
static u64 ldt[512] __attribute__((aligned(4096)));

static void say(const char *what, s64 result) { print("%s: %s\n", what, error_name(result)); }

// The entry of a level for an address, in the mapping of the tables that every guest starts with.
static u64 *entry_of(u64 va, int level) {
  u64 *table = (u64 *)start_info->pt_base;
  for (int at = 4; at > level; at--) {
    u64 entry = table[va >> (3 + 9 * at) & 511];
    if (!(entry & P)) return 0;
    table = mfn_to_va((entry & FRAME) >> 12);
  }
  return &table[va >> (3 + 9 * level) & 511];
}

static u64 machine(const void *va) { return va_to_mfn(va) << 12 | ((u64)va & 4095); }

struct update {
  u64 pointer, value;
};

static s64 update_at(u64 pointer, u64 value) {
  struct update u = {pointer, value};
  return hypercall(mmu_update, &u, 1, 0, DOMID_SELF);
}
static s64 update(u64 *entry, u64 value) { return update_at(machine(entry), value); }

struct extended {
  u32 cmd, pad;
  u64 arg1, arg2;
};
static s64 extended(u32 cmd, u64 arg1, u64 arg2) {
  struct extended e = {cmd, 0, arg1, arg2};
  return hypercall(mmuext_op, &e, 1, 0, DOMID_SELF);
}

static s64 read_only(const void *page) { return hypercall(update_va_mapping, page, machine(page) | 0x25, 2); }
static s64 writable(const void *page) { return hypercall(update_va_mapping, page, machine(page) | 0x27, 2); }

// Tries a value in an entry, prints what became of it, and clears it again.
static void try(const char *what, u64 *entry, u64 value) {
  s64 result = update(entry, value);
  print("%s: %s", what, error_name(result));
  if (result == 0) {
    if ((*entry & FRAME) == (value & FRAME))
      print(", flags %lx", *entry & ~FRAME);
    else
      print(", reads %lx", *entry);
  }
  print("\n");
  if (result == 0) say("  cleared", update(entry, 0));
}

static void level1(void) {
  u64 *e = entry_of((u64)window, 1);
  u64 frame = machine(data);
  try("l1 067", e, frame | 0x67);
  try("l1 063", e, frame | 0x63);
  try("l1 061", e, frame | 0x61);
  try("l1 001", e, frame | 1);
  try("l1 007", e, frame | 7);
  try("l1 163", e, frame | 0x163);
  try("l1 bit 52 067", e, frame | KERNEL_BIT | 0x67);
  try("l1 available", e, frame | 0xe67);
  try("l1 high", e, frame | 0x7ff0000000000067);
  try("l1 NX", e, frame | NX | 0x67);
  try("l1 PWT", e, frame | 0x6f);
  try("l1 PCD", e, frame | 0x77);
  try("l1 bit 7", e, frame | 0xe7);
  try("l1 frame bit 45", e, 1ul << 45 | 0x67);
  try("l1 frame bit 51", e, 1ul << 51 | 0x67);
  try("l1 no such frame", e, 0x7fffff000 | 0x67);
  try("l1 local APIC", e, 0xfee00000 | 0x67);
  try("l1 table writable", e, machine(entry_of((u64)window, 1)) >> 12 << 12 | 0x67);
  try("l1 table read-only", e, machine(entry_of((u64)window, 1)) >> 12 << 12 | 0x65);
  try("l1 shared_info", e, start_info->shared_info | 0x67);
  try("l1 not present", e, 0xdeadbeef00ul);
  try("l1 not present, all", e, ~1ul);
  say("update_va_mapping 067", hypercall(update_va_mapping, window, frame | 0x67, 2));
  print("flags %lx\n", *e & ~FRAME & ~0x60ul);
  data[5] = 77;
  print("through the window %u\n", window[5]);
  say("update_va_mapping flags 3", hypercall(update_va_mapping, window, frame | 0x67, 3));
  say("update_va_mapping unaligned", hypercall(update_va_mapping, window + 123, frame | 0x67, 2));
  say("update_va_mapping multi, bad bitmap", hypercall(update_va_mapping, window, frame | 0x67, (u64)BAD | 1));
  say("update_va_mapping no table", hypercall(update_va_mapping, 0x5000000000, frame | 0x67, 2));
  say("update_va_mapping no table, 0", hypercall(update_va_mapping, 0x5000000000, 0, 2));
  say("update_va_mapping not canonical", hypercall(update_va_mapping, 0x1234000000000000, frame | 0x67, 2));
  say("update_va_mapping hole", hypercall(update_va_mapping, 0xffff810000000000, frame | 0x67, 2));
  say("update_va_mapping window back", hypercall(update_va_mapping, window, machine(window) | 0x67, 2));
}

static void updates(void) {
  u64 *e = entry_of((u64)window, 1);
  u64 old = *e;
  say("command 4", update_at(machine(e) | 4, old));
  say("command 3", update_at(machine(e) | 3, old));
  say("no such frame", update_at(0x7fffff000, 0));
  say("target not a table", update_at(machine(data) | 0, 0x1122334455667788));
  print("stored %lx\n", *(u64 *)data);
  say("preserve A and D", update_at(machine(e) | 2, (old & ~0x60ul)));
  print("kept %lx of %lx\n", *e & 0x60, old & 0x60);
  struct update two[3] = {{machine(e), old}, {machine(e), 0x7fffff000 | 0x67}, {machine(e), old}};
  u32 done = 99;
  say("three, second bad", hypercall(mmu_update, two, 3, &done, DOMID_SELF));
  print("done %u\n", done);
  say("done unreadable", hypercall(mmu_update, two, 1, BAD, DOMID_SELF));
  say("bad pointer", hypercall(mmu_update, BAD, 1, 0, DOMID_SELF));
  say("none", hypercall(mmu_update, two, 0, 0, DOMID_SELF));
  say("unknown domain", hypercall(mmu_update, two, 1, 0, 1234));
  u64 frame = va_to_mfn(data), pfn = M2P[frame];
  say("m2p update", update_at(frame << 12 | 1, 0x12345));
  print("reads %lx\n", M2P[frame]);
  say("m2p update back", update_at(frame << 12 | 1, pfn));
  say("m2p update no such frame", update_at(0x7fffff000 | 1, 1));
}

static void upper_levels(void) {
  u64 *l2 = entry_of(VIRT_BASE + 0x3fe00000, 2), *l3 = entry_of(VIRT_BASE - 0x40000000, 3);
  u64 *l4 = (u64 *)start_info->pt_base;
  print("slots %lx %lx\n", *l2, *l3);
  try("l2 to a writable page", l2, machine(table1) | 0x67);
  say("read-only", read_only(table1));
  try("l2 067", l2, machine(table1) | 0x67);
  try("l2 003", l2, machine(table1) | 3);
  try("l2 001", l2, machine(table1) | 1);
  try("l2 available", l2, machine(table1) | 0xe67);
  try("l2 high", l2, machine(table1) | 0x7ff0000000000067);
  try("l2 NX", l2, machine(table1) | NX | 0x67);
  try("l2 PSE", l2, machine(table1) | 0xe7);
  try("l2 G", l2, machine(table1) | 0x167);
  try("l2 PCD", l2, machine(table1) | 0x77);
  try("l2 PWT", l2, machine(table1) | 0x6f);
  try("l2 to the level-4 table", l2, machine(l4) | 0x67);
  try("l2 no such frame", l2, 0x7fffff000 | 0x67);
  try("l2 not present", l2, 0xdeadbeef00ul);
  try("l2 itself read-only", l2, (machine(l2) & ~0xffful) | 0x65);
  try("l2 itself writable", l2, (machine(l2) & ~0xffful) | 0x67);
  // A table in use may not be mapped writable; one no longer in use may.
  say("l2 set", update(l2, machine(table1) | 0x67));
  say("table writable while in use", writable(table1));
  say("l2 cleared", update(l2, 0));
  say("table writable after", writable(table1));

  try("l3 to a writable page", l3, machine(table2) | 0x67);
  say("read-only", read_only(table2));
  try("l3 067", l3, machine(table2) | 0x67);
  try("l3 003", l3, machine(table2) | 3);
  try("l3 PSE", l3, machine(table2) | 0xe7);
  say("read-only", read_only(table3));
  try("l4 007", &l4[5], machine(table3) | 7);
  try("l4 067 NX", &l4[5], machine(table3) | NX | 0x67);
  try("l4 PSE", &l4[5], machine(table3) | 0x87);
  try("l4 itself read-only", &l4[5], machine(l4) | 0x65);
  try("l4 itself writable", &l4[5], machine(l4) | 0x67);
  try("l4 slot 255", &l4[255], machine(table3) | 7);
  try("l4 slot 256", &l4[256], machine(table3) | 7);
  try("l4 slot 256 same", &l4[256], l4[256]);
  try("l4 slot 257 not present", &l4[257], 0);
  try("l4 slot 271", &l4[271], machine(table3) | 7);
  try("l4 slot 272", &l4[272], machine(table3) | 7);
  say("writable", writable(table2));
  say("writable", writable(table3));
}

static void pins(void) {
  u64 mfn = va_to_mfn(table1);
  say("pin l1, mapped writable", extended(0, mfn, 0));
  table1[0] = machine(data) | 0x63;
  table1[1] = 0x123456;
  say("read-only", read_only(table1));
  say("pin l1", extended(0, mfn, 0));
  print("entries %lx %lx\n", table1[0] & ~FRAME, table1[1]);
  say("pin l1 again", extended(0, mfn, 0));
  say("pin l2 of an l1", extended(1, mfn, 0));
  say("writable while pinned", writable(table1));
  say("unpin", extended(4, mfn, 0));
  say("unpin again", extended(4, mfn, 0));
  say("writable", writable(table1));
  table1[0] = 0x7fffff000 | 0x67;
  say("read-only", read_only(table1));
  say("pin l1 with a bad entry", extended(0, mfn, 0));
  say("writable", writable(table1));
  table1[0] = machine(table1) | 0x67;
  say("read-only", read_only(table1));
  say("pin l1 that maps itself writable", extended(0, mfn, 0));
  say("writable", writable(table1));
  table1[0] = machine(table1) | 0x65;
  say("read-only", read_only(table1));
  say("pin l1 that maps itself read-only", extended(0, mfn, 0));
  say("unpin", extended(4, mfn, 0));
  say("writable", writable(table1));
  table1[0] = table1[1] = 0;
  say("pin no such frame", extended(0, 0x7fffff, 0));
  say("pin shared_info", extended(0, start_info->shared_info >> 12, 0));
  say("unpin the current table", extended(4, va_to_mfn((void *)start_info->pt_base), 0));
  say("pin it again", extended(3, va_to_mfn((void *)start_info->pt_base), 0));
  // Another top-level table.
  for (int n = 0; n < 512; n++) top[n] = n >= 256 && n < 272 ? 0 : ((u64 *)start_info->pt_base)[n];
  say("new base, mapped writable", extended(5, va_to_mfn(top), 0));
  say("read-only", read_only(top));
  print("slot 256 %s\n", top[256] ? "set" : "0");
  say("new base, not pinned", extended(5, va_to_mfn(top), 0));
  print("slot 256 %s\n", top[256] ? "set" : "0");
  say("writable while in use", writable(top));
  say("new base back", extended(5, va_to_mfn((void *)start_info->pt_base), 0));
  say("writable", writable(top));
  say("new base, no such frame", extended(5, 0x7fffff, 0));
  say("new user base 0", extended(15, 0, 0));
  say("new user base, no such frame", extended(15, 0x7fffff, 0));
  say("new user base", extended(15, va_to_mfn((void *)start_info->pt_base), 0));
}

static void others(void) {
  u64 mask = 1;
  say("tlb_flush_local", extended(6, 0, 0));
  say("invlpg_local", extended(7, (u64)window, 0));
  say("invlpg_local not canonical", extended(7, 0x1234000000000000, 0));
  say("tlb_flush_multi", extended(8, 0, (u64)&mask));
  say("tlb_flush_multi bad mask", extended(8, 0, (u64)BAD));
  say("invlpg_multi", extended(9, (u64)window, (u64)&mask));
  say("tlb_flush_all", extended(10, 0, 0));
  say("invlpg_all", extended(11, (u64)window, 0));
  say("flush_cache", extended(12, 0, 0));
  say("command 14", extended(14, 0, 0));
  say("clear_page", extended(16, va_to_mfn(data), 0));
  print("cleared %lx\n", *(u64 *)data);
  window[9] = 5;
  say("copy_page", extended(17, va_to_mfn(data), va_to_mfn(window)));
  print("copied %x\n", data[9]);
  say("clear_page of a table", extended(16, va_to_mfn((void *)start_info->pt_base), 0));
  say("flush_cache_global", extended(18, 0, 0));
  say("mark_super", extended(19, 0, 0));
  say("command 99", extended(99, 0, 0));
  struct extended three[3] = {{6, 0, 0, 0}, {99, 0, 0, 0}, {6, 0, 0, 0}};
  u32 done = 77;
  say("three, second bad", hypercall(mmuext_op, three, 3, &done, DOMID_SELF));
  print("done %u\n", done);
  say("bad pointer", hypercall(mmuext_op, BAD, 1, 0, DOMID_SELF));
  say("unknown domain", hypercall(mmuext_op, three, 1, 0, 1234));
}

static void descriptors(void) {
  u64 frame = va_to_mfn(gdt);
  gdt[1] = 0x00cf92000000ffff;
  gdt[2] = 0x00af9a000000ffff;
  gdt[3] = 0;
  say("set_gdt, mapped writable", hypercall(set_gdt, &frame, 512));
  say("read-only", read_only(gdt));
  say("set_gdt", hypercall(set_gdt, &frame, 512));
  print("entries %lx %lx\n", gdt[1], gdt[2]);
  say("writable while in use", writable(gdt));
  say("set_gdt 7169 entries", hypercall(set_gdt, &frame, 7169));
  say("set_gdt bad pointer", hypercall(set_gdt, BAD, 512));
  u64 bad = 0x7fffff;
  say("set_gdt no such frame", hypercall(set_gdt, &bad, 512));
  say("update data", hypercall(update_descriptor, machine(&gdt[3]), 0x00cf92000000ffff));
  print("entry %lx\n", gdt[3]);
  say("update call gate", hypercall(update_descriptor, machine(&gdt[3]), 0xec0000080000));
  print("entry %lx\n", gdt[3]);
  say("update TSS", hypercall(update_descriptor, machine(&gdt[3]), 0x00008b0000000067));
  say("update not present", hypercall(update_descriptor, machine(&gdt[3]), 0x00cf12000000ffff));
  print("entry %lx\n", gdt[3]);
  say("update misaligned", hypercall(update_descriptor, machine(&gdt[3]) + 4, 0));
  say("update no such frame", hypercall(update_descriptor, 0x7fffff000, 0));
  say("update a table", hypercall(update_descriptor, machine((void *)start_info->pt_base), 0));
  say("update a plain page", hypercall(update_descriptor, machine(data), 0x00cf92000000ffff));
  print("entry %lx\n", *(u64 *)data);
  say("set_gdt none", hypercall(set_gdt, 0, 0));
  say("writable", writable(gdt));
  gdt[4] = 0x00008b0000000067;
  say("read-only", read_only(gdt));
  say("set_gdt with a TSS", hypercall(set_gdt, &frame, 512));
  say("writable", writable(gdt));
  ldt[0] = 0x00cff2000000ffff;
  say("set_ldt misaligned", extended(13, (u64)ldt + 8, 1));
  say("set_ldt 8193", extended(13, (u64)ldt, 8193));
  say("set_ldt not canonical", extended(13, 0x1234000000000000, 1));
  say("read-only", read_only(ldt));
  say("set_ldt", extended(13, (u64)ldt, 512));
  u16 selector = 7;
  __asm__ volatile("mov %0, %%es" : : "r"((u32)selector));
  __asm__ volatile("mov %%es, %0" : "=r"(selector));
  print("es %x\n", selector);
  __asm__ volatile("mov %0, %%es" : : "r"(0));
  say("writable while in use", writable(ldt));
  say("set_ldt none", extended(13, 0, 0));
  say("writable", writable(ldt));
}

// Stores to level-1 tables: rbx = the entry, rcx = the value.
SNIPPET(store, "mov %rcx, (%rbx)");
SNIPPET(store_32, "mov %ecx, (%rbx)");
SNIPPET(store_8, "mov %cl, (%rbx)");
SNIPPET(store_misaligned, "mov %rcx, 4(%rbx)");
SNIPPET(lock_or, "lock orq $0x200, (%rbx)");
SNIPPET(lock_btr, "lock btrq $1, (%rbx)");
SNIPPET(lock_bts, "lock btsq $1, (%rbx)");
SNIPPET(exchange, "xchg %rcx, (%rbx)");
SNIPPET(compare_exchange, "mov (%rbx), %rax; lock cmpxchg %rcx, (%rbx)");
SNIPPET(compare_exchange_fails, "mov $0x1234, %eax; lock cmpxchg %rcx, (%rbx); mov (%rbx), %rcx; sub %rcx, %rax");
SNIPPET(add, "addq $0x200, (%rbx)");
SNIPPET(stos, "mov %rbx, %rdi; mov %rcx, %rax; stosq");
SNIPPET(movnti, "movnti %rcx, (%rbx)");

static void store_one(const char *name, const u8 *code, const u8 *end, u64 *entry, u64 value, int mode) {
  struct probe p = probe_start(code, mode);
  p.rbx = (u64)entry;
  p.rcx = value;
  probe_run(&p);
  print("%s %s:", name, mode == MODE_USER ? "U" : "K");
  if (trap_is_done(end))
    print(" done, flags %lx\n", *entry & ~FRAME & ~0x60ul);
  else
    print(" #%lu ec %lx cr2 %s\n", trap.vector, trap.frame[2],
          (shared_info->vcpu_info[0].cr2 & ~7ul) == (u64)entry ? "the entry" : "?");
}
#define STORE(name, entry, value, mode) store_one(#name, snip_##name, snip_##name##_end, entry, value, mode)

static void stores(void) {
  u64 *e = entry_of((u64)window, 1);
  u64 good = machine(window) | 0x67;
  STORE(store, e, good, MODE_KERNEL);
  say("vm_assist writable_pagetables", hypercall(vm_assist, 0, 2));
  STORE(store, e, good, MODE_KERNEL);
  STORE(store, e, good, MODE_USER);
  STORE(store, e, machine(window) | 0x63, MODE_KERNEL);
  STORE(store, e, 0x7fffff000 | 0x67, MODE_KERNEL);
  STORE(store, e, (machine(e) & ~0xffful) | 0x67, MODE_KERNEL);
  STORE(store_32, e, good, MODE_KERNEL);
  STORE(store_8, e, good, MODE_KERNEL);
  STORE(store_misaligned, e, 0, MODE_KERNEL);
  STORE(lock_or, e, 0, MODE_KERNEL);
  STORE(add, e, 0, MODE_KERNEL);
  STORE(lock_btr, e, 0, MODE_KERNEL);
  STORE(lock_bts, e, 0, MODE_KERNEL);
  STORE(exchange, e, good, MODE_KERNEL);
  STORE(compare_exchange, e, good, MODE_KERNEL);
  STORE(compare_exchange_fails, e, good, MODE_KERNEL);
  STORE(stos, e, good, MODE_KERNEL);
  STORE(movnti, e, good, MODE_KERNEL);
  STORE(store, e, 0, MODE_KERNEL);
  STORE(store, e, good, MODE_KERNEL);
  window[3] = 9;
  print("window %u\n", window[3]);
  STORE(store, entry_of((u64)window, 2), *entry_of((u64)window, 2), MODE_KERNEL);
  STORE(store, (u64 *)start_info->pt_base + 5, 0, MODE_KERNEL);
  STORE(store, (u64 *)read_only_page, 0, MODE_KERNEL);
}

static void reservations(void) {
  u64 frame = va_to_mfn(data), pfn = va_to_pfn(data);
  struct {
    u64 *extents, count;
    u32 order, flags;
    u16 domain, pad[3];
  } r = {&frame, 1, 0, 0, DOMID_SELF, {0}};
  say("unmap", hypercall(update_va_mapping, data, 0, 2));
  print("decrease %ld\n", hypercall(memory_op, 1, &r));
  print("m2p %lx\n", M2P[frame]);
  print("current %ld\n", hypercall(memory_op, 3, &r.domain));
  say("map a freed frame", hypercall(update_va_mapping, data, frame << 12 | 0x67, 2));
  u64 extent = pfn;
  r.extents = &extent;
  print("populate %ld\n", hypercall(memory_op, 6, &r));
  print("m2p %s\n", M2P[extent] == pfn ? "right" : "wrong");
  say("map", hypercall(update_va_mapping, data, extent << 12 | 0x67, 2));
  r.extents = BAD;
  print("populate bad pointer %ld\n", hypercall(memory_op, 6, &r));
  r.extents = &extent;
  r.domain = 1234;
  print("decrease unknown domain %ld\n", hypercall(memory_op, 1, &r));
  r.domain = DOMID_SELF;
  extent = 0x7fffff;
  print("decrease no such frame %ld\n", hypercall(memory_op, 1, &r));
  say("bad pointer", hypercall(memory_op, 1, BAD));
}

void guest_main(void) {
  probe_setup();
  print("-- level 1\n");
  level1();
  print("-- mmu_update\n");
  updates();
  print("-- upper levels\n");
  upper_levels();
  print("-- pins and bases\n");
  pins();
  print("-- mmuext_op\n");
  others();
  print("-- descriptor tables\n");
  descriptors();
  print("-- stores\n");
  stores();
  print("-- reservations\n");
  reservations();
}
