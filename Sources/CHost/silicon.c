#define _GNU_SOURCE
#include "silicon.h"

#include <stddef.h>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

_Static_assert(offsetof(psil_state, rip) == 128 && offsetof(psil_state, cr2) == 184, "the trampoline's offsets");
_Static_assert(offsetof(psil_state, signal) == 192 && offsetof(psil_state, selectors) == 206, "the trampoline's offsets");
_Static_assert(offsetof(psil_state, running) == 204 && offsetof(psil_state, xsave) == 256, "the trampoline's offsets");
_Static_assert(sizeof(psil_state) <= 0x800, "the records' distance");

#define BEFORE ((psil_state *)PSIL_BEFORE)
#define AFTER ((psil_state *)PSIL_AFTER)

static const char *reason = "not started";
static uint8_t *code_pages, *data_pages;

// The records are named by absolute addresses: B 0x4e5a6000, A 0x4e5a6800.
__asm__(
    ".text\n"
    ".globl psil_enter\n"
    ".type psil_enter, @function\n"
    "psil_enter:\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  sub $8, %rsp\n  stmxcsr (%rsp)\n  fnstcw 4(%rsp)\n"
    "  mov %rsp, 0x4e5a68a0\n"
    "  rdfsbase %rax\n  mov %rax, 0x4e5a68a8\n"
    "  rdgsbase %rax\n  mov %rax, 0x4e5a68b0\n"
    // Somebody else in this process may have left others there.
    "  xor %eax, %eax\n  mov %eax, %ds\n  mov %eax, %es\n"
    "  mov 0x4e5a6090, %rax\n  wrfsbase %rax\n"
    "  mov 0x4e5a6098, %rax\n  wrgsbase %rax\n"
    "  mov $7, %eax\n  xor %edx, %edx\n  xrstor64 0x4e5a6100\n"
    "  movl $0, 0x4e5a68c0\n"
    "  movb $1, 0x4e5a68cd\n"
    "  movb $1, 0x4e5a68cc\n"
    "  mov $0x4e5a9ff0, %rsp\n  push 0x4e5a6088\n  popfq\n"
    "  mov 0x4e5a6000, %rax\n  mov 0x4e5a6008, %rcx\n  mov 0x4e5a6010, %rdx\n  mov 0x4e5a6018, %rbx\n"
    "  mov 0x4e5a6028, %rbp\n  mov 0x4e5a6030, %rsi\n  mov 0x4e5a6038, %rdi\n"
    "  mov 0x4e5a6040, %r8\n  mov 0x4e5a6048, %r9\n  mov 0x4e5a6050, %r10\n  mov 0x4e5a6058, %r11\n"
    "  mov 0x4e5a6060, %r12\n  mov 0x4e5a6068, %r13\n  mov 0x4e5a6070, %r14\n  mov 0x4e5a6078, %r15\n"
    "  mov 0x4e5a6020, %rsp\n"
    "  jmp *0x4e5a6080\n"
    ".size psil_enter, .-psil_enter\n"
    // The instruction went on.
    ".globl psil_exit\n"
    ".type psil_exit, @function\n"
    "psil_exit:\n"
    "  mov %rax, 0x4e5a6800\n  mov %rcx, 0x4e5a6808\n  mov %rdx, 0x4e5a6810\n  mov %rbx, 0x4e5a6818\n"
    "  mov %rsp, 0x4e5a6820\n  mov %rbp, 0x4e5a6828\n  mov %rsi, 0x4e5a6830\n  mov %rdi, 0x4e5a6838\n"
    "  mov %r8, 0x4e5a6840\n  mov %r9, 0x4e5a6848\n  mov %r10, 0x4e5a6850\n  mov %r11, 0x4e5a6858\n"
    "  mov %r12, 0x4e5a6860\n  mov %r13, 0x4e5a6868\n  mov %r14, 0x4e5a6870\n  mov %r15, 0x4e5a6878\n"
    "  mov $0x4e5a9ff0, %rsp\n  pushfq\n  pop 0x4e5a6888\n"
    "  push $0x202\n  popfq\n"
    "  rdfsbase %rax\n  mov %rax, 0x4e5a6890\n"
    "  rdgsbase %rax\n  mov %rax, 0x4e5a6898\n"
    "  mov %ss, %eax\n  mov %ax, 0x4e5a68d2\n"
    "  mov %es, %eax\n  mov %ax, 0x4e5a68ce\n"
    "  mov %ds, %eax\n  mov %ax, 0x4e5a68d4\n"
    "  mov %fs, %eax\n  mov %ax, 0x4e5a68d6\n"
    "  mov %gs, %eax\n  mov %ax, 0x4e5a68d8\n"
    "  mov $7, %eax\n  xor %edx, %edx\n  xsave64 0x4e5a6900\n"
    // From here also after a signal.
    ".globl psil_resume\n"
    "psil_resume:\n"
    "  movb $0, 0x4e5a68cd\n"
    "  movb $0, 0x4e5a68cc\n"
    "  mov 0x4e5a68d4, %rax\n  mov $0xffffffffffff, %rcx\n  and %rcx, %rax\n  movzwl 0x4e5a68ce, %ecx\n  or %rcx, %rax\n"
    "  je 1f\n"
    "  xor %ecx, %ecx\n  mov %ecx, %ds\n  mov %ecx, %es\n  mov %ecx, %fs\n  mov %ecx, %gs\n"
    "1:cmpw $0x2b, 0x4e5a68d2\n  je 2f\n  mov $0x2b, %ecx\n  mov %ecx, %ss\n2:\n"
    "  mov 0x4e5a68a8, %rax\n  wrfsbase %rax\n"
    "  mov 0x4e5a68b0, %rax\n  wrgsbase %rax\n"
    "  mov 0x4e5a68a0, %rsp\n"
    "  fninit\n  fldcw 4(%rsp)\n  vzeroupper\n  ldmxcsr (%rsp)\n"
    "  add $8, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n"
    "  ret\n"
    ".size psil_exit, .-psil_exit\n");

