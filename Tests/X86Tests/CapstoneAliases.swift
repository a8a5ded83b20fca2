/// Capstone's name, then ours for the same instruction.
let capstoneAliases = """
  movabs mov
  je jz
  jne jnz
  cmove cmovz
  cmovne cmovnz
  sete setz
  setne setnz
  wait fwait
  ud2b ud1
  sal shl
  retfq retf
  movd movq
  movsd movsd.sse
  cmpsd cmpsd.sse
  pushf pushfw pushfq
  popf popfw popfq
  iret iretw
  lcall callf
  ljmp jmpf
  popal popad popaw
  pushal pushad pushaw
  iretd iretw
  outsw outsd
  insw insd
  fstpnce fstp
  feni8087_nop fnop
  fdisi8087_nop fnop
  fsetpm fnop
  vcvtpd2dqx vcvtpd2dq
  vcvtpd2psx vcvtpd2ps
  vcvttpd2dqx vcvttpd2dq
  """
