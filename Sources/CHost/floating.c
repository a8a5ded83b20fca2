#include "floating.h"

#include "CHost.h"

// The kernels that are called through a pointer only, and the tables by which Swift finds all of them.

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

#define KERNEL(name) static void ph_##name(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu)

PV_SSE(haddps, 16) PV_SSE(haddpd, 16) PV_SSE(hsubps, 16) PV_SSE(hsubpd, 16) PV_SSE(addsubps, 16) PV_SSE(addsubpd, 16)
PV_SSE(cvtdq2ps, 16) PV_SSE(cvtps2dq, 16) PV_SSE(cvttps2dq, 16)
PV_SSE(cvtdq2pd, 8) PV_SSE(cvtps2pd, 8)
PV_SSE(cvtpd2ps, 16) PV_SSE(cvtpd2dq, 16) PV_SSE(cvttpd2dq, 16)

// Integer operations whose portable forms are far slower.
PV_SSE(packsswb, 16) PV_SSE(packssdw, 16) PV_SSE(packuswb, 16)
PV_SSE(packusdw, 16) PV_SSE(pshufb, 16) PV_SSE(pmaddubsw, 16)
PV_SSE(aesenc, 16) PV_SSE(aesenclast, 16) PV_SSE(aesdec, 16) PV_SSE(aesdeclast, 16)

// Host extensions that a kernel stands on, beyond SSE3.
enum { SSE41 = 1, AVX = 2, FMA = 4, F16C = 8, SSSE3 = 16, AES = 32, PCLMULQDQ = 64 };

static unsigned host_features(void) {
  static unsigned known;
  if (known) return known;
  unsigned eax, ebx, ecx = 0, edx, found = 0x100;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  if (ecx & 1u << 19) found |= SSE41;
  if (ecx & 1u << 9) found |= SSSE3;
  if (ecx & 1u << 25) found |= AES;
  if (ecx & 1u << 1) found |= PCLMULQDQ;
  if (ecx & 1u << 27 && ecx & 1u << 28) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) == 6) {
      found |= AVX;
      if (ecx & 1u << 12) found |= FMA;
      if (ecx & 1u << 29) found |= F16C;
    }
  }
  return known = found;
}

