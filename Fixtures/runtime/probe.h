// Running a few instructions to see how they trap. See probe.c.
#pragma once
#include "guest.h"

#define MODE_KERNEL 0
#define MODE_USER 1
#define CALLBACK_ENTRY 256 // + callback type

// Registers to start a probe with, in the order that traps.S reads them. +0 rax … +120 r15 (rsp's place is unused).
struct probe {
  u64 rax, rcx, rdx, rbx, unused, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
  u64 rip, cs, rflags, rsp, ss, vgcf;
};
_Static_assert(offsetof(struct probe, rip) == 128 && offsetof(struct probe, vgcf) == 168, "probe");

// What an entry found, in the order that traps.S writes it.
struct trap {
  u64 vector, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rflags;
  u16 cs, ss, ds, es, fs, gs, pad[2];
  u64 frame[9];
};
_Static_assert(offsetof(struct trap, rflags) == 136 && offsetof(struct trap, frame) == 160, "trap");
extern struct trap trap;
extern u8 trap_entries[];
extern u8 probe_stack[8192], kernel_stack[8192];
#define PROBE_TOP ((u64)probe_stack + 8192)
#define KERNEL_TOP ((u64)kernel_stack + 8192)
extern volatile struct shared_info *shared_info;

struct trap_info {
  u8 vector, flags;
  u16 cs;
  u64 address;
};

// A run of instructions as a symbol `snip_NAME`; running past its end shows as "done".
#define SNIPPET(name, text)                                                                                            \
  extern const u8 snip_##name[], snip_##name##_end[];                                                                  \
  __asm__(".pushsection .text.snippets, \"ax\"\n.balign 64\nsnip_" #name ":\n" text "\nsnip_" #name                    \
          "_end:\nud2\n.popsection")

void map_shared_info(void);
// Maps shared_info, masks all event channels (the daemons may ring at any time), registers all traps and callbacks, the kernel stack and the user table (the same as the kernel's).
void probe_setup(void);
// The start of a probe in a mode: recognisable registers, the probe stack, interrupts on for the user and off for the kernel.
struct probe probe_start(const u8 *code, int mode);
void probe_run(const struct probe *p);
// Set while probes fail at the iret hypercall itself.
extern bool iret_fault;
// Runs and prints one line. `end` is where the snippet ends.
void probe_print(const char *name, const u8 *code, const u8 *end, int mode);
void probe_print_from(const char *name, const struct probe *p, const u8 *code, const u8 *end, int mode);
void print_trap(const u8 *code, const u8 *end);
bool trap_is_done(const u8 *end);
#define PROBE(name, mode) probe_print(#name, snip_##name, snip_##name##_end, mode)
// The gate of one vector: flags as in struct trap_info, address 0 for none.
void set_gate(u8 vector, u8 flags, bool present);
const char *error_name(s64 result);
// A page mapped read-only, one without a mapping.
extern u8 *read_only_page, *absent_page;
