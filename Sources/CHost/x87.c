#include "x87.h"

#if defined(__x86_64__) || defined(__i386__)

int pv_x87_available(void) { return 1; }

typedef struct { uint8_t bytes[10]; } real10;
static const uint16_t hostControl = 0x37F;

#define STACK "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#define BEGIN "fnclex\n\tfldcw %[control]\n\t"
// The flags are read and cleared before FLDCW, which would wait for an unmasked one.
#define END "\n\tfnstsw %%ax\n\tfnclex\n\tfldcw %[host]\n\t"
#define WORDS [control] "m"(control), [host] "m"(hostControl)

uint32_t pv_x87_arithmetic(uint32_t operation, uint32_t form, void *value, const void *operand, uint16_t control) {
  uint16_t status = 0;
  real10 *v = value;
#define REGISTER(insn)                                                                                        \
  __asm__ volatile("fldt %[b]\n\tfldt %[a]\n\t" BEGIN insn " %%st(1), %%st" END "fstpt %[a]\n\tfstp %%st(0)"  \
                   : "=&a"(status), [a] "+m"(*v) : [b] "m"(*(const real10 *)operand), WORDS : STACK)
#define MEMORY(insn, type)                                                    \
  __asm__ volatile("fldt %[a]\n\t" BEGIN insn " %[b]" END "fstpt %[a]"        \
                   : "=&a"(status), [a] "+m"(*v) : [b] "m"(*(const type *)operand), WORDS : STACK)
#define FORMS(name)                                              \
  switch (form) {                                                \
    case PV_X87_REGISTER: REGISTER("f" name); break;             \
    case PV_X87_SINGLE: MEMORY("f" name "s", uint32_t); break;   \
    case PV_X87_DOUBLE: MEMORY("f" name "l", uint64_t); break;   \
    case PV_X87_INT16: MEMORY("fi" name "s", uint16_t); break;   \
    case PV_X87_INT32: MEMORY("fi" name "l", uint32_t); break;   \
  }                                                              \
  break
  switch (operation) {
    case PV_X87_ADD: FORMS("add");
    case PV_X87_MUL: FORMS("mul");
    case PV_X87_SUB: FORMS("sub");
    case PV_X87_SUBR: FORMS("subr");
    case PV_X87_DIV: FORMS("div");
    case PV_X87_DIVR: FORMS("divr");
  }
#undef REGISTER
#undef MEMORY
#undef FORMS
  return status;
}

uint32_t pv_x87_compare(uint32_t form, uint32_t quiet, const void *value, const void *operand, uint16_t control) {
  uint16_t status = 0;
  const real10 *v = value;
#define REGISTER(insn)                                                                                                  \
  __asm__ volatile("fldt %[b]\n\tfldt %[a]\n\t" BEGIN insn " %%st(1)" END "fstp %%st(0)\n\tfstp %%st(0)"                \
                   : "=&a"(status) : [a] "m"(*v), [b] "m"(*(const real10 *)operand), WORDS : STACK)
#define MEMORY(insn, type)                                                  \
  __asm__ volatile("fldt %[a]\n\t" BEGIN insn " %[b]" END "fstp %%st(0)"    \
                   : "=&a"(status) : [a] "m"(*v), [b] "m"(*(const type *)operand), WORDS : STACK)
  switch (form) {
    case PV_X87_REGISTER:
      if (quiet) REGISTER("fucom"); else REGISTER("fcom");
      break;
    case PV_X87_SINGLE: MEMORY("fcoms", uint32_t); break;
    case PV_X87_DOUBLE: MEMORY("fcoml", uint64_t); break;
    case PV_X87_INT16: MEMORY("ficoms", uint16_t); break;
    case PV_X87_INT32: MEMORY("ficoml", uint32_t); break;
  }
#undef REGISTER
#undef MEMORY
  return status;
}