extern void psil_enter(void);
extern char psil_exit[], psil_resume[];

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

// No stack protector and no call before FS is the host's again.
__attribute__((no_stack_protector)) static void caught(int number, siginfo_t *info, void *context) {
  ucontext_t *u = context;
  psil_state *after = AFTER;
  greg_t *g = u->uc_mcontext.gregs;
  (void)info;
  if (!after->running) {
    signal(number, SIG_DFL);
    return;
  }
  after->system_calls = 0;
  after->running = 0;
  uint64_t base;
  __asm__ volatile("rdfsbase %0" : "=r"(base));
  after->fs_base = base;
  __asm__ volatile("wrfsbase %0" : : "r"(after->host_fs));
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  after->gs_base = base;
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (int i = 0; i < 16; i++) after->gpr[i] = (uint64_t)g[order[i]];
  after->rip = (uint64_t)g[REG_RIP];
  after->rflags = (uint64_t)g[REG_EFL];
  after->cr2 = (uint64_t)g[REG_CR2];
  after->vector = (uint32_t)g[REG_TRAPNO];
  after->error = (uint32_t)g[REG_ERR];
  after->signal = (uint32_t)number;
  uint32_t selector;
  __asm__ volatile("mov %%es, %0" : "=r"(selector));
  after->selectors[0] = (uint16_t)selector;
  __asm__ volatile("mov %%ds, %0" : "=r"(selector));
  after->selectors[3] = (uint16_t)selector;
  __asm__ volatile("mov %%fs, %0" : "=r"(selector));
  after->selectors[4] = (uint16_t)selector;
  __asm__ volatile("mov %%gs, %0" : "=r"(selector));
  after->selectors[5] = (uint16_t)selector;
  after->selectors[2] = (uint16_t)((uint64_t)g[REG_CSGSFS] >> 48);
  const uint8_t *saved = (const uint8_t *)u->uc_mcontext.fpregs;
  memcpy(after->xsave, saved, 512);
  uint32_t magic;
  memcpy(&magic, saved + 464, 4);
  uint64_t present = 3;
  memset(after->xsave + 576, 0, 256);
  if (magic == 0x46505853) {
    memcpy(&present, saved + 512, 8);
    if (present & 4) memcpy(after->xsave + 576, saved + 576, 256);
  }
  memcpy(after->xsave + 512, &present, 8);
  g[REG_RIP] = (greg_t)(uintptr_t)psil_resume;
  g[REG_RSP] = PSIL_STACK;
  g[REG_EFL] = 0x202;
  g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & 0x0000FFFFFFFFFFFF) | (uint64_t)0x2b << 48);
}

