// The virtual CPU's register file, its software TLB and a decoded operation, as plain memory.
//
// These are C so that their layout is fixed: handlers name registers by byte offset into `pv_vcpu`, a handler's type
// names itself, and the translator addresses the same fields from host code. All that these have of behaviour is the TLB's look-up.
#ifndef PARAVANE_VCPU_H
#define PARAVANE_VCPU_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct pv_vcpu pv_vcpu;
typedef struct pv_op pv_op;
typedef struct pv_block pv_block;

/// Executes one operation. Returns the operation to go on with (normally by calling the next one's handler in tail
/// position, and at a block's end the first operation of the next block), or null to leave to the run loop.
typedef pv_op *_Nullable (*pv_handler)(pv_vcpu *cpu, pv_op *op);

/// pv_op.flags
enum {
  PV_OP_ADDRESS32 = 1,      // the effective address is truncated to 32 bits before the segment base is added
  PV_OP_STACK_SEGMENT = 2,  // a non-canonical address raises #SS, not #GP
  PV_OP_ENDS_BLOCK = 4,     // nothing after this operation belongs to its block
  PV_OP_ADDRESS16 = 8,      // the effective address is truncated to 16 bits
  PV_OP_LOCK = 16,
  PV_OP_REP = 32,           // F3
  PV_OP_REPNE = 64,         // F2
  PV_OP_CODE64 = 128,       // decoded in 64-bit mode (else compatibility mode)
  PV_OP_FUSED = 256,        // runs the conditional branch behind it too; its own handler is in `data`
  PV_OP_FUSIBLE = 512,      // a comparison that can be; `src3` is its kind
  PV_OP_CONDITIONAL = 1024, // a conditional branch, condition code in `extra`
  PV_OP_SEGMENTED = 2048,   // decoded for PV_MODE_SEGMENTED
};

/// One decoded guest instruction (64 bytes).
struct pv_op {
  pv_handler handler;
  int64_t imm;      // immediate; for relative branches the target's distance from the block's first byte
  int64_t disp;     // displacement; for RIP-relative operands relative to the block's first byte
  uint16_t dst;     // byte offset in pv_vcpu of operand 0's register
  uint16_t src;     // ... of operand 1's register
  uint16_t src2;    // ... of operand 2's register
  uint16_t src3;    // ... of operand 3's register
  uint16_t base;    // byte offset in pv_vcpu of the base (`zero` if none, `block_rip` if RIP-relative)
  uint16_t index;   // ... of the index (`zero` if none)
  uint16_t segbase; // ... of the segment base to add (`zero` if flat)
  uint8_t scale;    // shift count of the index
  uint8_t length;   // bytes
  uint16_t offset;  // of this instruction's first byte from the block's first byte
  uint16_t ordinal; // of this operation in its block
  uint16_t flags;   // PV_OP_*
  uint8_t size;     // operand size in bytes
  uint8_t extra;    // handler's own: vector length, condition, ...
  pv_block *_Nullable link0; // taken branch's block, once known
  union {
    pv_block *_Nullable link1; // fall-through's block, once known
    uint64_t data;             // handler's own
  };
};

/// A run of decoded operations within one physical page, entered only at its first.
struct pv_block {
  uint64_t key;          // machine address of the first byte | mode << 56
  pv_block *_Nullable next; // in its hash bucket
  pv_block *_Nullable next_in_page;
  pv_op *ops;
  uint32_t count;        // operations, and cycles, in it
  uint32_t bytes;
  uint32_t valid;
  uint32_t entries;      // times the run loop found it, until it is translated
  void *_Nullable code;  // host code of it, if it is translated
  uint64_t looked;       // bytes that decoding looked at: an undefined instruction's may be more than its length
};

/// What fed a data translation.
typedef struct pv_tlb_source {
  uint32_t table; // frame of the page table whose entry was used
  uint32_t frame; // machine frame
} pv_tlb_source;

typedef struct pv_fetch_entry {
  uint64_t tag;
  uint32_t table;
  uint32_t frame;
} pv_fetch_entry;

/// Where a computed jump's target is translated: linear address and host code. A target is in one of its two slots; an empty slot's
/// address belongs in others.
typedef struct pv_jump_entry {
  uint64_t rip;
  void *_Nullable code;
} pv_jump_entry;

enum { PV_TLB_SIZE = 32768, PV_FETCH_SIZE = 4096, PV_JUMP_SIZE = 16384 };

