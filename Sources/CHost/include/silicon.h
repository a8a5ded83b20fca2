// One instruction on the host's own processor, with every register chosen and every register seen: the oracle of the
// instruction tests (module Silicon). x86-64 Linux only; elsewhere `psil_start` answers 0.
//
// Everything lives at fixed addresses below 2 GiB, so that the trampoline names them without a register and the interpreter's
// guest can have the same ones: a record of the state to load, a record of the state found, two pages of code, two pages of data
// that may be written, one that may only be read; around code and data nothing is mapped.
#ifndef PARAVANE_SILICON_H
#define PARAVANE_SILICON_H

#include <stdint.h>

#pragma clang assume_nonnull begin

enum {
  PSIL_CODE = 0x10000000,
  PSIL_CODE_BYTES = 0x2000,
  PSIL_DATA = 0x20000000,
  PSIL_DATA_BYTES = 0x3000,
  PSIL_WRITABLE_BYTES = 0x2000,
  PSIL_BEFORE = 0x4e5a6000,
  PSIL_AFTER = 0x4e5a6800,
  PSIL_STACK = 0x4e5a9FF0,
  PSIL_AREA_BYTES = 0x4000,
  PSIL_XSAVE_BYTES = 832,
};

/// The offsets are the trampoline's: change both.
typedef struct psil_state {
  uint64_t gpr[16];
  uint64_t rip;            // 128
  uint64_t rflags;         // 136
  uint64_t fs_base;        // 144
  uint64_t gs_base;        // 152
  uint64_t host_rsp;       // 160
  uint64_t host_fs;        // 168
  uint64_t host_gs;        // 176
  uint64_t cr2;            // 184
  uint32_t signal;         // 192: 0 where the instruction went on to the exit stub
  uint32_t vector;         // 196
  uint32_t error;          // 200
  uint8_t running;         // 204
  uint8_t system_calls;    // 205: the dispatch selector, 1 while the instruction runs
  uint16_t selectors[6];   // 206: ES CS SS DS FS GS
  uint8_t reserved[38];
  uint8_t xsave[PSIL_XSAVE_BYTES]; // 256: the standard format; x87, SSE, AVX
} psil_state;

/// Maps the areas and takes the signals of faults, for the calling thread: instructions run on it, and on one thread at a time. 1, or 0 where the host cannot (`psil_reason` says why).
int psil_start(void);
const char *psil_reason(void);
/// The code pages, writable.
uint8_t *psil_code(void);
/// The data pages, all writable (also the one that the instruction may only read).
uint8_t *psil_data(void);
/// Where the bytes after an instruction have to jump (FF 25 00 00 00 00 and this).
uint64_t psil_exit_address(void);
psil_state *psil_before(void);
psil_state *psil_after(void);
/// Loads `before`, jumps to its RIP, and fills `after`.
void psil_run(void);
/// CPUID of the host.
void psil_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *registers);

#pragma clang assume_nonnull end
#endif