uint32_t pv_x87_unary(uint32_t operation, void *value, uint16_t control) {
  uint16_t status = 0;
  real10 *v = value;
#define RUN(insn) \
  __asm__ volatile("fldt %[a]\n\t" BEGIN insn END "fstpt %[a]" : "=&a"(status), [a] "+m"(*v) : WORDS : STACK)
  switch (operation) {
    case PV_X87_SQRT: RUN("fsqrt"); break;
    case PV_X87_RNDINT: RUN("frndint"); break;
    case PV_X87_2XM1: RUN("f2xm1"); break;
    case PV_X87_SIN: RUN("fsin"); break;
    case PV_X87_COS: RUN("fcos"); break;
    case PV_X87_TST: RUN("ftst"); break;
    case PV_X87_XAM: RUN("fxam"); break;
  }
#undef RUN
  return status;
}

uint32_t pv_x87_binary(uint32_t operation, void *result, const void *st0, const void *st1, uint16_t control,
                       uint16_t before) {
  uint16_t status = 0;
  // An empty stack with the condition codes of before.
  uint32_t environment[7] = {0x37F, before & 0x4700, 0xFFFF};
  // EMMS empties whatever stack the instruction, carried out or not, has left.
#define RUN(insn)                                                                                       \
  __asm__ volatile("fldenv %[env]\n\tfldt %[b]\n\tfldt %[a]\n\t" BEGIN insn END "fstpt %[r]\n\temms"  \
                   : "=&a"(status), [r] "=m"(*(real10 *)result)                                         \
                   : [a] "m"(*(const real10 *)st0), [b] "m"(*(const real10 *)st1), [env] "m"(environment), WORDS \
                   : STACK)
  switch (operation) {
    case PV_X87_SCALE: RUN("fscale"); break;
    case PV_X87_PREM: RUN("fprem"); break;
    case PV_X87_PREM1: RUN("fprem1"); break;
    case PV_X87_YL2X: RUN("fyl2x"); break;
    case PV_X87_YL2XP1: RUN("fyl2xp1"); break;
    case PV_X87_PATAN: RUN("fpatan"); break;
  }
#undef RUN
  return status;
}

uint32_t pv_x87_pushing(uint32_t operation, void *value, void *pushed, uint16_t control) {
  uint16_t status = 0;
  real10 first = {{0}}, second = {{0}};
  // Where nothing was pushed the first store takes the operand and the second one finds the stack empty; its invalid
  // exception is masked by then and cleared.
#define RUN(insn)                                                                                                     \
  __asm__ volatile("fldt %[a]\n\t" BEGIN insn END "fstpt %[first]\n\tfstpt %[second]\n\tfnclex\n\temms"               \
                   : "=&a"(status), [first] "=m"(first), [second] "=m"(second)                                        \
                   : [a] "m"(*(const real10 *)value), WORDS : STACK)
  switch (operation) {
    case PV_X87_PTAN: RUN("fptan"); break;
    case PV_X87_SINCOS: RUN("fsincos"); break;
    case PV_X87_XTRACT: RUN("fxtract"); break;
  }
#undef RUN
  *(real10 *)pushed = first;
  *(real10 *)value = second;
  return status;
}

uint32_t pv_x87_load(uint32_t form, void *result, const void *operand, uint16_t control) {
  uint16_t status = 0;
#define RUN(insn, type)                                                                     \
  __asm__ volatile(BEGIN insn " %[b]" END "fstpt %[r]\n\tfnclex\n\temms"                    \
                   : "=&a"(status), [r] "=m"(*(real10 *)result)                             \
                   : [b] "m"(*(const type *)operand), WORDS : STACK)
  switch (form) {
    case PV_X87_SINGLE: RUN("flds", uint32_t); break;
    case PV_X87_DOUBLE: RUN("fldl", uint64_t); break;
    case PV_X87_INT16: RUN("filds", uint16_t); break;
    case PV_X87_INT32: RUN("fildl", uint32_t); break;
    case PV_X87_INT64: RUN("fildll", uint64_t); break;
    case PV_X87_BCD: RUN("fbld", real10); break;
  }
#undef RUN
  return status;
}

void pv_x87_constant(uint32_t which, void *result, uint16_t control) {
  uint16_t status;
#define RUN(insn) \
  __asm__ volatile(BEGIN insn END "fstpt %[r]" : "=&a"(status), [r] "=m"(*(real10 *)result) : WORDS : STACK)
  switch (which) {
    case PV_X87_1: RUN("fld1"); break;
    case PV_X87_L2T: RUN("fldl2t"); break;
    case PV_X87_L2E: RUN("fldl2e"); break;
    case PV_X87_PI: RUN("fldpi"); break;
    case PV_X87_LG2: RUN("fldlg2"); break;
    case PV_X87_LN2: RUN("fldln2"); break;
    case PV_X87_Z: RUN("fldz"); break;
  }
#undef RUN
}

