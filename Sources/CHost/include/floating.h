// Floating-point operations of SSE, AVX, FMA and F16C as the host's own instructions; and AES and a few more for speed.
//
// The compiler may commute an addition (which changes the NaN that comes out), fold a constant or move it across a change
// of rounding mode. So on an x86-64 host every operation is the very instruction, in inline assembly, on copies of its
// operands; while guest code runs the host's MXCSR holds the guest's rounding, DAZ and FTZ bits and collects its flags.
// Other hosts have none of this: `pv_host_kernel` answers null there, and Swift's soft-float is taken.
#ifndef PARAVANE_FLOATING_H
#define PARAVANE_FLOATING_H

#include <string.h>

#include "vcpu.h"

#pragma clang assume_nonnull begin

/// Computes 16 bytes at `d` (or what the operation writes) from `a` and `b`; `d` may be `a` or `b`. FMA also reads `d`.
typedef void (*pv_kernel)(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu);

/// The host's instruction of that legacy name ("addps", "vfmadd132sd" ...), or null where this host has none.
pv_kernel _Nullable pv_host_kernel(const char *name);
/// CMPPS, CMPPD, CMPSS, CMPSD (`type` 0...3) with one of 32 predicates.
pv_kernel _Nullable pv_float_compare(unsigned type, unsigned predicate);
/// ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD (`type` 0...3) with immediate bits 3:0.
pv_kernel _Nullable pv_float_round(unsigned type, unsigned control);
/// DPPS (`type` 0), DPPD (1): immediate bits 7:4; the sum is in every lane, to be masked by bits 3:0.
pv_kernel _Nullable pv_float_dot(unsigned type, unsigned factors);
/// PCLMULQDQ with an immediate's bits 0 and 4.
pv_kernel _Nullable pv_carryless_product(unsigned halves);
/// VCVTPS2PH with immediate bits 2:0: 8 bytes at `d`, and 8 zero bytes.
pv_kernel _Nullable pv_float_half(unsigned control);

#if defined(__x86_64__)
typedef float pv_v4sf __attribute__((vector_size(16)));

static inline pv_v4sf pv_load16(const void *p) {
  pv_v4sf v;
  memcpy(&v, p, 16);
  return v;
}
static inline pv_v4sf pv_load8(const void *p) {
  pv_v4sf v = {0, 0, 0, 0};
  memcpy(&v, p, 8);
  return v;
}
static inline pv_v4sf pv_load4(const void *p) {
  pv_v4sf v = {0, 0, 0, 0};
  memcpy(&v, p, 4);
  return v;
}

// One kernel: the destination starts as `a`, the source has `width` bytes.
#define PV_SSE(name, width)                                                                            \
  static inline void ph_##name(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu) {    \
    pv_v4sf x = pv_load16(a), y = pv_load##width(b);                                                   \
    __asm__ volatile(#name " %1, %0" : "+x"(x) : "x"(y));                                              \
    memcpy(d, &x, 16);                                                                                 \
  }

PV_SSE(addps, 16) PV_SSE(addpd, 16) PV_SSE(addss, 4) PV_SSE(addsd, 8)
PV_SSE(subps, 16) PV_SSE(subpd, 16) PV_SSE(subss, 4) PV_SSE(subsd, 8)
PV_SSE(mulps, 16) PV_SSE(mulpd, 16) PV_SSE(mulss, 4) PV_SSE(mulsd, 8)
PV_SSE(divps, 16) PV_SSE(divpd, 16) PV_SSE(divss, 4) PV_SSE(divsd, 8)
PV_SSE(minps, 16) PV_SSE(minpd, 16) PV_SSE(minss, 4) PV_SSE(minsd, 8)
PV_SSE(maxps, 16) PV_SSE(maxpd, 16) PV_SSE(maxss, 4) PV_SSE(maxsd, 8)
PV_SSE(sqrtps, 16) PV_SSE(sqrtpd, 16) PV_SSE(sqrtss, 4) PV_SSE(sqrtsd, 8)
PV_SSE(cvtss2sd, 4) PV_SSE(cvtsd2ss, 8)

// Integer in a general register or memory (`b`), low element of `a` replaced.
#define PV_FROM_INTEGER(name, insn, type)                                                              \
  static inline void ph_##name(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu) {    \
    pv_v4sf x = pv_load16(a);                                                                          \
    type i;                                                                                            \
    memcpy(&i, b, sizeof i);                                                                           \
    __asm__ volatile(insn " %1, %0" : "+x"(x) : "r"(i));                                               \
    memcpy(d, &x, 16);                                                                                 \
  }
PV_FROM_INTEGER(cvtsi2ss32, "cvtsi2ssl", int32_t)
PV_FROM_INTEGER(cvtsi2ss64, "cvtsi2ssq", int64_t)
PV_FROM_INTEGER(cvtsi2sd32, "cvtsi2sdl", int32_t)
PV_FROM_INTEGER(cvtsi2sd64, "cvtsi2sdq", int64_t)

// To a general register at `d`, of which 64 bits are written.
#define PV_TO_INTEGER(name, insn, type, width)                                                         \
  static inline void ph_##name(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu) {    \
    pv_v4sf y = pv_load##width(b);                                                                     \
    type i;                                                                                            \
    __asm__ volatile(insn " %1, %0" : "=r"(i) : "x"(y));                                               \
    uint64_t wide = i;                                                                                 \
    memcpy(d, &wide, 8);                                                                               \
  }
PV_TO_INTEGER(cvtss2si32, "cvtss2si", uint32_t, 4)
PV_TO_INTEGER(cvtss2si64, "cvtss2si", uint64_t, 4)
PV_TO_INTEGER(cvttss2si32, "cvttss2si", uint32_t, 4)
PV_TO_INTEGER(cvttss2si64, "cvttss2si", uint64_t, 4)
PV_TO_INTEGER(cvtsd2si32, "cvtsd2si", uint32_t, 8)
PV_TO_INTEGER(cvtsd2si64, "cvtsd2si", uint64_t, 8)
PV_TO_INTEGER(cvttsd2si32, "cvttsd2si", uint32_t, 8)
PV_TO_INTEGER(cvttsd2si64, "cvttsd2si", uint64_t, 8)

// ZF, PF and CF as in RFLAGS (0x40, 4, 1).
#define PV_ORDER(name, width)                                                                          \
  static inline uint64_t ph_##name(const void *a, const void *b) {                                     \
    pv_v4sf x = pv_load##width(a), y = pv_load##width(b);                                              \
    uint8_t zero, parity, carry;                                                                       \
    __asm__ volatile(#name " %4, %3" : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry) : "x"(x), "x"(y)); \
    return (uint64_t)zero << 6 | (uint64_t)parity << 2 | carry;                                        \
  }
PV_ORDER(comiss, 4) PV_ORDER(comisd, 8) PV_ORDER(ucomiss, 4) PV_ORDER(ucomisd, 8)

static inline uint32_t ph_get_mxcsr(void) {
  uint32_t v;
  __asm__ volatile("stmxcsr %0" : "=m"(v));
  return v;
}
static inline void ph_set_mxcsr(uint32_t v) { __asm__ volatile("ldmxcsr %0" : : "m"(v)); }
#endif

#pragma clang assume_nonnull end
#endif
