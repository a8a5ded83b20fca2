// Memory and the kernel: copies, chains of pointers, system calls, processes, page faults.
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads.h"

#define BUFFER (1 << 20)
static u8 from[BUFFER], to[BUFFER];

static u64 fill(void) {
  u64 random = 6;
  for (size_t n = 0; n < BUFFER; n++) from[n] = (u8)next_random(&random);
  return random;
}

static u64 sum_of(const u8 *bytes) {
  u64 sum = 0, word;
  for (size_t n = 0; n < BUFFER; n += 512) memcpy(&word, bytes + n, 8), sum = mix(sum, word);
  return sum;
}

u64 copy_work(u32 rounds) {
  fill();
  for (u32 n = 0; n < rounds; n++) {
    memcpy(to + n % 64, from, BUFFER - 64);
    from[n % BUFFER] ^= to[n * 31 % BUFFER];
  }
  return sum_of(to);
}

u64 rep_movs_work(u32 rounds) {
  fill();
  for (u32 n = 0; n < rounds; n++) {
    void *source = from, *target = to + n % 8;
    u64 count = BUFFER / 8 - 1;
    __asm__ volatile("rep movsq" : "+S"(source), "+D"(target), "+c"(count) : : "memory");
    from[n % BUFFER] ^= to[n * 31 % BUFFER];
  }
  return sum_of(to);
}

// One cycle through every cell, in an order that no prefetcher guesses.
u64 chase_work(u32 rounds) {
  enum { CELLS = 1 << 19 };
  static u32 cell[CELLS];
  u64 random = 7;
  for (u32 n = 0; n < CELLS; n++) cell[n] = n;
  for (u32 n = CELLS - 1; n > 0; n--) {
    u32 other = next_random(&random) % n, kept = cell[n];
    cell[n] = cell[other];
    cell[other] = kept;
  }
  u32 at = 0;
  u64 sum = 0;
  for (u32 n = 0; n < rounds; n++)
    for (u32 hop = 0; hop < CELLS; hop += 2) at = cell[cell[at]], sum += at;
  return mix(sum, at);
}

u64 syscall_work(u32 rounds) {
  u64 sum = 0;
  for (u32 n = 0; n < rounds; n++) sum += syscall(SYS_getppid) >= 0, sum += syscall(SYS_lseek, -1, n, 0) == -1;
  return sum;
}

u64 fork_work(u32 rounds) {
  u64 sum = 0;
  for (u32 n = 0; n < rounds; n++) {
    pid_t child = fork();
    if (child == 0) _exit((int)(n & 63));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 0;
    sum = mix(sum, (u64)WEXITSTATUS(status));
  }
  return sum;
}

u64 fault_work(u32 rounds) {
  enum { PAGES = 512 };
  u64 sum = 0;
  for (u32 n = 0; n < rounds; n++) {
    u8 *pages = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return 0;
    madvise(pages, PAGES * 4096, MADV_NOHUGEPAGE);
    for (u32 page = 0; page < PAGES; page++) pages[page * 4096 + n % 4096] = (u8)page;
    for (u32 page = 0; page < PAGES; page += 37) sum = mix(sum, pages[page * 4096 + n % 4096]);
    munmap(pages, PAGES * 4096);
  }
  return sum;
}
