# Puts right what QEMU's software CPU does against the processor manuals, so that the recorded texts say what Xen does on a
# real CPU. Each rule names the fault. Usage: oracle-errata.pl GUEST < recorded > expected
use strict;
my $guest = shift // "";
while (<STDIN>) {
  if ($guest eq "traps") {
    # QEMU 7 does not set RF in the RFLAGS image of a fault (SDM volume 3, "RF (resume) flag").
    s/(#(?:0|6|7|13|14)\b[^|]*? flags )([0-9a-f]+)/$1 . sprintf("%x", hex($2) | 0x10000)/e unless /^iret .*: #13/;
    s/( rcx next r11 [0-9a-f]+ flags )([0-9a-f]+)/$1 . sprintf("%x", hex($2) | 0x10000)/e;
    # ... raises #UD for ICEBP (F1) where the CPU raises #DB, a trap.
    s/^(icebp .: )#6 rip \+0( cs [0-9a-f]+ flags )([0-9a-f]+)/$1 . "#1 rip +1" . $2 . sprintf("%x", hex($3) & ~0x10000)/e;
    # ... drops bits 19:16 of LAR's result, where Intel CPUs give the limit's (undefined by the manual).
    s/^(lar_e033 .: done rax )a0fb00/$1affb00/;
  }
  print;
}