#define FUSED(name, width)                                                     \
  KERNEL(name) {                                                               \
    pv_v4sf x = pv_load16(d), y = pv_load16(a), z = pv_load##width(b);         \
    __asm__ volatile(#name " %2, %1, %0" : "+x"(x) : "x"(y), "x"(z));          \
    memcpy(d, &x, 16);                                                         \
  }
#define FUSED_PACKED(op) \
  FUSED(op##132ps, 16) FUSED(op##213ps, 16) FUSED(op##231ps, 16) FUSED(op##132pd, 16) FUSED(op##213pd, 16) FUSED(op##231pd, 16)
#define FUSED_SCALAR(op) \
  FUSED(op##132ss, 4) FUSED(op##213ss, 4) FUSED(op##231ss, 4) FUSED(op##132sd, 8) FUSED(op##213sd, 8) FUSED(op##231sd, 8)
FUSED_PACKED(vfmadd) FUSED_PACKED(vfmsub) FUSED_PACKED(vfnmadd) FUSED_PACKED(vfnmsub)
FUSED_PACKED(vfmaddsub) FUSED_PACKED(vfmsubadd)
FUSED_SCALAR(vfmadd) FUSED_SCALAR(vfmsub) FUSED_SCALAR(vfnmadd) FUSED_SCALAR(vfnmsub)

KERNEL(cvtph2ps) {
  pv_v4sf y = pv_load8(b), x;
  __asm__ volatile("vcvtph2ps %1, %0" : "=x"(x) : "x"(y));
  memcpy(d, &x, 16);
}

struct entry {
  const char *name;
  pv_kernel kernel;
  unsigned needs;
};
#define ENTRY(name) {#name, ph_##name, 0},
#define ENTRY_FMA(name) {#name, ph_##name, FMA},
#define FOUR(op) ENTRY(op##ps) ENTRY(op##pd) ENTRY(op##ss) ENTRY(op##sd)
#define ENTRY_PACKED(op) \
  ENTRY_FMA(op##132ps) ENTRY_FMA(op##213ps) ENTRY_FMA(op##231ps) ENTRY_FMA(op##132pd) ENTRY_FMA(op##213pd) ENTRY_FMA(op##231pd)
#define ENTRY_SCALAR(op) \
  ENTRY_FMA(op##132ss) ENTRY_FMA(op##213ss) ENTRY_FMA(op##231ss) ENTRY_FMA(op##132sd) ENTRY_FMA(op##213sd) ENTRY_FMA(op##231sd)
static const struct entry entries[] = {
  FOUR(add) FOUR(sub) FOUR(mul) FOUR(div) FOUR(min) FOUR(max) FOUR(sqrt)
  ENTRY(haddps) ENTRY(haddpd) ENTRY(hsubps) ENTRY(hsubpd) ENTRY(addsubps) ENTRY(addsubpd)
  ENTRY(cvtdq2ps) ENTRY(cvtps2dq) ENTRY(cvttps2dq) ENTRY(cvtdq2pd) ENTRY(cvtps2pd)
  ENTRY(cvtpd2ps) ENTRY(cvtpd2dq) ENTRY(cvttpd2dq) ENTRY(cvtss2sd) ENTRY(cvtsd2ss)
  ENTRY(cvtsi2ss32) ENTRY(cvtsi2ss64) ENTRY(cvtsi2sd32) ENTRY(cvtsi2sd64)
  ENTRY(cvtss2si32) ENTRY(cvtss2si64) ENTRY(cvttss2si32) ENTRY(cvttss2si64)
  ENTRY(cvtsd2si32) ENTRY(cvtsd2si64) ENTRY(cvttsd2si32) ENTRY(cvttsd2si64)
  ENTRY_PACKED(vfmadd) ENTRY_PACKED(vfmsub) ENTRY_PACKED(vfnmadd) ENTRY_PACKED(vfnmsub)
  ENTRY_PACKED(vfmaddsub) ENTRY_PACKED(vfmsubadd)
  ENTRY_SCALAR(vfmadd) ENTRY_SCALAR(vfmsub) ENTRY_SCALAR(vfnmadd) ENTRY_SCALAR(vfnmsub)
  {"cvtph2ps", ph_cvtph2ps, F16C},
  ENTRY(packsswb) ENTRY(packssdw) ENTRY(packuswb) {"packusdw", ph_packusdw, SSE41},
  {"pshufb", ph_pshufb, SSSE3}, {"pmaddubsw", ph_pmaddubsw, SSSE3},
  {"aesenc", ph_aesenc, AES}, {"aesenclast", ph_aesenclast, AES},
  {"aesdec", ph_aesdec, AES}, {"aesdeclast", ph_aesdeclast, AES},
};

pv_kernel pv_host_kernel(const char *name) {
  for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
    if (strcmp(entries[i].name, name) == 0) return entries[i].needs & ~host_features() ? NULL : entries[i].kernel;
  }
  return NULL;
}

// An instruction with an immediate needs one kernel for each of its values.
#define IMMEDIATE(insn, prefix, width, n)                                                  \
  static void prefix##n(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu) { \
    pv_v4sf x = pv_load16(a), y = pv_load##width(b);                                       \
    __asm__ volatile(insn " $" #n ", %1, %0" : "+x"(x) : "x"(y));                          \
    memcpy(d, &x, 16);                                                                     \
  }
#define IMMEDIATE_AVX(insn, prefix, width, n)                                              \
  static void prefix##n(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu) { \
    pv_v4sf x = pv_load16(a), y = pv_load##width(b);                                       \
    __asm__ volatile(insn " $" #n ", %1, %0, %0" : "+x"(x) : "x"(y));                      \
    memcpy(d, &x, 16);                                                                     \
  }
#define EIGHT(M, i, p, w, a, b, c, e, f, g, h, k) \
  M(i, p, w, a) M(i, p, w, b) M(i, p, w, c) M(i, p, w, e) M(i, p, w, f) M(i, p, w, g) M(i, p, w, h) M(i, p, w, k)
#define FIRST8(M, i, p, w) EIGHT(M, i, p, w, 0, 1, 2, 3, 4, 5, 6, 7)
#define SECOND8(M, i, p, w) EIGHT(M, i, p, w, 8, 9, 10, 11, 12, 13, 14, 15)
#define THIRD8(M, i, p, w) EIGHT(M, i, p, w, 16, 17, 18, 19, 20, 21, 22, 23)
#define FOURTH8(M, i, p, w) EIGHT(M, i, p, w, 24, 25, 26, 27, 28, 29, 30, 31)
#define COMPARES(t, w)                      \
  FIRST8(IMMEDIATE, "cmp" #t, cmp_##t, w)   \
  SECOND8(IMMEDIATE_AVX, "vcmp" #t, cmp_##t, w) \
  THIRD8(IMMEDIATE_AVX, "vcmp" #t, cmp_##t, w)  \
  FOURTH8(IMMEDIATE_AVX, "vcmp" #t, cmp_##t, w)
COMPARES(ps, 16) COMPARES(pd, 16) COMPARES(ss, 4) COMPARES(sd, 8)
#define ROUNDS(t, w) FIRST8(IMMEDIATE, "round" #t, round_##t, w) SECOND8(IMMEDIATE, "round" #t, round_##t, w)
ROUNDS(ps, 16) ROUNDS(pd, 16) ROUNDS(ss, 4) ROUNDS(sd, 8)

#define NAMES8(p) p##0, p##1, p##2, p##3, p##4, p##5, p##6, p##7
#define NAMES16(p) NAMES8(p), p##8, p##9, p##10, p##11, p##12, p##13, p##14, p##15
#define NAMES32(p)                                                                                               \
  NAMES16(p), p##16, p##17, p##18, p##19, p##20, p##21, p##22, p##23, p##24, p##25, p##26, p##27, p##28, p##29, \
    p##30, p##31

pv_kernel pv_float_compare(unsigned type, unsigned predicate) {
  static const pv_kernel table[4][32] = {{NAMES32(cmp_ps)}, {NAMES32(cmp_pd)}, {NAMES32(cmp_ss)}, {NAMES32(cmp_sd)}};
  if (type > 3 || predicate > 31 || (predicate > 7 && !(host_features() & AVX))) return NULL;
  return table[type][predicate];
}

pv_kernel pv_float_round(unsigned type, unsigned control) {
  static const pv_kernel table[4][16] = {{NAMES16(round_ps)}, {NAMES16(round_pd)}, {NAMES16(round_ss)}, {NAMES16(round_sd)}};
  return type > 3 || control > 15 || !(host_features() & SSE41) ? NULL : table[type][control];
}

// The factors are immediate bits 7:4; every lane takes the sum.
#define DOT(insn, prefix, width, n) IMMEDIATE(insn, prefix, width, n)
#define DOTS(i, p) \
  DOT(i, p, 16, 0x0f) DOT(i, p, 16, 0x1f) DOT(i, p, 16, 0x2f) DOT(i, p, 16, 0x3f) DOT(i, p, 16, 0x4f) DOT(i, p, 16, 0x5f) \
  DOT(i, p, 16, 0x6f) DOT(i, p, 16, 0x7f) DOT(i, p, 16, 0x8f) DOT(i, p, 16, 0x9f) DOT(i, p, 16, 0xaf) DOT(i, p, 16, 0xbf) \
  DOT(i, p, 16, 0xcf) DOT(i, p, 16, 0xdf) DOT(i, p, 16, 0xef) DOT(i, p, 16, 0xff)
DOTS("dpps", dot_ps_) DOTS("dppd", dot_pd_)
#define DOT_NAMES(p)                                                                                             \
  p##0x0f, p##0x1f, p##0x2f, p##0x3f, p##0x4f, p##0x5f, p##0x6f, p##0x7f, p##0x8f, p##0x9f, p##0xaf, p##0xbf, p##0xcf, \
    p##0xdf, p##0xef, p##0xff

pv_kernel pv_float_dot(unsigned type, unsigned factors) {
  static const pv_kernel table[2][16] = {{DOT_NAMES(dot_ps_)}, {DOT_NAMES(dot_pd_)}};
  return type > 1 || factors > 15 || !(host_features() & SSE41) ? NULL : table[type][factors];
}

IMMEDIATE("pclmulqdq", product_, 16, 0x00) IMMEDIATE("pclmulqdq", product_, 16, 0x01)
IMMEDIATE("pclmulqdq", product_, 16, 0x10) IMMEDIATE("pclmulqdq", product_, 16, 0x11)

pv_kernel pv_carryless_product(unsigned halves) {
  static const pv_kernel table[4] = {product_0x00, product_0x01, product_0x10, product_0x11};
  return host_features() & PCLMULQDQ ? table[(halves & 1) | (halves >> 3 & 2)] : NULL;
}

#define HALF(n)                                                                              \
  static void half_##n(void *d, const void *a, const void *b, uint64_t imm, pv_vcpu *cpu) {  \
    pv_v4sf x, y = pv_load16(b);                                                             \
    __asm__ volatile("vcvtps2ph $" #n ", %1, %0" : "=x"(x) : "x"(y));                        \
    memcpy(d, &x, 16);                                                                       \
  }
HALF(0) HALF(1) HALF(2) HALF(3) HALF(4) HALF(5) HALF(6) HALF(7)

pv_kernel pv_float_half(unsigned control) {
  static const pv_kernel table[8] = {NAMES8(half_)};
  return control > 7 || !(host_features() & F16C) ? NULL : table[control];
}

#else

pv_kernel pv_host_kernel(const char *name) { return NULL; }
pv_kernel pv_float_compare(unsigned type, unsigned predicate) { return NULL; }
pv_kernel pv_float_round(unsigned type, unsigned control) { return NULL; }
pv_kernel pv_float_dot(unsigned type, unsigned factors) { return NULL; }
pv_kernel pv_float_half(unsigned control) { return NULL; }
pv_kernel pv_carryless_product(unsigned halves) { return NULL; }

#endif

#if defined(__x86_64__)
uint32_t ph_vector_features(void) {
  unsigned eax, ebx, ecx = 0, edx;
  uint32_t found = 0;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
  unsigned extended = 0, ignored;
  __get_cpuid_count(7, 0, &ignored, &extended, &ignored, &ignored);
  if (ecx & 1u) found |= PH_VECTOR_SSE3;
  if (ecx & 1u << 9) found |= PH_VECTOR_SSSE3;
  if (ecx & 1u << 19) found |= PH_VECTOR_SSE41;
  if (ecx & 1u << 20) found |= PH_VECTOR_SSE42;
  if (ecx & 1u << 25) found |= PH_VECTOR_AES;
  if (ecx & 1u << 1) found |= PH_VECTOR_PCLMULQDQ;
  if (extended & 1u << 29) found |= PH_VECTOR_SHA;
  if (host_features() & AVX && extended & 1u << 5) {
    found |= PH_VECTOR_AVX2;
    if (ecx & 1u << 12) found |= PH_VECTOR_FMA;
    if (ecx & 1u << 29) found |= PH_VECTOR_F16C;
  }
  return found;
}

uint32_t ph_code_features(void) {
  unsigned eax, ebx, ecx, edx, extended = 0, ignored;
  uint32_t found = 0;
  if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx)) return 0;
  int amd = ebx == 0x68747541 || ebx == 0x6f677948; // "Auth", "Hygo": microcode until Zen 3
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
  unsigned family = (eax >> 8 & 15) + (eax >> 20 & 255);
  __get_cpuid_count(7, 0, &ignored, &extended, &ignored, &ignored);
  if (extended & 1u << 8 && !(amd && family < 0x19)) found |= PH_CODE_PEXT;
#ifdef __linux__
  // HWCAP2 bit 1: the system lets user code use the FSGSBASE instructions.
  if (extended & 1u && getauxval(AT_HWCAP2) & 2) found |= PH_CODE_FSGSBASE;
#endif
  return found;
}
#else
uint32_t ph_vector_features(void) { return 0; }
uint32_t ph_code_features(void) { return 0; }
#endif