/// One set of translations. Two direct-mapped tables for data, of pages that may be read and that may be written without looking: a
/// copy's two sides never share a slot. A tag is a linear page address, an addend host address minus linear address. Zeroed memory is
/// an empty set, but for slot 0's tags, which must not be 0.
typedef struct pv_tlb {
  uint64_t read_tag[PV_TLB_SIZE];
  uint64_t read_addend[PV_TLB_SIZE];
  uint64_t read_host[PV_TLB_SIZE];  // the page's host address
  uint64_t write_tag[PV_TLB_SIZE];
  uint64_t write_addend[PV_TLB_SIZE];
  uint64_t write_host[PV_TLB_SIZE];
  pv_tlb_source read_source[PV_TLB_SIZE];
  pv_tlb_source write_source[PV_TLB_SIZE];
  pv_fetch_entry fetch[PV_FETCH_SIZE];
  pv_jump_entry jump[PV_JUMP_SIZE];
} pv_tlb;

typedef struct pv_segment {
  uint64_t base;
  uint32_t limit;      // in bytes, expanded
  uint16_t selector;
  uint16_t attributes; // type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11
} pv_segment;

/// pv_vcpu.exit: why the run loop was left (a handler that returns null sets one of these)
enum {
  PV_EXIT_NONE = 0,      // go on at `rip`
  PV_EXIT_DEADLINE = 1,
  PV_EXIT_EXCEPTION = 2, // `vector`, `error_code`, `cr2`; rip is the instruction's (fault) or the next one's (trap)
  PV_EXIT_SYSCALL = 3,   // rip is the next instruction's; rcx, r11 are not yet changed
  PV_EXIT_SYSENTER = 4,
  PV_EXIT_INTERRUPT = 5, // INT n (`vector`); rip is the instruction's, next_rip the next one's
  PV_EXIT_STOP = 6,      // asked from outside
  PV_EXIT_HALT = 7,
};

/// pv_vcpu.mode: how code is decoded and lowered. All bits together choose a block.
enum {
  PV_MODE_CODE = 3,      // 0: 64-bit code, 1: 32-bit, 2: 16-bit
  // The two below are never set in 64-bit code; elsewhere than where `architectural` is, only the second, for code with a base, 16-bit
  // code and 16-bit stacks.
  PV_MODE_FSGS = 4,      // accesses through FS and GS are checked against the segment
  PV_MODE_SEGMENTED = 8, // every access is: some segment is not flat, or the stack is a 16-bit one
};

/// pv_vcpu.vector_ready: what SSE and AVX operations may take for granted. Clear means: look (VectorState.swift).
enum {
  PV_VECTOR_SSE = 1,    // CR0.EM, CR0.TS clear and CR4.OSFXSR set
  PV_VECTOR_AVX = 2,    // CR0.TS clear, CR4.OSXSAVE set, XCR0 has SSE and AVX
  PV_VECTOR_MASKED = 4, // MXCSR masks every exception
  // Only while translated code runs: the host's XMM and YMM registers are the guest's, `ymm` is stale.
  PV_VECTOR_LIVE = 8,
  PV_VECTOR_LIVE_AVX = 16, // ... and AVX is ready
  PV_VECTOR_X87 = 32,   // `x87_live` is 1, and CR0.EM and CR0.TS clear
  PV_VECTOR_X87_NAN = 64, // `x87_live` is 2, and CR0.EM and CR0.TS clear
};

/// `x87_known`: what a register holds, and what is known besides.
enum {
  PV_X87_KIND_OTHER = 0,
  PV_X87_KIND_INDEFINITE = 1, // the NaN that the unit makes itself: negative, quiet, nothing else in it
  PV_X87_KIND_NUMBER = 2,     // normal, zero or infinite
  PV_X87_KIND_EMPTY = 3,
  PV_X87_KNOWN_INVALID = 1 << 16, // the invalid flag is set
  PV_X87_KNOWN_C1 = 1 << 17,      // C1 is clear
  PV_X87_KNOWN = 1 << 30,
};

/// pv_vcpu.interrupt_shadow
enum {
  PV_SHADOW_STI = 1,
  PV_SHADOW_STACK = 2, // MOV SS, POP SS: holds off #DB traps too
};

/// pv_vcpu.debug_armed: what DR7 watches
enum { PV_DEBUG_CODE = 1, PV_DEBUG_DATA = 2, PV_DEBUG_PORT = 4 };

/// pv_vcpu.debugging
enum {
  PV_DEBUGGING_ARMED = 1, // DR7 watches something: instructions run one at a time
  PV_DEBUGGING_TASK = 2,  // a task switch to a task with its T bit set: #DB before its first instruction
};

/// Indices of pv_vcpu.seg, in encoding order.
enum { PV_ES, PV_CS, PV_SS, PV_DS, PV_FS, PV_GS };

