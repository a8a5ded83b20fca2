// One x87 instruction on the host's own floating-point unit, under a guest's control word.
//
// Each call loads its operands, runs the very instruction with the guest's rounding, precision and masks, and returns the
// status word it left: exception flags, SF, ES and condition codes are that instruction's alone. The host's control word is
// 0x37F and its stack empty before and after. Stack faults are the caller's: operands are always there.
//
// An exception that the control word does not mask never becomes a signal: it is read and cleared before any instruction that
// would wait for it. Results are then what the processor leaves: for an unmasked invalid, denormal or zero-divide exception the
// destination is meaningless and must not be used.
#ifndef PARAVANE_X87_H
#define PARAVANE_X87_H

#include <stdint.h>

#include "vcpu.h"

#pragma clang assume_nonnull begin

/// 1 where the host has an 80-bit x87 unit; elsewhere the functions below do nothing.
int pv_x87_available(void);

/// In encoding order of the escape opcodes' reg field.
enum { PV_X87_ADD, PV_X87_MUL, PV_X87_COM, PV_X87_COMP, PV_X87_SUB, PV_X87_SUBR, PV_X87_DIV, PV_X87_DIVR };
/// What an operand is.
enum { PV_X87_REGISTER, PV_X87_SINGLE, PV_X87_DOUBLE, PV_X87_INT16, PV_X87_INT32, PV_X87_INT64, PV_X87_BCD };
enum { PV_X87_SQRT, PV_X87_RNDINT, PV_X87_2XM1, PV_X87_SIN, PV_X87_COS, PV_X87_TST, PV_X87_XAM };
enum { PV_X87_SCALE, PV_X87_PREM, PV_X87_PREM1, PV_X87_YL2X, PV_X87_YL2XP1, PV_X87_PATAN };
enum { PV_X87_PTAN, PV_X87_SINCOS, PV_X87_XTRACT };
enum { PV_X87_1, PV_X87_L2T, PV_X87_L2E, PV_X87_PI, PV_X87_LG2, PV_X87_LN2, PV_X87_Z };

/// *value = *value OP operand (SUBR, DIVR reversed). `form`: any but INT64 and BCD.
uint32_t pv_x87_arithmetic(uint32_t operation, uint32_t form, void *value, const void *operand, uint16_t control);
/// Compares *value with the operand; `quiet`: as FUCOM (registers only).
uint32_t pv_x87_compare(uint32_t form, uint32_t quiet, const void *value, const void *operand, uint16_t control);
/// *value = OP *value.
uint32_t pv_x87_unary(uint32_t operation, void *value, uint16_t control);
/// *result = OP(ST0, ST1). The remainders leave some condition codes as they were in `status`.
uint32_t pv_x87_binary(uint32_t operation, void *result, const void *st0, const void *st1, uint16_t control, uint16_t status);
/// *value becomes the new ST1, *pushed the new ST0. With C2 set in the result nothing was pushed.
uint32_t pv_x87_pushing(uint32_t operation, void *value, void *pushed, uint16_t control);
/// Loads a memory operand of a form (not REGISTER).
uint32_t pv_x87_load(uint32_t form, void *result, const void *operand, uint16_t control);
void pv_x87_constant(uint32_t which, void *result, uint16_t control);
/// Stores *value in a form (not REGISTER); `truncate`: as FISTTP.
uint32_t pv_x87_store(uint32_t form, uint32_t truncate, const void *value, void *result, uint16_t control);

/// Gives the host's unit the guest's state for translated code (`x87_live`, PV_VECTOR_X87), if x87 instructions may run as themselves
/// now: CR0.EM and TS clear, every exception masked, none pending. Otherwise nothing. Chooses by `x87_nan_paths`.
void pv_x87_enter(pv_vcpu *cpu);
/// Brings the guest's state home from the host's unit, which is left as C code expects it. Only while `x87_live`.
void pv_x87_leave(pv_vcpu *cpu);
/// Whether the host's unit takes much longer for an operation with a NaN than with a number (Intel's: 300 cycles). Tried out.
int pv_x87_assists(void);

#pragma clang assume_nonnull end
#endif
