// The start of day: what a guest finds in its registers, its memory and its page tables at the first instruction.
// Frames are printed as "kernel+N" from the first page after the guest's own image, so that the text does not depend on
// how large the compiler made it.
#include "probe.h"

extern const u8 _end[];

static u64 kernel_end(void) { return va_to_pfn(_end) + (((u64)_end & 0xfff) != 0); }

static u64 mapped_pages;

static void print_place(u64 pfn) {
  if (mapped_pages && pfn >= mapped_pages && pfn < 0x1000) {
    print("mapped+%lx", pfn - mapped_pages);
    return;
  }
  if (pfn >= kernel_end() && pfn < 0x1000)
    print("kernel+%lx", pfn - kernel_end());
  else
    print("%lx", pfn);
}

static void print_frame(const char *name, u64 pfn) {
  print("%s ", name);
  print_place(pfn);
  print("\n");
}

static void print_address(const char *name, u64 va) {
  u64 pfn = (va - VIRT_BASE) >> 12;
  if (va >= VIRT_BASE && pfn >= kernel_end())
    print("%s kernel+%lx:%lx\n", name, pfn - kernel_end(), va & 0xfff);
  else
    print("%s %lx\n", name, va);
}

static u64 read_cr(int n) {
  u64 value = 0;
  switch (n) {
  case 0: __asm__ volatile("mov %%cr0, %0" : "=r"(value)); break;
  case 3: __asm__ volatile("mov %%cr3, %0" : "=r"(value)); break;
  case 4: __asm__ volatile("mov %%cr4, %0" : "=r"(value)); break;
  }
  return value;
}

static void registers(void) {
  struct boot_registers *r = &boot_registers;
  print("rax %lx rcx %lx rdx %lx rbx %lx rbp %lx rdi %lx\n", r->rax, r->rcx, r->rdx, r->rbx, r->rbp, r->rdi);
  print("r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx\n", r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14,
        r->r15);
  print_address("rsi", r->rsi);
  print_address("rsp", r->rsp);
  print("rflags %lx\n", r->rflags);
  u16 cs, ss, ds, es, fs, gs;
  __asm__("mov %%cs, %0" : "=r"(cs));
  __asm__("mov %%ss, %0" : "=r"(ss));
  __asm__("mov %%ds, %0" : "=r"(ds));
  __asm__("mov %%es, %0" : "=r"(es));
  __asm__("mov %%fs, %0" : "=r"(fs));
  __asm__("mov %%gs, %0" : "=r"(gs));
  print("cs %x ss %x ds %x es %x fs %x gs %x\n", cs, ss, ds, es, fs, gs);
  print("cr0 %lx cr4 %lx\n", read_cr(0), read_cr(4));
  print_frame("cr3 pfn", M2P[read_cr(3) >> 12]);
  u16 fcw;
  u32 mxcsr;
  __asm__ volatile("fnstcw %0" : "=m"(fcw));
  __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
  print("fcw %x mxcsr %x\n", fcw, mxcsr);
  struct {
    u16 limit;
    u64 base;
  } __attribute__((packed)) table;
  __asm__ volatile("sgdt %0" : "=m"(table));
  print("gdt limit %x\n", table.limit);
}

static void information(void) {
  struct start_info *s = start_info;
  print("magic %s\n", s->magic);
  print("pages %lu\n", s->nr_pages);
  print("shared_info m2p %lx\n", M2P[s->shared_info >> 12]);
  print("flags %x\n", s->flags);
  print_frame("store pfn", M2P[s->store_mfn]);
  print_frame("console pfn", M2P[s->console_mfn]);
  print("store port %u console port %u\n", s->store_evtchn, s->console_evtchn);
  print_address("pt_base", s->pt_base);
  print("pt_frames %lu\n", s->nr_pt_frames);
  print_address("mfn_list", s->mfn_list);
  if (s->flags & SIF_MOD_START_PFN)
    print_frame("module pfn", s->mod_start);
  else
    print_address("module", s->mod_start);
  print("module length %lu rounded\n", (s->mod_len + 4095) & ~0xffful);
  print_frame("first_p2m_pfn", s->first_p2m_pfn);
  print("p2m frames %lu\n", s->nr_p2m_frames);
  print("command line '%s'\n", s->cmd_line);
  u64 wrong = 0;
  for (u64 pfn = 0; pfn < s->nr_pages; pfn++)
    if (M2P[pfn_to_mfn(pfn)] != pfn) wrong++;
  print("frames whose m2p and p2m disagree %lu\n", wrong);
  // The entries after the last are holes.
  print("p2m entry after the last %lx\n", s->nr_pages & 511 ? pfn_to_mfn(s->nr_pages) : ~0ul);
}

// A line for each run of pages whose entries have the same flags.
static void mapping(u64 pages) {
  u64 run = 0, run_flags = 0;
  bool linear = true;
  for (u64 n = 0; n <= pages; n++) {
    u64 flags = ~0ul;
    if (n < pages) {
      u64 *table = (u64 *)start_info->pt_base, address = VIRT_BASE + (n << 12);
      for (int shift = 39; shift > 12; shift -= 9) table = mfn_to_va((table[address >> shift & 511] & 0xffffffffff000) >> 12);
      u64 entry = table[address >> 12 & 511];
      // The accessed and dirty bits depend on who looked.
      flags = entry & ~0xffffffffff060ul;
      linear &= M2P[(entry & 0xffffffffff000) >> 12] == n;
    }
    if (n && flags != run_flags) {
      print("map ");
      print_place(run);
      print("..");
      if (n == pages)
        print("end");
      else
        print_place(n - 1);
      print(" flags %lx\n", run_flags);
      run = n;
    }
    run_flags = flags;
  }
  print("the mapping is linear: %s\n", linear ? "yes" : "no");
}

