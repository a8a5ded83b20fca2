// Entries for every trap and callback, and the way into a probe: code that is run to see how it traps.
//
// An entry records all registers and the frame as it stands, then goes back to whoever started the probe, as longjmp does.
#include "guest.h"

#define CALLBACK_EVENT 256
#define ENTRIES 262

.text
// One entry per vector, 16 bytes apart, so that C finds them.
.balign 16
.globl trap_entries
trap_entries:
.set n, 0
.rept ENTRIES
  .balign 16
  pushq $n
  jmp trap_common
  .set n, n + 1
.endr

trap_common:
  // Pushes and moves leave the flags alone, and what is below the frame is free.
  push %rax
  lea trap(%rip), %rax
  mov %rcx, 16(%rax)
  mov %rdx, 24(%rax)
  mov %rbx, 32(%rax)
  mov %rbp, 48(%rax)
  mov %rsi, 56(%rax)
  mov %rdi, 64(%rax)
  mov %r8, 72(%rax)
  mov %r9, 80(%rax)
  mov %r10, 88(%rax)
  mov %r11, 96(%rax)
  mov %r12, 104(%rax)
  mov %r13, 112(%rax)
  mov %r14, 120(%rax)
  mov %r15, 128(%rax)
  pushfq
  popq 136(%rax)
  mov %cs, 144(%rax)
  mov %ss, 146(%rax)
  mov %ds, 148(%rax)
  mov %es, 150(%rax)
  mov %fs, 152(%rax)
  mov %gs, 154(%rax)
  popq 8(%rax)
  popq 0(%rax)
  mov %rsp, 40(%rax)
  cld
  mov %rsp, %rsi
  lea 160(%rax), %rdi
  mov $9, %ecx
  rep movsq
  pushq $0x202
  popfq
  mov probe_stack_pointer(%rip), %rdx
  movq $0, probe_stack_pointer(%rip)
  test %rdx, %rdx
  jz 1f
  mov %rdx, %rsp
  xor %eax, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %fs
  mov %eax, %gs
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
1:lea stack_top(%rip), %rsp
  call unexpected_trap

// void probe_enter(const struct probe *): loads every register and goes there through the iret hypercall.
.globl probe_enter
probe_enter:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, probe_stack_pointer(%rip)
  mov %rdi, %rax
  pushq 160(%rax)
  pushq 152(%rax)
  pushq 144(%rax)
  pushq 136(%rax)
  pushq 128(%rax)
  pushq 168(%rax)
  pushq 8(%rax)
  pushq 88(%rax)
  pushq 0(%rax)
  mov 16(%rax), %rdx
  mov 24(%rax), %rbx
  mov 40(%rax), %rbp
  mov 48(%rax), %rsi
  mov 56(%rax), %rdi
  mov 64(%rax), %r8
  mov 72(%rax), %r9
  mov 80(%rax), %r10
  mov 96(%rax), %r12
  mov 104(%rax), %r13
  mov 112(%rax), %r14
  mov 120(%rax), %r15
  mov $HYPERVISOR_iret, %eax
  syscall
  ud2

.bss
.balign 8
.globl probe_stack_pointer
probe_stack_pointer: .skip 8
.section .note.GNU-stack, "", @progbits