struct pv_vcpu {
  uint64_t gpr[16];      // rax rcx rdx rbx rsp rbp rsi rdi r8...r15
  uint64_t zero;         // always 0: the base or index that is not there
  uint64_t block_rip;    // linear address of the current block's first byte
  // Arithmetic flags in lazy form (Processor/Flags.swift): ZF, SF, PF from `lazy_result`, CF, OF, AF from `lazy_aux`.
  uint64_t lazy_result;
  uint64_t lazy_aux;
  uint64_t rflags;       // every bit but CF PF AF ZF SF OF, which are 0 here
  int64_t budget;        // cycles left until `deadline`
  uint64_t deadline;     // cycle
  void *tlb;             // the pv_tlb of the current address space and privilege
  pv_block *_Nullable block;
  pv_block *_Nullable *_Nonnull block_table; // heads of the hash buckets of decoded blocks
  uint64_t block_mask;
  uint64_t rip;          // linear; exact only outside a block
  uint64_t next_rip;
  uint64_t extra_cycles; // cycles that were no instruction of their own: `rep` iterations, idle time
  // The translator's (Translator/Runtime.swift). Its code runs with the host's stack pointer at this structure.
  uint64_t page_rip;     // linear address of the page that is running
  uint64_t host_stack;
  uint64_t flags_a, flags_b; // operands of the last flag setter, by `flags_kind`
  uint64_t flags_carry;  // see NativeFlags.carryBeside
  uint64_t flags_result; // see NativeFlags.addWithCarry
  uint64_t carry_byte;   // CF of the last ADC or SBB of translated code
  uint32_t flags_kind;   // NativeFlags; 0: the lazy pair above is current
  uint32_t link_slot;    // offset in the code buffer of the jump that wants linking, 0 none
  uint64_t flags_image;  // RFLAGS for translated code to pick up
  uint64_t native_scratch;
  uint64_t native_set;   // the set that the host's GS base points at
  uint64_t page_bits;    // the bits of a linear address that choose a data slot
  uint64_t native_slot_bit;
  uint32_t native_enabled; // blocks leave to the run loop instead of chaining
  uint32_t native_site_end; // operations of the running fallback, 0 outside one
  uint32_t exit;         // PV_EXIT_*
  uint32_t vector;
  uint32_t error_code;
  uint32_t has_error_code;
  pv_op *_Nullable fault_op; // the operation that raised
  uint64_t cr0, cr2, cr3, cr4, cr8, xcr0, efer;
  uint64_t dr[8];
  pv_segment seg[6];
  pv_segment ldt, tr, gdt, idt; // base and limit are what matters
  uint64_t kernel_gs_base, star, lstar, cstar, sfmask, sysenter_cs, sysenter_esp, sysenter_eip, tsc_aux;
  uint32_t cpl;
  uint32_t mode;         // PV_MODE_*
  // Four bytes that the run loop looks at together (PV_AT_ATTENTION): all 0, and nothing but code is wanted of it.
  uint8_t interrupt_shadow; // PV_SHADOW_*: no interrupt before the instruction after the next
  uint8_t interrupt_requested;
  uint8_t nonmaskable_requested;
  uint8_t debugging;        // PV_DEBUGGING_*
  uint32_t single_step;  // run one instruction, then #DB: TF was set before it
  uint32_t mxcsr;
  uint32_t x87_control_status; // FCW | FSW << 16, TOP kept in `x87_top`
  uint32_t x87_top;
  uint32_t x87_tags;     // bit n set: physical register n is in use
  uint32_t vector_ready; // PV_VECTOR_*; 0 it after any change of CR0, CR4, XCR0 or MXCSR
  // Not 0: the host's x87 unit has the guest's state, every exception masked; `x87` and its three words above are stale. 2: translated code
  // is to take its paths for NaNs.
  uint32_t x87_live;
  uint32_t x87_nan_paths; // what chooses 2: 0 nothing, 1 a register with a NaN, 2 always
  // PV_X87_KNOWN and what the host's unit is known to hold, while no x87 instruction has run since that was found out; else 0. Two bits
  // for each of ST(0) to ST(7), PV_X87_KIND_*, and above them flags of the status word.
  uint32_t x87_known;
  uint64_t x87_ip, x87_dp;
  uint16_t x87_opcode, x87_cs, x87_ds;
  uint16_t debug_armed;  // PV_DEBUG_*
  uint64_t cpuid_faulting;
  uint64_t random;       // state of RDRAND and RDSEED, from the seed
  // A store to a read-only page is offered here before it faults (writable page tables). Returns 1 if it was done, 0 to
  // fault. `probe` 1 asks whether such a store may be tried; `size` is 1, 2, 4 or 8.
  int32_t (*_Nullable page_table_write)(void *_Nullable context, pv_vcpu *cpu, uint64_t linear, uint64_t machine_address,
                                        uint32_t size, uint64_t value, int32_t probe);
  void *_Nullable page_table_context;
  void *_Nullable owner; // the VCPU object
  // Where the guest's page tables are its own (PageWalk+Machine.swift).
  uint32_t own_paging;     // every paging mode, and the walker keeps watch over the tables it used
  uint32_t physical_bits;  // MAXPHYADDR
  uint64_t address_lines;  // what reaches the memory of a physical address: all of it, or all but bit 20
  uint32_t paging_state;   // what the translations kept rest on, of CR0, CR4 and EFER
  uint32_t stop_asked;     // VCPU.stopAfterInstruction
  pv_op *_Nullable stop_op; // its handler was `stop_handler`
  pv_handler _Nullable stop_handler;
  // x87 registers by physical number, 16 bytes each of which 10 are used; MMX aliases the low 8.
  uint64_t x87[8][2] __attribute__((aligned(16)));
  // YMM registers, low lane first. XMM is the low 16 bytes.
  uint64_t ymm[16][4] __attribute__((aligned(16)));
  uint64_t scratch[8] __attribute__((aligned(16))); // a memory operand's bytes, where a register's address is wanted
  uint64_t tsc_offset;      // of the time-stamp counter from the cycles
  // Only where the processor stands for itself.
  uint32_t architectural;   // exceptions, INT n, SYSCALL and SYSENTER are carried out here, not given to the platform
  uint32_t nonmaskable_blocked; // until the next IRET
  uint32_t debug_hits;      // DR6 bits of the breakpoints that the running instruction has touched
};

