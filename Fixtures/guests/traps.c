// Every trap and callback: the frame that is pushed, the state that the handler finds; the iret hypercall; what becomes of
// privileged instructions.
#include "probe.h"

#define STR2(x) #x
#define STR(x) STR2(x)

// --- Exceptions and software interrupts ---
SNIPPET(ud2, "nop; ud2");
SNIPPET(int3, "nop; int3");
SNIPPET(int_3_long, ".byte 0xcd, 3");
SNIPPET(icebp, ".byte 0xf1");
SNIPPET(divide, "xor %edx, %edx; xor %ecx, %ecx; div %ecx");
SNIPPET(int_80, "nop; int $0x80");
SNIPPET(read_absent, "mov absent_page, %rax; mov 8(%rax), %rbx");
SNIPPET(write_absent, "mov absent_page, %rax; mov %rbx, 16(%rax)");
SNIPPET(write_read_only, "mov read_only_page, %rax; mov %rbx, 24(%rax)");
SNIPPET(fetch_absent, "mov absent_page, %rax; jmp *%rax");
SNIPPET(read_hole, "mov $0xffff810000000000, %rax; mov (%rax), %rbx");
SNIPPET(write_m2p, "mov $0xffff800000000000, %rax; mov %rbx, (%rax)");
SNIPPET(read_m2p_far, "mov $0xffff803000000000, %rax; mov (%rax), %rbx");
SNIPPET(not_canonical, "mov $0x1234000000000000, %rax; mov (%rax), %rbx");
SNIPPET(ds_9990, "mov $0x9990, %eax; mov %eax, %ds");
SNIPPET(ds_e008, "mov $0xe008, %eax; mov %eax, %ds");
SNIPPET(ss_0, "xor %eax, %eax; mov %eax, %ss");
SNIPPET(ldt_7, "mov $7, %eax; mov %eax, %es");
SNIPPET(ds_e02b, "mov $0xe02b, %eax; mov %eax, %ds; mov %eax, %es; ud2");
SNIPPET(flags_set, "pushq %rax; popfq; ud2");
SNIPPET(step, "nop; nop");
SNIPPET(step_hypercall, "mov $17, %eax; xor %edi, %edi; syscall; nop");
SNIPPET(far_page, "pushq %rax; ud2");

// --- System calls from user mode ---
SNIPPET(user_syscall, "nop; syscall");

// --- IRETQ ---
SNIPPET(native_iret, "mov %rsp, %rax; pushq $0xe02b; pushq %rax; pushfq; pushq $0xe033; pushq $1f; iretq; 1: nop");
SNIPPET(native_iret_ss_0, "mov %rsp, %rax; pushq $0; pushq %rax; pushfq; pushq $0xe033; pushq $1f; iretq; 1: nop");

// --- Hypercalls keep registers ---
SNIPPET(hypercall_registers, "mov $17, %eax; xor %edi, %edi; syscall; 1: ud2");

static void exceptions(void) {
  for (int mode = MODE_KERNEL; mode <= MODE_USER; mode++) {
    PROBE(ud2, mode);
    PROBE(int3, mode);
    PROBE(int_3_long, mode);
    PROBE(icebp, mode);
    PROBE(divide, mode);
    PROBE(read_absent, mode);
    PROBE(write_absent, mode);
    PROBE(write_read_only, mode);
    PROBE(fetch_absent, mode);
    PROBE(read_hole, mode);
    PROBE(write_m2p, mode);
    PROBE(read_m2p_far, mode);
    PROBE(not_canonical, mode);
    PROBE(ds_9990, mode);
    PROBE(ds_e008, mode);
    PROBE(ldt_7, mode);
    PROBE(ss_0, mode);
    PROBE(ds_e02b, mode);
    PROBE(native_iret, mode);
    PROBE(native_iret_ss_0, mode);
    set_gate(0x80, 3, true);
    PROBE(int_80, mode);
    set_gate(0x80, 4, true);
    PROBE(int_80, mode);
    set_gate(6, 4, true);
    PROBE(ud2, mode);
    set_gate(6, 0, true);
  }
  // Without a gate for 0x80 it is #GP as for any other; flags 4 masks events.
  set_gate(0x80, 0, false);
}