static void *map_at(uint64_t address, size_t bytes, int protection, int descriptor, off_t offset) {
  int flags = (descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_POPULATE;
  if (address) flags |= MAP_FIXED_NOREPLACE;
  void *p = mmap((void *)address, bytes, protection, flags, descriptor, offset);
  return p == MAP_FAILED || (address && p != (void *)address) ? NULL : p;
}

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

// What belongs to the thread: its signal stack.
static int start_thread(void) {
  static __thread int started;
  if (started) return 1;
  size_t bytes = 1 << 18;
  stack_t alternate = {.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = bytes};
  if (alternate.ss_sp == MAP_FAILED || sigaltstack(&alternate, NULL) != 0) return 0;
  return started = 1;
}

int psil_start(void) {
  uint32_t a, b, c, d;
  if (reason == NULL) return start_thread();
  __cpuid_count(7, 0, a, b, c, d);
  // HWCAP2 bit 1: the system lets user code use the FSGSBASE instructions.
  if (!(b & 1) || !(getauxval(AT_HWCAP2) & 2)) return reason = "no FSGSBASE for user code", 0;
  __cpuid_count(1, 0, a, b, c, d);
  if (!(c & 1u << 27) || !(c & 1u << 28)) return reason = "no XSAVE and AVX for user code", 0;
  __cpuid_count(13, 0, a, b, c, d);
  if ((a & 7) != 7) return reason = "no AVX state", 0;
  int descriptor = memfd_create("paravane-silicon", MFD_CLOEXEC);
  if (descriptor < 0 || ftruncate(descriptor, PSIL_CODE_BYTES + PSIL_DATA_BYTES) != 0) return reason = "no memory file", 0;
  code_pages = map_at(0, PSIL_CODE_BYTES, PROT_READ | PROT_WRITE, descriptor, 0);
  data_pages = map_at(0, PSIL_DATA_BYTES, PROT_READ | PROT_WRITE, descriptor, PSIL_CODE_BYTES);
  if (!code_pages || !data_pages) return reason = "no memory", 0;
  memset(code_pages, 0xCC, PSIL_CODE_BYTES);
  memset(data_pages, 0, PSIL_DATA_BYTES);
  void *code = map_at(PSIL_CODE, PSIL_CODE_BYTES, PROT_READ | PROT_EXEC, descriptor, 0);
  void *data = map_at(PSIL_DATA, PSIL_WRITABLE_BYTES, PROT_READ | PROT_WRITE, descriptor, PSIL_CODE_BYTES);
  void *fixed = map_at(
      PSIL_DATA + PSIL_WRITABLE_BYTES, PSIL_DATA_BYTES - PSIL_WRITABLE_BYTES, PROT_READ, descriptor,
      PSIL_CODE_BYTES + PSIL_WRITABLE_BYTES);
  void *area = map_at(PSIL_BEFORE, PSIL_AREA_BYTES, PROT_READ | PROT_WRITE, -1, 0);
  close(descriptor);
  if (!code || !data || !fixed || !area) return reason = "the fixed addresses are taken", 0;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = caught;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  reason = NULL;
  return start_thread();
}

const char *psil_reason(void) { return reason ? reason : ""; }
uint8_t *psil_code(void) { return code_pages; }
uint8_t *psil_data(void) { return data_pages; }
uint64_t psil_exit_address(void) { return (uint64_t)(uintptr_t)psil_exit; }
psil_state *psil_before(void) { return BEFORE; }
psil_state *psil_after(void) { return AFTER; }
// A system call that an instruction makes by mistake becomes a signal (Linux 5.11; older ones go without). Only for so long: the
// selector is one for all threads, and another thread that ran instructions before makes system calls of its own now.
void psil_run(void) {
  prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &AFTER->system_calls);
  psil_enter();
  prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
}
void psil_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *r) { __cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]); }

#else
static psil_state nothing;
static uint8_t none[1];
int psil_start(void) { return 0; }
const char *psil_reason(void) { return "not an x86-64 Linux host"; }
uint8_t *psil_code(void) { return none; }
uint8_t *psil_data(void) { return none; }
uint64_t psil_exit_address(void) { return 0; }
psil_state *psil_before(void) { return &nothing; }
psil_state *psil_after(void) { return &nothing; }
void psil_run(void) {}
void psil_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t *r) { (void)leaf, (void)subleaf, r[0] = r[1] = r[2] = r[3] = 0; }
#endif