uint32_t pv_x87_store(uint32_t form, uint32_t truncate, const void *value, void *result, uint16_t control) {
  uint16_t status = 0;
#define RUN(insn, type)                                                         \
  __asm__ volatile("fldt %[a]\n\t" BEGIN insn " %[r]" END "emms"                \
                   : "=&a"(status), [r] "+m"(*(type *)result)                   \
                   : [a] "m"(*(const real10 *)value), WORDS : STACK)
  if (truncate) {
    switch (form) {
      case PV_X87_INT16: RUN("fisttps", uint16_t); break;
      case PV_X87_INT32: RUN("fisttpl", uint32_t); break;
      case PV_X87_INT64: RUN("fisttpll", uint64_t); break;
    }
    return status;
  }
  switch (form) {
    case PV_X87_SINGLE: RUN("fstps", uint32_t); break;
    case PV_X87_DOUBLE: RUN("fstpl", uint64_t); break;
    case PV_X87_INT16: RUN("fistps", uint16_t); break;
    case PV_X87_INT32: RUN("fistpl", uint32_t); break;
    case PV_X87_INT64: RUN("fistpll", uint64_t); break;
    case PV_X87_BCD: RUN("fbstp", real10); break;
  }
#undef RUN
  return status;
}

// MARK: - The whole state

static int has_nan(const pv_vcpu *cpu) {
  for (uint32_t n = 0; n < 8; n++) {
    if (cpu->x87_tags >> n & 1 && (cpu->x87[n][1] & 0x7FFF) == 0x7FFF && cpu->x87[n][0] << 1) return 1;
  }
  return 0;
}

static uint32_t kind_of(const uint64_t value[2]) {
  const uint32_t exponent = value[1] & 0x7FFF;
  const int integer = value[0] >> 63 != 0;
  if (exponent == 0x7FFF) {
    if ((value[1] & 0xFFFF) == 0xFFFF && value[0] == 0xC000000000000000) return PV_X87_KIND_INDEFINITE;
    return value[0] == 1ull << 63 ? PV_X87_KIND_NUMBER : PV_X87_KIND_OTHER;
  }
  return exponent ? integer ? PV_X87_KIND_NUMBER : PV_X87_KIND_OTHER : value[0] ? PV_X87_KIND_OTHER : PV_X87_KIND_NUMBER;
}

static uint32_t what_is_known(const pv_vcpu *cpu) {
  const uint32_t status = cpu->x87_control_status >> 16, top = cpu->x87_top & 7;
  uint32_t known = PV_X87_KNOWN | (status & 1 ? PV_X87_KNOWN_INVALID : 0) | (status & 0x200 ? 0 : PV_X87_KNOWN_C1);
  for (uint32_t n = 0; n < 8; n++) {
    const uint32_t physical = (top + n) & 7;
    known |= (cpu->x87_tags >> physical & 1 ? kind_of(cpu->x87[physical]) : PV_X87_KIND_EMPTY) << n * 2;
  }
  return known;
}

void pv_x87_enter(pv_vcpu *cpu) {
  if (cpu->cr0 & 0xC) return;
  if (!cpu->x87_live) {
    const uint32_t word = cpu->x87_control_status, top = cpu->x87_top & 7;
    if ((word & 0x3F) != 0x3F || word >> 16 & 0x80) return;
    // As FNSAVE stores it: the pointers are 0, the tag word says no more than which registers are empty.
    struct __attribute__((packed)) { uint32_t environment[7]; uint8_t registers[8][10]; } image = {{0}};
    image.environment[0] = word & 0xFFFF;
    image.environment[1] = (word >> 16 & 0xC7FF) | top << 11;
    for (uint32_t n = 0; n < 8; n++) {
      if (!(cpu->x87_tags >> n & 1)) image.environment[2] |= 3u << n * 2;
      __builtin_memcpy(image.registers[n], cpu->x87[(top + n) & 7], 10);
    }
    __asm__ volatile("frstor %0" : : "m"(image) : STACK);
    cpu->x87_live = cpu->x87_nan_paths == 2 || (cpu->x87_nan_paths == 1 && has_nan(cpu)) ? 2 : 1;
    cpu->x87_known = cpu->x87_live == 2 ? what_is_known(cpu) : 0;
  }
  cpu->vector_ready |= cpu->x87_live == 2 ? PV_VECTOR_X87_NAN : PV_VECTOR_X87;
}