static void flags(void) {
  for (int mode = MODE_KERNEL; mode <= MODE_USER; mode++) {
    static const u64 values[] = {0x47602, 0x247602, 0x8d5, 0x3002, 0x40002};
    for (u32 i = 0; i < sizeof values / sizeof *values; i++) {
      struct probe p = probe_start(snip_flags_set, mode);
      p.rax = values[i];
      print("%lx ", values[i]);
      probe_print_from("flags_set", &p, snip_flags_set, snip_flags_set_end, mode);
    }
    struct probe p = probe_start(snip_step, mode);
    p.rflags |= 0x100;
    probe_print_from("step", &p, snip_step, snip_step_end, mode);
    if (mode == MODE_KERNEL) {
      p = probe_start(snip_step_hypercall, mode);
      // Stepping is on from the SYSCALL alone.
      SNIPPET(step_at_syscall, "mov $17, %eax; xor %edi, %edi; pushq $0x102; popfq; syscall; nop; nop");
      PROBE(step_at_syscall, mode);
      p = probe_start(snip_ud2, mode);
      p.rsp = PROBE_TOP - 0x13;
      probe_print_from("ud2_unaligned", &p, snip_ud2, snip_ud2_end, mode);
      p.rsp = PROBE_TOP - 0x18;
      probe_print_from("ud2_by_8", &p, snip_ud2, snip_ud2_end, mode);
    }
  }
}

static void system_calls(void) {
  PROBE(user_syscall, MODE_USER);
  struct probe p = probe_start(snip_user_syscall, MODE_USER);
  p.rflags = 0x247602;
  probe_print_from("user_syscall_flags", &p, snip_user_syscall, snip_user_syscall_end, MODE_USER);
  p.rflags = 0x2;
  probe_print_from("user_syscall_if_0", &p, snip_user_syscall, snip_user_syscall_end, MODE_USER);
  // What a hypercall leaves in the registers.
  p = probe_start(snip_hypercall_registers, MODE_KERNEL);
  p.rflags = 0x244402;
  probe_run(&p);
  print("hypercall: rax %lx rdx %lx rbx %lx rbp %lx rsi %lx rdi %lx r8 %lx r9 %lx r10 %lx\n", trap.rax, trap.rdx, trap.rbx,
        trap.rbp, trap.rsi, trap.rdi, trap.r8, trap.r9, trap.r10);
  print(" r12 %lx r13 %lx r14 %lx r15 %lx rcx %s r11 %lx flags %lx\n", trap.r12, trap.r13, trap.r14, trap.r15,
        trap.frame[0] == trap.frame[2] ? "next" : "?", trap.frame[1], trap.frame[4]);
}

// --- The iret hypercall (event masks, odd frames) ---
SNIPPET(land, "nop; ud2");

static void iret_case(const char *name, int mode, u64 cs, u64 ss, u64 rflags, u64 rip, u64 rsp, u64 vgcf) {
  struct probe p = probe_start(snip_land, mode);
  if (cs) p.cs = cs;
  p.ss = ss;
  p.rflags = rflags;
  if (rip) p.rip = rip;
  if (rsp) p.rsp = rsp;
  p.vgcf = vgcf;
  print("iret ");
  probe_run(&p);
  iret_fault = trap.vector == 13;
  probe_print_from(name, &p, snip_land, snip_land_end, mode);
  iret_fault = false;
}