static void tables(void) {
  u64 *l4 = (u64 *)start_info->pt_base;
  for (int slot = 0; slot < 512; slot++) {
    if (slot > 256 && slot < 272) continue;
    if (l4[slot]) print("l4[%d] flags %lx\n", slot, l4[slot] & ~0xffffffffff060ul);
  }
  print("mapped pages %lx\n", mapped_pages);
  mapping(mapped_pages);
}

// How far the mapping goes. All its tables lie within it.
static void measure(void) {
  u64 end = 0;
  while (end < 0x10000) {
    u64 *table = (u64 *)start_info->pt_base, address = VIRT_BASE + (end << 12);
    for (int shift = 39; shift > 12 && table; shift -= 9) {
      u64 entry = table[address >> shift & 511];
      table = entry & 1 ? mfn_to_va((entry & 0xffffffffff000) >> 12) : 0;
    }
    if (!table || !(table[address >> 12 & 511] & 1)) break;
    end++;
  }
  mapped_pages = end;
}

static void cpuid(u32 leaf, u32 subleaf, u32 *r) {
  __asm__ volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid"
                   : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                   : "0"(leaf), "2"(subleaf));
}

static void identification(void) {
  u32 r[4];
  for (u32 leaf = 0x40000000; leaf <= 0x40000006; leaf++) {
    cpuid(leaf, 0, r);
    // Frequencies, time stamps and the machine's size are the machine's own.
    if (leaf == 0x40000003) r[0] = r[1] = 0, r[2] = r[2] != 0;
    if (leaf == 0x40000005) r[1] = r[1] != 0;
    print("cpuid %x: %x %x %x %x\n", leaf, r[0], r[1], r[2], r[3]);
  }
  print("version %lx\n", hypercall(xen_version, 0, 0));
  struct {
    u32 index, map;
  } features = {0, 0};
  s64 result = hypercall(xen_version, 6, &features);
  print("features %s %x\n", error_name(result), features.map);
  u64 platform = 0;
  result = hypercall(xen_version, 5, &platform);
  print("platform %s %lx\n", error_name(result), platform);
  print("page size %lu\n", hypercall(xen_version, 7, 0));
  struct {
    u64 start, end, max_mfn;
  } m2p;
  result = hypercall(memory_op, 12, &m2p);
  print("m2p %s %lx %lx %lx\n", error_name(result), m2p.start, m2p.end, m2p.max_mfn);
  struct {
    u64 address, size;
    u32 type;
  } __attribute__((packed)) entries[8];
  struct {
    u32 count, pad;
    void *buffer;
  } map = {8, 0, entries};
  result = hypercall(memory_op, 9, &map);
  print("memory map %s: %u\n", error_name(result), map.count);
  for (u32 n = 0; result == 0 && n < map.count && n < 8; n++)
    print(" %lx %lx %u\n", entries[n].address, entries[n].size, entries[n].type);
}

static void shared(void) {
  map_shared_info();
  volatile struct shared_info *s = shared_info;
  // A daemon may already have rung: what is pending depends on when it came.
  print("mask of vcpus");
  for (int n = 0; n < 32; n++) print(" %x", s->vcpu_info[n].evtchn_upcall_mask);
  print("\n");
  u64 masks = 0;
  for (int n = 0; n < 64; n++) masks |= s->evtchn_mask[n];
  print("evtchn_mask %lx\n", masks);
  print("time version odd %u, tsc_to_system_mul %s\n", s->vcpu_info[0].time.version & 1,
        s->vcpu_info[0].time.tsc_to_system_mul ? "set" : "0");
  print("wall clock %s, version odd %u\n", s->wc_sec ? "set" : "0", s->wc_version & 1);
  print("max_pfn %lx list %lx nmi %lx p2m %lx %lx %lx\n", s->max_pfn, s->pfn_to_mfn_frame_list_list, s->nmi_reason, s->p2m_cr3,
        s->p2m_vaddr, s->p2m_generation);
  struct {
    u16 dom, pad;
    u32 nr_frames;
    int16_t status, pad2[3];
    u64 *list;
  } setup;
  static u64 list[4];
  setup.dom = DOMID_SELF;
  setup.nr_frames = 1;
  setup.list = list;
  s64 result = hypercall(grant_table_op, 2, &setup, 1);
  print("grant table %s status %d\n", error_name(result), setup.status);
  static u8 page[4096] __attribute__((aligned(4096)));
  result = hypercall(update_va_mapping, page, list[0] << 12 | 0x67, 2);
  print("grant frame mapped %s, m2p %lx\n", error_name(result), M2P[list[0]]);
  volatile struct {
    u16 flags, domid;
    u32 frame;
  } *grants = (void *)page;
  print("grant 0 flags %x domain %u frame %s\n", grants[0].flags & 3, grants[0].domid,
        grants[0].frame == start_info->console_mfn ? "console" : "?");
  print("grant 1 flags %x domain %u frame %s\n", grants[1].flags & 3, grants[1].domid,
        grants[1].frame == start_info->store_mfn ? "store" : "?");
  print("grant 2 flags %x\n", grants[2].flags);
}

void guest_main(void) {
  measure();
  print("-- registers\n");
  registers();
  print("-- start_info\n");
  information();
  print("-- page tables\n");
  tables();
  print("-- hypervisor\n");
  identification();
  print("-- shared_info and grants\n");
  shared();
}
