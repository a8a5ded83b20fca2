// The entry point, the notes that tell the domain builder about the guest, and the boot stack.
//   HYPERCALL_PAGE   ask for a hypercall page (note 2)
//   LINUX_NOTES      the notes that change the layout of the start of day, as Linux has them
#include "guest.h"

.macro NOTE type, kind, value:vararg
  .pushsection .note.Xen, "a", @note
  .balign 4
  .long 4, 2f - 1f, \type
  .asciz "Xen"
1: \kind \value
2: .balign 4
  .popsection
.endm

NOTE 6, .asciz, "test"
NOTE 7, .asciz, "1"
NOTE 5, .asciz, "xen-3.0"
NOTE 8, .asciz, "generic"
NOTE 9, .asciz, "yes"
NOTE 3, .quad, VIRT_BASE
NOTE 4, .quad, 0
NOTE 1, .quad, _start
NOTE 12, .quad, 0xffff800000000000
#ifdef HYPERCALL_PAGE
NOTE 2, .quad, hypercall_page
#endif
#ifdef LINUX_NOTES
NOTE 10, .ascii, "!writable_page_tables|pae_pgdir_above_4gb"
NOTE 13, .quad, 1, 1
NOTE 14, .long, 1
NOTE 15, .quad, 0x8000000000
NOTE 16, .long, 1
NOTE 17, .long, 0x8801
#endif

.section .text.start, "ax"
.globl _start
_start:
  // What the guest was started with, before anything of it changes.
  mov %rax, boot_registers(%rip)
  lea boot_registers(%rip), %rax
  mov %rcx, 8(%rax)
  mov %rdx, 16(%rax)
  mov %rbx, 24(%rax)
  mov %rsp, 32(%rax)
  mov %rbp, 40(%rax)
  mov %rsi, 48(%rax)
  mov %rdi, 56(%rax)
  mov %r8, 64(%rax)
  mov %r9, 72(%rax)
  mov %r10, 80(%rax)
  mov %r11, 88(%rax)
  mov %r12, 96(%rax)
  mov %r13, 104(%rax)
  mov %r14, 112(%rax)
  mov %r15, 120(%rax)
  pushfq
  popq 128(%rax)
  mov %rsi, start_info(%rip)
  lea stack_top(%rip), %rsp
  xor %ebp, %ebp
  cld
  call guest_main
  xor %edi, %edi
  call shut_down

.bss
.balign 4096
.globl stack_bottom, stack_top
stack_bottom:
  .skip 32768
stack_top:
.globl boot_registers, start_info
.balign 8
boot_registers: .skip 136
start_info: .skip 8

#ifdef HYPERCALL_PAGE
.section .text.hypercall, "ax"
.balign 4096
.globl hypercall_page
hypercall_page: .skip 4096
#endif
.section .note.GNU-stack, "", @progbits