static void irets(void) {
  iret_case("ss e028", MODE_KERNEL, 0xe030, 0xe028, 2, 0, 0, 0);
  iret_case("rflags 77602", MODE_KERNEL, 0, 0xe02b, 0x77602, 0, 0, 0);
  iret_case("cs 101e030", MODE_KERNEL, 0x101e030, 0xe02b, 2, 0, 0, 0);
  iret_case("in syscall", MODE_KERNEL, 0, 0xe02b, 2, 0, 0, 0x100);
  iret_case("in syscall", MODE_USER, 0, 0xe02b, 0x202, 0, 0, 0x100);
  iret_case("cs 1238", MODE_KERNEL, 0x1238, 0xe02b, 2, 0, 0, 0);
  iret_case("cs e010", MODE_KERNEL, 0xe010, 0xe02b, 2, 0, 0, 0);
  iret_case("cs e00b", MODE_USER, 0xe00b, 0xe02b, 0x202, 0, 0, 0);
  iret_case("cs 123b", MODE_USER, 0x123b, 0xe02b, 0x202, 0, 0, 0);
  iret_case("ss 1238", MODE_KERNEL, 0, 0x1238, 2, 0, 0, 0);
  iret_case("ss 123b", MODE_USER, 0, 0x123b, 0x202, 0, 0, 0);
  iret_case("ss 0", MODE_KERNEL, 0, 0, 2, 0, 0, 0);
  iret_case("ss 0", MODE_USER, 0, 0, 0x202, 0, 0, 0);
  iret_case("rip 1234000000000000", MODE_KERNEL, 0, 0xe02b, 2, 0x1234000000000000, 0, 0);
  iret_case("rip 1234000000000000", MODE_USER, 0, 0xe02b, 0x202, 0x1234000000000000, 0, 0);
  iret_case("rip absent", MODE_USER, 0, 0xe02b, 0x202, 0x7000000000, 0, 0);
  iret_case("rsp 1234000000000000", MODE_USER, 0, 0xe02b, 0x202, 0, 0x1234000000000000, 0);
  iret_case("if 0", MODE_USER, 0, 0xe02b, 2, 0, 0, 0);
  iret_case("if 1", MODE_KERNEL, 0, 0xe02b, 0x202, 0, 0, 0);
}

// --- Event upcalls and NMI ---
SNIPPET(loop, "mov $17, %eax; xor %edi, %edi; syscall; jmp snip_loop");
SNIPPET(send_nmi, "mov $24, %eax; mov $11, %edi; xor %esi, %esi; xor %edx, %edx; syscall; ud2");

static void upcalls(void) {
  volatile struct vcpu_info *v = &shared_info->vcpu_info[0];
  v->evtchn_pending_sel = 0;
  for (int mode = MODE_KERNEL; mode <= MODE_USER; mode++) {
    v->evtchn_upcall_pending = 1;
    struct probe p = probe_start(snip_land, mode);
    p.rflags = 0x202;
    probe_print_from("upcall", &p, snip_land, snip_land_end, mode);
    print("pending %x\n", v->evtchn_upcall_pending);
    p.rflags = 2;
    probe_print_from("upcall_masked", &p, snip_land, snip_land_end, mode);
    v->evtchn_upcall_pending = 0x80;
    p.rflags = 0x202;
    probe_print_from("upcall_80", &p, snip_land, snip_land_end, mode);
    v->evtchn_upcall_pending = 0;
  }
  PROBE(send_nmi, MODE_KERNEL);
}

