// Workloads of fixed size whose results are known: a row that computes something else is a failure, not a fast run.
#ifndef WORKLOADS_H
#define WORKLOADS_H
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

// Knuth's MMIX generator; its high half.
static inline u32 next_random(u64 *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (u32)(*state >> 32);
}

static inline u64 mix(u64 sum, u64 value) {
  sum = (sum ^ value) * 0x9e3779b97f4a7c15u;
  return sum ^ sum >> 29;
}

u64 core_mix(u32 rounds);
u64 sha256_work(u32 rounds);
u64 sort_work(u32 rounds);
u64 copy_work(u32 rounds);
u64 rep_movs_work(u32 rounds);
u64 chase_work(u32 rounds);
u64 nbody_work(u32 rounds);
u64 sse_work(u32 rounds);
u64 syscall_work(u32 rounds);
u64 fork_work(u32 rounds);
u64 fault_work(u32 rounds);
#endif