void pv_x87_leave(pv_vcpu *cpu) {
  struct __attribute__((aligned(16))) { uint16_t control, status; uint8_t tags, rest[27]; uint64_t registers[8][2], others[44]; } image;
  // FXSAVE and FNINIT take half the time of FNSAVE.
  __asm__ volatile("fxsave64 %0\n\tfninit" : "=m"(image) : : STACK);
  const uint32_t top = image.status >> 11 & 7;
  cpu->x87_control_status = image.control | (uint32_t)(image.status & 0xC7FF) << 16;
  cpu->x87_top = top;
  cpu->x87_tags = image.tags;
  for (uint32_t n = 0; n < 8; n++) {
    cpu->x87[(top + n) & 7][0] = image.registers[n][0];
    cpu->x87[(top + n) & 7][1] = image.registers[n][1] & 0xFFFF;
  }
  cpu->x87_live = 0;
  cpu->vector_ready &= ~(uint32_t)(PV_VECTOR_X87 | PV_VECTOR_X87_NAN);
}

int pv_x87_assists(void) {
  const real10 one = {{0, 0, 0, 0, 0, 0, 0, 0x80, 0xFF, 0x3F}}, nan = {{0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0x7F}};
  uint64_t best[2] = {~0ull, ~0ull};
  for (int n = 0; n < 32; n++) {
    uint32_t low, high, low_after, high_after;
    __asm__ volatile("fldt %4\n\tfldt %4\n\tlfence\n\trdtsc\n\tmov %%eax, %0\n\tmov %%edx, %1\n\t"
                     "fadd %%st(1), %%st\n\tfadd %%st(1), %%st\n\tfadd %%st(1), %%st\n\tfadd %%st(1), %%st\n\t"
                     "fadd %%st(1), %%st\n\tfadd %%st(1), %%st\n\tfadd %%st(1), %%st\n\tfadd %%st(1), %%st\n\t"
                     "lfence\n\trdtsc\n\tfstp %%st(0)\n\tfstp %%st(0)"
                     : "=&r"(low), "=&r"(high), "=&a"(low_after), "=&d"(high_after) : "m"(*(n & 1 ? &nan : &one)) : STACK);
    const uint64_t taken = ((uint64_t)high_after << 32 | low_after) - ((uint64_t)high << 32 | low);
    if (taken < best[n & 1]) best[n & 1] = taken;
  }
  return best[1] > best[0] * 4;
}

#else

// No 80-bit unit: the processor refuses x87 instructions before it would come here.
int pv_x87_available(void) { return 0; }
uint32_t pv_x87_arithmetic(uint32_t o, uint32_t f, void *v, const void *b, uint16_t c) { return 0; }
uint32_t pv_x87_compare(uint32_t f, uint32_t q, const void *v, const void *b, uint16_t c) { return 0; }
uint32_t pv_x87_unary(uint32_t o, void *v, uint16_t c) { return 0; }
uint32_t pv_x87_binary(uint32_t o, void *r, const void *a, const void *b, uint16_t c, uint16_t s) { return 0; }
uint32_t pv_x87_pushing(uint32_t o, void *v, void *p, uint16_t c) { return 0; }
uint32_t pv_x87_load(uint32_t f, void *r, const void *b, uint16_t c) { return 0; }
void pv_x87_constant(uint32_t w, void *r, uint16_t c) {}
uint32_t pv_x87_store(uint32_t f, uint32_t t, const void *v, void *r, uint16_t c) { return 0; }
void pv_x87_enter(pv_vcpu *c) {}
void pv_x87_leave(pv_vcpu *c) {}
int pv_x87_assists(void) { return 0; }

#endif