// --- Privileged instructions ---
SNIPPET(cli, "cli");
SNIPPET(sti, "sti");
SNIPPET(in_80, "in $0x80, %al");
SNIPPET(out_80, "out %al, $0x80");
SNIPPET(hlt, "hlt");
SNIPPET(invlpg, "invlpg (%rsp)");
SNIPPET(lgdt, "lgdt -16(%rsp)");
SNIPPET(lidt, "lidt -16(%rsp)");
SNIPPET(lldt, "lldt %ax");
SNIPPET(ltr, "ltr %ax");
SNIPPET(lmsw, "lmsw %ax");
SNIPPET(swapgs, "swapgs");
SNIPPET(sysret, "sysretq");
SNIPPET(clts, "clts");
SNIPPET(read_cr0, "mov %cr0, %rax");
SNIPPET(read_cr4, "mov %cr4, %rax");
SNIPPET(read_cr8, "mov %cr8, %rax");
SNIPPET(read_cr2, "mov %cr2, %rax");
SNIPPET(write_cr0_same, "mov $0x80050033, %eax; mov %rax, %cr0");
SNIPPET(write_cr0_ts, "mov $0x8005003b, %eax; mov %rax, %cr0; mov %cr0, %rax; clts");
SNIPPET(write_cr0_wp, "mov $0x80040033, %eax; mov %rax, %cr0");
SNIPPET(write_cr2, "mov %rax, %cr2");
SNIPPET(write_cr4_all, "mov $-1, %rax; mov %rax, %cr4; mov %cr4, %rbx; mov $0x660, %eax; mov %rax, %cr4; mov %cr4, %rax; shl $32, %rbx; or %rbx, %rax");
SNIPPET(write_cr3_bad, "mov $0x7ffffffff000, %rax; mov %rax, %cr3");
SNIPPET(reload_cr3, "mov %cr3, %rax; mov %rax, %cr3; xor %eax, %eax");
SNIPPET(write_dr0, "xor %eax, %eax; mov %rax, %dr0; mov %dr0, %rax");
SNIPPET(write_dr0_hole, "mov $0xffff800000000000, %rax; mov %rax, %dr0");
SNIPPET(read_dr7, "xor %eax, %eax; mov %rax, %dr7; mov %dr7, %rax");
SNIPPET(write_dr7_gd, "mov $0x2400, %eax; mov %rax, %dr7");
SNIPPET(rdmsr_efer, "mov $0xc0000080, %ecx; rdmsr; shl $32, %rdx; or %rdx, %rax");
SNIPPET(wrmsr_efer_same, "mov $0xc0000080, %ecx; rdmsr; wrmsr");
SNIPPET(wrmsr_efer_other, "mov $0xc0000080, %ecx; rdmsr; xor $0x800, %eax; wrmsr");
SNIPPET(rdmsr_pat, "mov $0x277, %ecx; rdmsr; shl $32, %rdx; or %rdx, %rax");
SNIPPET(wrmsr_pat, "mov $0x277, %ecx; rdmsr; wrmsr");
SNIPPET(rdmsr_apicbase, "mov $0x1b, %ecx; rdmsr; shl $32, %rdx; or %rdx, %rax");
SNIPPET(rdmsr_unknown, "mov $0x12345, %ecx; rdmsr");
SNIPPET(wrmsr_unknown, "mov $0x12345, %ecx; wrmsr");
SNIPPET(wrmsr_tsc, "mov $0x10, %ecx; wrmsr");
SNIPPET(wrmsr_gs_base, "mov $0xc0000101, %ecx; mov $0x1000, %eax; xor %edx, %edx; wrmsr; rdmsr; mov %rax, %rbx; xor %eax, %eax; wrmsr; mov %rbx, %rax");
SNIPPET(wrmsr_gs_bad, "mov $0xc0000101, %ecx; xor %eax, %eax; mov $0x12340000, %edx; wrmsr");
SNIPPET(monitor, "monitor");
SNIPPET(mwait, "mwait");
SNIPPET(vmcall, "vmcall");
SNIPPET(smsw, "smsw %ax; and $0xfff7, %eax");
SNIPPET(str, "str %eax");
SNIPPET(sldt, "sldt %eax");
SNIPPET(sgdt, "sgdt -16(%rsp); movzwl -16(%rsp), %eax");
SNIPPET(sidt, "sidt -16(%rsp); movzwl -16(%rsp), %eax");
SNIPPET(lar_e033, "mov $0xe033, %ecx; lar %ecx, %eax");
SNIPPET(lar_e008, "mov $0xe008, %ecx; lar %ecx, %eax");
SNIPPET(lsl_e060, "mov $0xe060, %ecx; lsl %ecx, %eax");
SNIPPET(pushf, "pushfq; popq %rax");
SNIPPET(popf_if, "pushq $0x3002; popfq; pushfq; popq %rax; pushq $2; popfq");
SNIPPET(xgetbv, "xor %ecx, %ecx; xgetbv; and $1, %eax");
SNIPPET(xgetbv_5, "mov $5, %ecx; xgetbv");
SNIPPET(xsetbv_no, "xor %ecx, %ecx; xor %edx, %edx; mov $3, %eax; xsetbv");
SNIPPET(rdfsbase, "rdfsbase %rax");
SNIPPET(cpuid_prefixed, ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; mov $0x40000000, %eax; cpuid");
SNIPPET(cpuid_xen, "mov $0x40000000, %eax; .byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid; shl $32, %rbx; or %rbx, %rax");
SNIPPET(ts_and_fp, "clts; mov $5, %eax; mov $1, %edi; syscall; fnop");

static void privileged_one(const char *name, const u8 *code, const u8 *end, int mode) {
  struct probe p = probe_start(code, mode);
  p.rax = 0xa0;
  probe_run(&p);
  print("%s %s:", name, mode == MODE_USER ? "U" : "K");
  if (trap_is_done(end)) {
    print(" done");
    if (trap.rax != 0xa0) print(" rax %lx", trap.rax);
  } else if (trap.vector == 13 && trap.frame[2] == 0)
    print(" #GP(0) at +%lx", trap.frame[3] - (u64)code);
  else
    print_trap(code, end);
  print("\n");
}
#define PRIVILEGED(name) privileged_one(#name, snip_##name, snip_##name##_end, mode)

static void privileged(int mode) {
  PRIVILEGED(cli);
  PRIVILEGED(sti);
  PRIVILEGED(in_80);
  PRIVILEGED(out_80);
  PRIVILEGED(hlt);
  PRIVILEGED(invlpg);
  PRIVILEGED(lgdt);
  PRIVILEGED(lidt);
  PRIVILEGED(lldt);
  PRIVILEGED(ltr);
  PRIVILEGED(lmsw);
  PRIVILEGED(swapgs);
  PRIVILEGED(sysret);
  PRIVILEGED(clts);
  PRIVILEGED(read_cr0);
  PRIVILEGED(read_cr4);
  PRIVILEGED(read_cr8);
  shared_info->vcpu_info[0].cr2 = 0;
  if (mode == MODE_USER) PRIVILEGED(read_cr2);
  PRIVILEGED(write_cr0_same);
  PRIVILEGED(write_cr0_ts);
  PRIVILEGED(write_cr0_wp);
  PRIVILEGED(write_cr2);
  PRIVILEGED(write_cr4_all);
  PRIVILEGED(write_cr3_bad);
  PRIVILEGED(reload_cr3);
  PRIVILEGED(write_dr0);
  PRIVILEGED(write_dr0_hole);
  PRIVILEGED(read_dr7);
  PRIVILEGED(write_dr7_gd);
  PRIVILEGED(rdmsr_efer);
  PRIVILEGED(wrmsr_efer_same);
  PRIVILEGED(wrmsr_efer_other);
  PRIVILEGED(rdmsr_pat);
  PRIVILEGED(wrmsr_pat);
  PRIVILEGED(rdmsr_apicbase);
  PRIVILEGED(rdmsr_unknown);
  PRIVILEGED(wrmsr_unknown);
  PRIVILEGED(wrmsr_tsc);
  PRIVILEGED(wrmsr_gs_base);
  PRIVILEGED(wrmsr_gs_bad);
  PRIVILEGED(monitor);
  PRIVILEGED(mwait);
  PRIVILEGED(vmcall);
  PRIVILEGED(smsw);
  PRIVILEGED(str);
  PRIVILEGED(sldt);
  PRIVILEGED(sgdt);
  PRIVILEGED(sidt);
  PRIVILEGED(lar_e033);
  PRIVILEGED(lar_e008);
  PRIVILEGED(lsl_e060);
  PRIVILEGED(pushf);
  PRIVILEGED(popf_if);
  PRIVILEGED(xgetbv);
  PRIVILEGED(xgetbv_5);
  PRIVILEGED(xsetbv_no);
  PRIVILEGED(rdfsbase);
  PRIVILEGED(cpuid_prefixed);
  PRIVILEGED(cpuid_xen);
  if (mode == MODE_KERNEL) PRIVILEGED(ts_and_fp);
}

void guest_main(void) {
  probe_setup();
  print("-- exceptions\n");
  exceptions();
  print("-- flags\n");
  flags();
  print("-- system calls\n");
  system_calls();
  print("-- iret\n");
  irets();
  print("-- upcalls\n");
  upcalls();
  print("-- privileged, iopl 0\n");
  privileged(MODE_KERNEL);
  print("-- privileged, iopl 1\n");
  u32 iopl = 1;
  hypercall(physdev_op, 6, &iopl);
  privileged(MODE_KERNEL);
  print("-- privileged, user\n");
  privileged(MODE_USER);
  iopl = 3;
  hypercall(physdev_op, 6, &iopl);
  print("-- user with iopl 3\n");
  int mode = MODE_USER;
  PRIVILEGED(cli);
  PRIVILEGED(in_80);
  PRIVILEGED(pushf);
}