/// Where handlers find what they name by byte offset.
enum {
  PV_AT_ZERO = offsetof(struct pv_vcpu, zero),
  PV_AT_BLOCK_RIP = offsetof(struct pv_vcpu, block_rip),
  PV_AT_SEGMENTS = offsetof(struct pv_vcpu, seg),
  PV_AT_X87 = offsetof(struct pv_vcpu, x87),
  PV_AT_YMM = offsetof(struct pv_vcpu, ymm),
  PV_AT_SCRATCH = offsetof(struct pv_vcpu, scratch),
  PV_AT_ATTENTION = offsetof(struct pv_vcpu, interrupt_shadow),
};

enum {
  PV_TLB_READ_TAG = offsetof(struct pv_tlb, read_tag),
  PV_TLB_READ_ADDEND = offsetof(struct pv_tlb, read_addend),
  PV_TLB_READ_HOST = offsetof(struct pv_tlb, read_host),
  PV_TLB_WRITE_HOST = offsetof(struct pv_tlb, write_host),
  PV_TLB_WRITE_TAG = offsetof(struct pv_tlb, write_tag),
  PV_TLB_WRITE_ADDEND = offsetof(struct pv_tlb, write_addend),
  PV_TLB_READ_SOURCE = offsetof(struct pv_tlb, read_source),
  PV_TLB_WRITE_SOURCE = offsetof(struct pv_tlb, write_source),
  PV_TLB_FETCH = offsetof(struct pv_tlb, fetch),
  PV_TLB_JUMP = offsetof(struct pv_tlb, jump),
  PV_TLB_BYTES = sizeof(struct pv_tlb),
};

/// The data slot of a linear address: 14 bits of its page's number, and bit 40, which tells apart the areas that a 64-bit kernel lays
/// out at great powers of two and walks side by side.
static inline uint64_t pv_tlb_slot(uint64_t linear) { return (linear >> 12 & 0x3FFF) | (linear >> 26 & 0x4000); }
static const uint64_t pv_tlb_slot_bits = (uint64_t)0x3FFF << 12 | (uint64_t)1 << 40;

/// Host address of `count` bytes of the guest's that the current set has in one page, to read or to write without looking; else null.
static inline void *_Nullable pv_readable(const pv_vcpu *cpu, uint64_t linear, uint64_t count) {
  const pv_tlb *t = cpu->tlb;
  uint64_t slot = pv_tlb_slot(linear);
  return linear - t->read_tag[slot] <= 4096 - count ? (void *)(uintptr_t)(linear + t->read_addend[slot]) : NULL;
}
static inline void *_Nullable pv_writable(const pv_vcpu *cpu, uint64_t linear, uint64_t count) {
  const pv_tlb *t = cpu->tlb;
  uint64_t slot = pv_tlb_slot(linear);
  return linear - t->write_tag[slot] <= 4096 - count ? (void *)(uintptr_t)(linear + t->write_addend[slot]) : NULL;
}

#pragma clang assume_nonnull end
#endif
