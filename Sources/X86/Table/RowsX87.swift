// The x87 floating-point unit (Intel SDM volume 2, escape opcodes D8 to DF), with the aliases that processors accept. The row
// format is described in RowParser.swift.

let x87Rows = """
  [x87]
  fwait - 9B
  {fadd,fmul,fcom,fcomp,fsub,fsubr,fdiv,fdivr} Md D8/n
  {fadd,fmul,fcom,fcomp,fsub,fsubr,fdiv,fdivr} ST0,STi D8/n
  fld Md D9/0
  fst Md D9/2
  fstp Md D9/3
  fldenv Mn D9/4
  fldcw Mw D9/5
  fnstenv Mn D9/6
  fnstcw Mw D9/7
  fld STi D9/0
  fxch ST0,STi D9/1
  fnop - D9:D0
  fstp STi D9/3 alt
  fchs - D9:E0
  fabs - D9:E1
  ftst - D9:E4
  fxam - D9:E5
  fld1 - D9:E8
  fldl2t - D9:E9
  fldl2e - D9:EA
  fldpi - D9:EB
  fldlg2 - D9:EC
  fldln2 - D9:ED
  fldz - D9:EE
  f2xm1 - D9:F0
  fyl2x - D9:F1
  fptan - D9:F2
  fpatan - D9:F3
  fxtract - D9:F4
  fprem1 - D9:F5
  fdecstp - D9:F6
  fincstp - D9:F7
  fprem - D9:F8
  fyl2xp1 - D9:F9
  fsqrt - D9:FA
  fsincos - D9:FB
  frndint - D9:FC
  fscale - D9:FD
  fsin - D9:FE
  fcos - D9:FF
  {fiadd,fimul,ficom,ficomp,fisub,fisubr,fidiv,fidivr} Md DA/n
  {fcmovb,fcmove,fcmovbe,fcmovu} ST0,STi DA/n
  fucompp - DA:E9
  fild Md DB/0
  fisttp Md DB/1
  fist Md DB/2
  fistp Md DB/3
  fld Mt DB/5
  fstp Mt DB/7
  {fcmovnb,fcmovne,fcmovnbe,fcmovnu} ST0,STi DB/n
  fnop - DB:E0 alt
  fnop - DB:E1 alt
  fnclex - DB:E2
  fninit - DB:E3
  fnop - DB:E4 alt
  fucomi ST0,STi DB/5
  fcomi ST0,STi DB/6
  {fadd,fmul,fcom,fcomp,fsub,fsubr,fdiv,fdivr} Mq DC/n
  fadd STi,ST0 DC/0
  fmul STi,ST0 DC/1
  fcom ST0,STi DC/2 alt
  fcomp ST0,STi DC/3 alt
  fsubr STi,ST0 DC/4
  fsub STi,ST0 DC/5
  fdivr STi,ST0 DC/6
  fdiv STi,ST0 DC/7
  fld Mq DD/0
  fisttp Mq DD/1
  fst Mq DD/2
  fstp Mq DD/3
  frstor Mu DD/4
  fnsave Mu DD/6
  fnstsw Mw DD/7
  ffree STi DD/0
  fxch ST0,STi DD/1 alt
  fst STi DD/2
  fstp STi DD/3
  fucom ST0,STi DD/4
  fucomp ST0,STi DD/5
  {fiadd,fimul,ficom,ficomp,fisub,fisubr,fidiv,fidivr} Mw DE/n
  faddp STi,ST0 DE/0
  fmulp STi,ST0 DE/1
  fcomp ST0,STi DE/2 alt
  fcompp - DE:D9
  fsubrp STi,ST0 DE/4
  fsubp STi,ST0 DE/5
  fdivrp STi,ST0 DE/6
  fdivp STi,ST0 DE/7
  fild Mw DF/0
  fisttp Mw DF/1
  fist Mw DF/2
  fistp Mw DF/3
  fbld Mt DF/4
  fild Mq DF/5
  fbstp Mt DF/6
  fistp Mq DF/7
  ffreep STi DF/0
  fxch ST0,STi DF/1 alt
  fstp STi DF/2 alt
  fstp STi DF/3 alt
  fnstsw AX DF:E0
  fucomip ST0,STi DF/5
  fcomip ST0,STi DF/6
  """
