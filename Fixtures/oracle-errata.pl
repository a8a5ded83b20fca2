# Puts right what QEMU's software CPU does against the processor manuals, so that the recorded texts say what Xen does on a
# real CPU. Each rule names the fault. Usage: oracle-errata.pl GUEST < recorded > expected
use strict;
my $guest = shift // "";
while (<STDIN>) {
  if ($guest eq "traps") {
    # QEMU 7 does not set RF in the RFLAGS image of a fault (SDM 3, 17.3.1.1).
    s/(#(?:0|6|7|13|14)\b[^|]*? flags )([0-9a-f]+)/$1 . sprintf("%x", hex($2) | 0x10000)/e unless /^iret (?:cs|ss|rip) [^ ]+ .: #13/;
    # ... raises #UD for ICEBP (F1) where the CPU raises #DB, a trap.
    s/^(icebp .: )#6 rip \+0( cs [0-9a-f]+ flags )([0-9a-f]+)/$1 . "#1 rip +1" . $2 . sprintf("%x", hex($3) & ~0x10000)/e;
  }
  print;
}
