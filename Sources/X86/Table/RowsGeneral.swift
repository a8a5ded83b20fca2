// The general instructions (Intel SDM volume 2, opcode maps ). The row format is described in RowParser.swift.

let generalRows = """
  [base]
  {add,or,adc,sbb,and,sub,xor} Eb,Gb 00+8n lock
  {add,or,adc,sbb,and,sub,xor} Ev,Gv 01+8n lock
  cmp Eb,Gb 38
  cmp Ev,Gv 39
  {add,or,adc,sbb,and,sub,xor,cmp} Gb,Eb 02+8n
  {add,or,adc,sbb,and,sub,xor,cmp} Gv,Ev 03+8n
  {add,or,adc,sbb,and,sub,xor,cmp} AL,Ib 04+8n
  {add,or,adc,sbb,and,sub,xor,cmp} rAX,Iz 05+8n
  push ES 06 i64
  pop ES 07 i64
  push CS 0E i64
  push SS 16 i64
  pop SS 17 i64
  push DS 1E i64
  pop DS 1F i64
  daa - 27 i64
  das - 2F i64
  aaa - 37 i64
  aas - 3F i64
  inc Zv 40+r i64
  dec Zv 48+r i64
  push Zv 50+r d64
  pop Zv 58+r d64
  pushaw - 60 i64 os2
  pushad - 60 i64 os4
  popaw - 61 i64 os2
  popad - 61 i64 os4
  bound Gv,Ma 62 i64
  arpl Ew,Gw 63 i64
  movsxd Gv,Ez 63 o64
  push Iz 68 d64
  imul Gv,Ev,Iz 69
  push Is 6A d64
  imul Gv,Ev,Is 6B
  insb - 6C iopl es
  insw - 6D iopl es os2
  insd - 6D iopl es os48
  outsb - 6E iopl
  outsw - 6F iopl os2
  outsd - 6F iopl os48
  j{cc} Jb 70+n f64
  {add,or,adc,sbb,and,sub,xor} Eb,Ib 80/n lock
  cmp Eb,Ib 80/7
  {add,or,adc,sbb,and,sub,xor} Ev,Iz 81/n lock
  cmp Ev,Iz 81/7
  {add,or,adc,sbb,and,sub,xor} Eb,Ib 82/n lock i64 alt
  cmp Eb,Ib 82/7 i64 alt
  {add,or,adc,sbb,and,sub,xor} Ev,Is 83/n lock
  cmp Ev,Is 83/7
  test Eb,Gb 84
  test Ev,Gv 85
  xchg Eb,Gb 86 lock
  xchg Ev,Gv 87 lock
  mov Eb,Gb 88
  mov Ev,Gv 89
  mov Gb,Eb 8A
  mov Gv,Ev 8B
  mov Rv,Sw 8C
  mov Mw,Sw 8C
  lea Gv,M 8D
  mov Sw,Ew 8E
  pop Ev 8F/0 d64
  pause - F3.90
  nop - 90 b0
  xchg Zv,rAX 90+r
  cbw - 98 os2
  cwde - 98 os4
  cdqe - 98 os8
  cwd - 99 os2
  cdq - 99 os4
  cqo - 99 os8
  callf Ap 9A i64
  pushfw - 9C d64 os2
  pushfd - 9C d64 os4
  pushfq - 9C d64 os8
  popfw - 9D d64 os2
  popfd - 9D d64 os4
  popfq - 9D d64 os8
  sahf - 9E
  lahf - 9F
  mov AL,Ob A0
  mov rAX,Ov A1
  mov Ob,AL A2
  mov Ov,rAX A3
  movsb - A4
  movsw - A5 os2
  movsd - A5 os4
  movsq - A5 os8
  cmpsb - A6
  cmpsw - A7 os2
  cmpsd - A7 os4
  cmpsq - A7 os8
  test AL,Ib A8
  test rAX,Iz A9
  stosb - AA es
  stosw - AB es os2
  stosd - AB es os4
  stosq - AB es os8
  lodsb - AC
  lodsw - AD os2
  lodsd - AD os4
  lodsq - AD os8
  scasb - AE es
  scasw - AF es os2
  scasd - AF es os4
  scasq - AF es os8
  mov Zb,Ib B0+r
  mov Zv,Iv B8+r
  {rol,ror,rcl,rcr,shl,shr} Eb,Ib C0/n
  shl Eb,Ib C0/6 alt
  sar Eb,Ib C0/7
  {rol,ror,rcl,rcr,shl,shr} Ev,Ib C1/n
  shl Ev,Ib C1/6 alt
  sar Ev,Ib C1/7
  ret Iw C2 f64
  ret - C3 f64
  les Gz,Mp C4 i64
  lds Gz,Mp C5 i64
  mov Eb,Ib C6/0
  mov Ev,Iz C7/0
  enter Iw,Ib C8 d64
  leave - C9 d64
  retf Iw CA
  retf - CB
  int3 - CC
  int Ib CD
  into - CE i64
  iretw - CF os2
  iretd - CF os4
  iretq - CF os8
  {rol,ror,rcl,rcr,shl,shr} Eb,1 D0/n
  shl Eb,1 D0/6 alt
  sar Eb,1 D0/7
  {rol,ror,rcl,rcr,shl,shr} Ev,1 D1/n
  shl Ev,1 D1/6 alt
  sar Ev,1 D1/7
  {rol,ror,rcl,rcr,shl,shr} Eb,CL D2/n
  shl Eb,CL D2/6 alt
  sar Eb,CL D2/7
  {rol,ror,rcl,rcr,shl,shr} Ev,CL D3/n
  shl Ev,CL D3/6 alt
  sar Ev,CL D3/7
  aam Ib D4 i64
  aad Ib D5 i64
  salc - D6 i64
  xlatb - D7
  loopne Jb E0 f64
  loope Jb E1 f64
  loop Jb E2 f64
  jcxz Jb E3 f64 as2 i64
  jecxz Jb E3 f64 as4
  jrcxz Jb E3 f64 as8 o64
  in AL,Ib E4 iopl
  in eAX,Ib E5 iopl
  out Ib,AL E6 iopl
  out Ib,eAX E7 iopl
  call Jz E8 f64
  jmp Jz E9 f64
  jmpf Ap EA i64
  jmp Jb EB f64
  in AL,DX EC iopl
  in eAX,DX ED iopl
  out DX,AL EE iopl
  out DX,eAX EF iopl
  int1 - F1
  cmc - F5
  test Eb,Ib F6/0
  test Eb,Ib F6/1 alt
  not Eb F6/2 lock
  neg Eb F6/3 lock
  mul Eb F6/4
  imul Eb F6/5
  div Eb F6/6
  idiv Eb F6/7
  test Ev,Iz F7/0
  test Ev,Iz F7/1 alt
  not Ev F7/2 lock
  neg Ev F7/3 lock
  mul Ev F7/4
  imul Ev F7/5
  div Ev F7/6
  idiv Ev F7/7
  clc - F8
  stc - F9
  cli - FA iopl
  sti - FB iopl
  cld - FC
  std - FD
  inc Eb FE/0 lock
  dec Eb FE/1 lock
  inc Ev FF/0 lock
  dec Ev FF/1 lock
  call Ev FF/2 f64
  callf Mp FF/3
  jmp Ev FF/4 f64
  jmpf Mp FF/5
  push Ev FF/6 d64
  lar Gv,Rv 0F.02
  lar Gv,Mw 0F.02
  lsl Gv,Rv 0F.03
  lsl Gv,Mw 0F.03
  ud2 - 0F.0B
  ud1 Gv,Ev 0F.B9
  ud0 Gv,Ev 0F.FF
  [prefetch]
  prefetch Mb 0F.0D/0
  prefetchw Mb 0F.0D/1
  prefetchwt1 Mb 0F.0D/2
  prefetchw Mb 0F.0D/3 alt
  prefetch Mb 0F.0D/4 alt
  prefetch Mb 0F.0D/5 alt
  prefetch Mb 0F.0D/6 alt
  prefetch Mb 0F.0D/7 alt
  nop Rv 0F.0D alt
  prefetchnta Mb 0F.18/0
  prefetcht0 Mb 0F.18/1
  prefetcht1 Mb 0F.18/2
  prefetcht2 Mb 0F.18/3
  [base]
  nop Mv 0F.18/4 alt
  nop Mv 0F.18/5 alt
  nop Mv 0F.18/6 alt
  nop Mv 0F.18/7 alt
  nop Rv 0F.18 alt
  nop Ev 0F.19 alt
  nop Ev 0F.1A alt
  nop Ev 0F.1B alt
  nop Ev 0F.1C alt
  nop Ev 0F.1D alt
  endbr64 - F3.0F.1E:FA
  endbr32 - F3.0F.1E:FB
  nop Ev 0F.1E alt
  nop Ev 0F.1F
  cmov{cc} Gv,Ev 0F.40+n
  j{cc} Jz 0F.80+n f64
  set{cc} Eb 0F.90+n
  push FS 0F.A0 d64
  pop FS 0F.A1 d64
  push GS 0F.A8 d64
  pop GS 0F.A9 d64
  cpuid - 0F.A2
  bt Ev,Gv 0F.A3
  shld Ev,Gv,Ib 0F.A4
  shld Ev,Gv,CL 0F.A5
  bts Ev,Gv 0F.AB lock
  shrd Ev,Gv,Ib 0F.AC
  shrd Ev,Gv,CL 0F.AD
  imul Gv,Ev 0F.AF
  cmpxchg Eb,Gb 0F.B0 lock
  cmpxchg Ev,Gv 0F.B1 lock
  lss Gv,Mp 0F.B2
  btr Ev,Gv 0F.B3 lock
  lfs Gv,Mp 0F.B4
  lgs Gv,Mp 0F.B5
  movzx Gv,Eb 0F.B6
  movzx Gv,Ew 0F.B7
  bt Ev,Ib 0F.BA/4
  bts Ev,Ib 0F.BA/5 lock
  btr Ev,Ib 0F.BA/6 lock
  btc Ev,Ib 0F.BA/7 lock
  btc Ev,Gv 0F.BB lock
  movsx Gv,Eb 0F.BE
  movsx Gv,Ew 0F.BF
  xadd Eb,Gb 0F.C0 lock
  xadd Ev,Gv 0F.C1 lock
  bswap Zv 0F.C8+r
  [cx8]
  cmpxchg8b Mq 0F.C7/1 lock w0
  [cx16]
  cmpxchg16b Mo 0F.C7/1 lock w1
  [popcnt]
  popcnt Gv,Ev F3.0F.B8
  [bmi1]
  tzcnt Gv,Ev F3.0F.BC
  [lzcnt]
  lzcnt Gv,Ev F3.0F.BD
  [base]
  bsf Gv,Ev 0F.BC
  bsr Gv,Ev 0F.BD
  [sse2]
  movnti My,Gy NP.0F.C3
  [movbe]
  movbe Gv,Mv NF.0F38.F0
  movbe Mv,Gv NF.0F38.F1
  [sse42]
  crc32 Gy,Eb F2.0F38.F0
  crc32 Gy,Ev F2.0F38.F1
  [adx]
  adcx Gy,Ey 66.0F38.F6
  adox Gy,Ey F3.0F38.F6
  [rdrand]
  rdrand Rv NF.0F.C7/6
  [rdseed]
  rdseed Rv NF.0F.C7/7
  [rdpid]
  rdpid Rm F3.0F.C7/7
  [rtm]
  xabort Ib C6:F8
  xbegin Jz C7:F8
  xend - NP.0F.01:D5
  xtest - NP.0F.01:D6
  """
