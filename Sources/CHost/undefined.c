#include "CHost.h"

// Whether the host's processor gives the results that the manuals leave undefined as Documentation/UndefinedResults.md has them. What it
// gives otherwise must not run as itself in translated code.

#if defined(__x86_64__)

enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, OF = 0x800, ALL = CF | PF | AF | ZF | SF | OF };

/// Runs an instruction on `a` (%0), `b` (%2) and CL with the six flags `flags`; the flags after it.
#define PROBE(name, text)                                                                                                    \
  static uint64_t name(uint64_t *a, uint64_t b, uint64_t count, uint64_t flags) {                                            \
    uint64_t after;                                                                                                          \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n push %4\n popfq\n " text "\n pushfq\n pop %1\n lea 128(%%rsp), %%rsp"           \
                     : "+a"(*a), "=&d"(after)                                                                                \
                     : "S"(b), "c"(count), "D"(flags | 2)                                                                    \
                     : "cc", "memory");                                                                                      \
    return after & ALL;                                                                                                      \
  }

PROBE(shl_3, "shl $3, %0")
PROBE(shr_3, "shr $3, %0")
PROBE(sar_3, "sar $3, %0")
PROBE(shl_cl, "shl %%cl, %0")
PROBE(shr_cl, "shr %%cl, %0")
PROBE(sar_cl, "sar %%cl, %0")
PROBE(shl_8_cl, "shl %%cl, %%al")
PROBE(shr_8_cl, "shr %%cl, %%al")
PROBE(shld_3, "shld $3, %2, %0")
PROBE(shrd_3, "shrd $3, %2, %0")
PROBE(shld_cl, "shld %%cl, %2, %0")
PROBE(shrd_cl, "shrd %%cl, %2, %0")
PROBE(rol_3, "rol $3, %0")
PROBE(ror_3, "ror $3, %0")
PROBE(rol_cl, "rol %%cl, %0")
PROBE(ror_cl, "ror %%cl, %0")
PROBE(rol_8_cl, "rol %%cl, %%al")
PROBE(rcl_cl, "rcl %%cl, %0")
PROBE(rcr_cl, "rcr %%cl, %0")
PROBE(rol_memory, "push %0\n rolq $3, (%%rsp)\n pop %0")
PROBE(imul_2, "imul %2, %0")
PROBE(mul_1, "push %%rdx\n mul %2\n pop %%rdx")
PROBE(bsf, "bsf %2, %0")
PROBE(bsr, "bsr %2, %0")
PROBE(bsf_32, "bsf %%esi, %%eax")
PROBE(bt, "bt %2, %0")
PROBE(bts, "bts %2, %0")
PROBE(cmpxchg_32, "push %%rdi\n mov %%rsi, %%rdi\n cmpxchg %%ecx, %%edi\n mov %%rdi, %%rax\n pop %%rdi")
PROBE(tzcnt, "tzcnt %2, %0")
PROBE(lzcnt, "lzcnt %2, %0")
PROBE(andn, "andn %2, %0, %0")
PROBE(blsr, "blsr %2, %0")
PROBE(blsi, "blsi %2, %0")
PROBE(blsmsk, "blsmsk %2, %0")
PROBE(bextr, "bextr %%rcx, %2, %0")
PROBE(bzhi, "bzhi %%rcx, %2, %0")

typedef uint64_t (*probe)(uint64_t *, uint64_t, uint64_t, uint64_t);

/// Whether `flags` of those in `mask` come out, whatever they were before.
static int gives(probe run, uint64_t a, uint64_t b, uint64_t count, uint64_t mask, uint64_t flags) {
  uint64_t first = a, second = a;
  return (run(&first, b, count, 0) & mask) == flags && (run(&second, b, count, ALL) & mask) == flags;
}

/// Whether those in `mask` stay.
static int keeps(probe run, uint64_t a, uint64_t b, uint64_t count, uint64_t mask) {
  uint64_t first = a, second = a;
  return (run(&first, b, count, 0) & mask) == 0 && (run(&second, b, count, ALL) & mask) == mask;
}

static const uint64_t top = 1ull << 63, next = 1ull << 62;

// MARK: - x87

enum { C0 = 0x100, C1 = 0x200, C2 = 0x400, C3 = 0x4000, CONDITIONS = C0 | C1 | C2 | C3 };

/// Runs an x87 instruction on ST(0) = 1 and ST(1) = 2, or what `before` makes of them, with `status` in the status word; that word after it.
#define PROBE87(name, before, text)                                                                                         \
  static uint16_t name(uint16_t status) {                                                                                   \
    uint32_t environment[7];                                                                                                \
    uint16_t after;                                                                                                         \
    __asm__ volatile("fninit\n fld1\n fadd %%st, %%st\n fld1\n " before "\n fnstenv (%1)\n orw %w2, 4(%1)\n fldenv (%1)\n " \
                     text "\n fnstsw %w0\n fninit"                                                                         \
                     : "=&a"(after)                                                                                         \
                     : "r"(environment), "r"(status)                                                                        \
                     : "cc", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");                 \
    return after;                                                                                                           \
  }

PROBE87(fadd, "", "fadd %%st(1), %%st")
PROBE87(fdiv, "", "fdiv %%st(1), %%st")
PROBE87(fsqrt, "", "fsqrt")
PROBE87(frndint, "", "frndint")
PROBE87(fscale, "", "fscale")
PROBE87(fxtract, "", "fxtract")
PROBE87(f2xm1, "", "f2xm1")
PROBE87(fyl2x, "", "fyl2x")
PROBE87(fyl2xp1, "", "fyl2xp1")
PROBE87(fpatan, "", "fpatan")
PROBE87(fsin, "", "fsin")
PROBE87(fsincos, "", "fsincos")
PROBE87(fptan, "", "fptan")
PROBE87(fld, "", "fld %%st(1)")
PROBE87(fstp, "", "fstp %%st(3)")
PROBE87(fchs, "", "fchs")
PROBE87(ffree, "", "ffree %%st(1)")
PROBE87(fincstp, "", "fincstp")
PROBE87(fxch, "", "fxch %%st(1)")
PROBE87(fcmov, "", "fcmovb %%st(1), %%st")
PROBE87(fcomi, "", "fcomi %%st(1), %%st")
PROBE87(fprem_nan, "fstp %%st(0)\n fldz\n fdiv %%st, %%st", "fprem")
PROBE87(fstp_empty, "ffree %%st(0)", ".byte 0xD9, 0xDA")
PROBE87(fld_empty, "fld1\n fld1\n fld1\n fld1\n fld1\n fld1\n ffree %%st(1)", "fld %%st(1)")

static int stays(uint16_t (*run)(uint16_t), uint16_t mask) {
  return (run(0) & mask) == 0 && (run(CONDITIONS) & mask) == mask;
}

/// Whether condition codes are what Documentation/UndefinedResults-X87.md has, and the two cases there that processors differ in.
static int known_x87(void) {
  static uint16_t (*const keep[])(uint16_t) = {fadd,  fdiv,   fsqrt, frndint, fscale, fxtract, f2xm1, fyl2x,   fyl2xp1,
                                               fpatan, fld,   fstp,  fchs,    ffree,  fincstp, fxch,  fprem_nan};
  static uint16_t (*const clear[])(uint16_t) = {fadd, frndint, fld, fstp, fchs, ffree, fincstp, fxch};
  for (unsigned n = 0; n < sizeof keep / sizeof *keep; n++) {
    if (!stays(keep[n], keep[n] == fprem_nan ? C0 | C3 : C0 | C2 | C3)) return 0;
  }
  for (unsigned n = 0; n < sizeof clear / sizeof *clear; n++) {
    if (clear[n](CONDITIONS) & C1) return 0;
  }
  if (!stays(fcmov, CONDITIONS) || !stays(fcomi, CONDITIONS)) return 0;
  if (!stays(fsin, C0 | C3) || !stays(fsincos, C0 | C3) || !stays(fptan, C0 | C3) || (fsin(CONDITIONS) | fptan(CONDITIONS)) & C2) return 0;
  // Only a pop: no exception. An underflow: C1 is 0.
  if (fstp_empty(0) & 0x41 || (fld_empty(CONDITIONS) & (0x41 | C1)) != 0x41) return 0;
  return 1;
}

PROBE(fcomi_flags, "fld1\n fld1\n fcomip %%st(1), %%st\n fstp %%st(0)")

uint32_t ph_known_results(void) {
  uint32_t found = 0;
  if (known_x87() && gives(fcomi_flags, 0, 0, 0, ALL, ZF)) found |= PH_KNOWN_X87;
  const uint32_t features = ph_integer_features();
  if (gives(shl_3, next, 0, 0, OF | AF, OF) && gives(shl_3, top | next, 0, 0, OF | AF, 0) && gives(shl_cl, next, 0, 9, OF | AF, OF) &&
      gives(shl_cl, top | next, 0, 9, OF | AF, 0) && gives(shr_3, top, 0, 0, OF | AF, OF) && gives(shr_3, next, 0, 0, OF | AF, 0) &&
      gives(shr_cl, top, 0, 9, OF | AF, OF) && gives(shr_cl, next, 0, 9, OF | AF, 0) && gives(sar_3, top, 0, 0, OF | AF, 0) &&
      gives(sar_cl, top, 0, 9, OF | AF, 0) && gives(shl_8_cl, 0xFF, 0, 20, CF | OF, 0) && gives(shr_8_cl, 0xFF, 0, 20, CF | OF, OF) &&
      keeps(shl_cl, 1, 0, 64, ALL))
    found |= PH_KNOWN_SHIFTS;
  if (gives(shld_3, next, 0, 0, OF | AF, OF) && gives(shld_3, top | next, 0, 0, OF | AF, 0) && gives(shld_cl, next, 0, 9, OF | AF, OF) &&
      gives(shrd_3, top, 0, 0, OF | AF, OF) && gives(shrd_3, top, 1, 0, OF | AF, 0) && gives(shrd_cl, 0, 1, 9, OF | AF, OF))
    found |= PH_KNOWN_DOUBLE_SHIFTS;
  if (keeps(rol_3, next, 0, 0, ALL & ~CF) && keeps(ror_3, 1, 0, 0, ALL & ~CF) && gives(rol_cl, next, 0, 9, OF, OF) &&
      gives(rol_cl, top | next, 0, 9, OF, 0) && gives(ror_cl, top, 0, 9, OF, OF) && gives(ror_cl, top | 1, 0, 9, OF, 0) &&
      gives(rol_8_cl, 0x41, 0, 8, CF | OF, CF | OF) && gives(rcl_cl, next, 0, 9, OF, OF) && gives(rcl_cl, 0, 0, 9, OF, 0) &&
      keeps(rcr_cl, 0, 0, 9, OF) && gives(rol_memory, next, 0, 0, OF, OF) && gives(rol_memory, 0, 0, 0, OF, 0))
    found |= PH_KNOWN_ROTATES;
  if (gives(imul_2, 0, 5, 0, ZF | AF | SF | PF, PF) && gives(imul_2, top >> 1, 2, 0, ZF | AF | SF | PF, SF | PF) &&
      gives(mul_1, 0, 5, 0, ZF | AF | SF | PF, PF) && gives(mul_1, next, 2, 0, ZF | AF | SF | PF, SF | PF) &&
      gives(mul_1, 1, 1, 0, ZF | AF | SF | PF, 0))
    found |= PH_KNOWN_PRODUCTS;
  uint64_t kept = ~0ull;
  bsf_32(&kept, 0, 0, 0);
  if (kept == ~0ull && gives(bsf, 7, 0, 0, ALL, ZF | PF) && gives(bsf, 0, 8, 0, ALL, PF) && gives(bsf, 0, 1, 0, ALL, PF) &&
      gives(bsf, 0, 2, 0, ALL, 0) && gives(bsr, 0, 8, 0, ALL, PF) && gives(bsr, 0, 2, 0, ALL, 0))
    found |= PH_KNOWN_SCANS;
  if (keeps(bt, 5, 1, 0, ALL & ~CF) && keeps(bts, 5, 1, 0, ALL & ~CF)) found |= PH_KNOWN_BIT_TESTS;
  uint64_t compared = 1;
  cmpxchg_32(&compared, 0xFFFFFFFF00000002, 3, 0);
  if (compared == 0xFFFFFFFF00000002) found |= PH_KNOWN_EXCHANGES;
  if (features & PH_INTEGER_BMI1 && features & PH_INTEGER_LZCNT && gives(tzcnt, 0, 8, 0, ALL, 0) && gives(tzcnt, 0, 0, 0, ALL, CF) &&
      gives(tzcnt, 0, 1, 0, ALL, ZF) && gives(lzcnt, 0, 8, 0, ALL, 0) && gives(lzcnt, 0, top, 0, ALL, ZF))
    found |= PH_KNOWN_COUNTS;
  if (features & PH_INTEGER_BMI1 && features & PH_INTEGER_BMI2 && gives(andn, 0, 3, 0, ALL, 0) && gives(blsr, 0, 7, 0, ALL, 0) &&
      gives(blsi, 0, 3, 0, ALL, CF) && gives(blsmsk, 0, 4, 0, ALL, 0) && gives(bextr, 0, top, 0x4000, ALL, 0) &&
      gives(bextr, 0, 0, 0x4000, ALL, ZF) && gives(bzhi, 0, 7, 2, ALL, 0) && gives(bzhi, 0, 7, 64, ALL, CF))
    found |= PH_KNOWN_FIELDS;
  return found;
}

#else
uint32_t ph_known_results(void) { return 0; }
#endif
