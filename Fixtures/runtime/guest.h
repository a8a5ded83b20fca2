// What a test guest stands on: types, the hypervisor's structures as far as the guests use them, hypercalls, printing.
// Numbers and layouts are Xen's public interface (xen.h, arch-x86/xen-x86_64.h and their neighbours).
#pragma once
#ifndef __ASSEMBLER__
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#define VIRT_BASE 0xffffffff80000000

#define HYPERVISOR_set_trap_table 0
#define HYPERVISOR_mmu_update 1
#define HYPERVISOR_set_gdt 2
#define HYPERVISOR_stack_switch 3
#define HYPERVISOR_set_callbacks 4
#define HYPERVISOR_fpu_taskswitch 5
#define HYPERVISOR_set_debugreg 8
#define HYPERVISOR_get_debugreg 9
#define HYPERVISOR_update_descriptor 10
#define HYPERVISOR_memory_op 12
#define HYPERVISOR_multicall 13
#define HYPERVISOR_update_va_mapping 14
#define HYPERVISOR_set_timer_op 15
#define HYPERVISOR_xen_version 17
#define HYPERVISOR_console_io 18
#define HYPERVISOR_grant_table_op 20
#define HYPERVISOR_vm_assist 21
#define HYPERVISOR_iret 23
#define HYPERVISOR_vcpu_op 24
#define HYPERVISOR_set_segment_base 25
#define HYPERVISOR_mmuext_op 26
#define HYPERVISOR_nmi_op 28
#define HYPERVISOR_sched_op 29
#define HYPERVISOR_callback_op 30
#define HYPERVISOR_event_channel_op 32
#define HYPERVISOR_physdev_op 33

#define DOMID_SELF 0x7ff0

#ifndef __ASSEMBLER__
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

struct start_info {
  char magic[32];
  u64 nr_pages, shared_info;
  u32 flags, pad0;
  u64 store_mfn;
  u32 store_evtchn, pad1;
  u64 console_mfn;
  u32 console_evtchn, pad2;
  u64 pt_base, nr_pt_frames, mfn_list, mod_start, mod_len;
  char cmd_line[1024];
  u64 first_p2m_pfn, nr_p2m_frames;
};
_Static_assert(sizeof(struct start_info) == 0x490, "start_info");
#define SIF_PRIVILEGED 1
#define SIF_INITDOMAIN 2
#define SIF_MOD_START_PFN 8


struct vcpu_time_info {
  u32 version, pad0;
  u64 tsc_timestamp, system_time;
  u32 tsc_to_system_mul;
  int8_t tsc_shift;
  u8 flags, pad1[2];
};

struct vcpu_info {
  u8 evtchn_upcall_pending, evtchn_upcall_mask, pad[6];
  u64 evtchn_pending_sel, cr2, pad1;
  struct vcpu_time_info time;
};
_Static_assert(sizeof(struct vcpu_info) == 64, "vcpu_info");

struct shared_info {
  struct vcpu_info vcpu_info[32];
  u64 evtchn_pending[64], evtchn_mask[64];
  u32 wc_version, wc_sec, wc_nsec, wc_sec_hi;
  u64 max_pfn, pfn_to_mfn_frame_list_list, nmi_reason, p2m_cr3, p2m_vaddr, p2m_generation;
};
_Static_assert(offsetof(struct shared_info, wc_version) == 0xc00, "shared_info");

// What start.S found in the registers.
struct boot_registers {
  u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rflags;
};
extern struct boot_registers boot_registers;
extern struct start_info *start_info;

// --- Hypercalls: by the hypercall page, or by SYSCALL where the guest has none ---
extern u8 hypercall_page[];
static inline s64 hypercall5(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e) {
  register u64 r10 __asm__("r10") = d;
  register u64 r8 __asm__("r8") = e;
  u64 rax;
#ifdef HYPERCALL_PAGE
  rax = (u64)hypercall_page + nr * 32;
  __asm__ volatile("call *%%rax" : "+a"(rax), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : : "rcx", "r11", "memory", "cc");
#else
  rax = nr;
  __asm__ volatile("syscall" : "+a"(rax), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8) : : "rcx", "r11", "memory", "cc");
#endif
  return (s64)rax;
}
#define HC_PICK(_0, _1, _2, _3, _4, _5, name, ...) name
#define HC0(n) hypercall5(n, 0, 0, 0, 0, 0)
#define HC1(n, a) hypercall5(n, (u64)(a), 0, 0, 0, 0)
#define HC2(n, a, b) hypercall5(n, (u64)(a), (u64)(b), 0, 0, 0)
#define HC3(n, a, b, c) hypercall5(n, (u64)(a), (u64)(b), (u64)(c), 0, 0)
#define HC4(n, a, b, c, d) hypercall5(n, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0)
#define HC5(n, a, b, c, d, e) hypercall5(n, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e))
// hypercall(sched_op, 2, &reason): a hypercall by name.
#define hypercall(name, ...) HC_PICK(0, ##__VA_ARGS__, HC5, HC4, HC3, HC2, HC1, HC0)(HYPERVISOR_##name, ##__VA_ARGS__)

// --- Memory ---
// Machine to pseudo-physical; the initial mapping is VIRT_BASE + pseudo-physical address.
#define M2P ((volatile u64 *)0xffff800000000000)
static inline void *mfn_to_va(u64 mfn) { return (void *)(VIRT_BASE + (M2P[mfn] << 12)); }
static inline u64 va_to_pfn(const void *va) { return ((u64)va - VIRT_BASE) >> 12; }
static inline u64 pfn_to_mfn(u64 pfn) { return ((u64 *)start_info->mfn_list)[pfn]; }
static inline u64 va_to_mfn(const void *va) { return pfn_to_mfn(va_to_pfn(va)); }

// --- Text (print.c) ---
// Writes to the console ring, or to the emergency console in a domain that has none.
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void shut_down(u32 reason);
// The number after `name` ("count=") on the command line, or `otherwise`.
u64 option(const char *name, u64 otherwise);

void guest_main(void);
void *memset(void *to, int byte, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
#endif
