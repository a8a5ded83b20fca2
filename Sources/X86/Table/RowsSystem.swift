// System instructions: descriptor tables, control registers, virtual-machine calls, saved state, caches. The row format is
// described in RowParser.swift.

let systemRows = """
  [base]
  hlt - F4 priv
  sldt Rv 0F.00/0
  sldt Mw 0F.00/0
  str Rv 0F.00/1
  str Mw 0F.00/1
  lldt Ew 0F.00/2 priv
  ltr Ew 0F.00/3 priv
  verr Ew 0F.00/4
  verw Ew 0F.00/5
  sgdt Ms 0F.01/0 f64
  sidt Ms 0F.01/1 f64
  lgdt Ms 0F.01/2 f64 priv
  lidt Ms 0F.01/3 f64 priv
  smsw Rv 0F.01/4
  smsw Mw 0F.01/4
  lmsw Ew 0F.01/6 priv
  invlpg M 0F.01/7 priv
  clts - 0F.06 priv
  invd - 0F.08 priv
  [wbnoinvd]
  wbnoinvd - F3.0F.09 priv
  [base]
  wbinvd - 0F.09 priv
  mov Rm,Cm 0F.20 priv regonly f64
  mov Rm,Dm 0F.21 priv regonly f64
  mov Cm,Rm 0F.22 priv regonly f64
  mov Dm,Rm 0F.23 priv regonly f64
  wrmsr - 0F.30 priv
  rdtsc - 0F.31
  rdmsr - 0F.32 priv
  rdpmc - 0F.33
  rsm - 0F.AA priv
  [syscall]
  syscall - 0F.05
  sysret - 0F.07 priv
  swapgs - 0F.01:F8 o64 priv
  [sep]
  sysenter - 0F.34
  sysexit - 0F.35 priv
  [vmx]
  vmcall - NP.0F.01:C1
  [svm]
  vmmcall - NP.0F.01:D9
  [monitor]
  monitor - NP.0F.01:C8 priv
  mwait - NP.0F.01:C9 priv
  [smap]
  clac - NP.0F.01:CA priv
  stac - NP.0F.01:CB priv
  [xsave]
  xgetbv - NP.0F.01:D0
  xsetbv - NP.0F.01:D1 priv
  xsave M NP.0F.AE/4 w0
  xsave64 M NP.0F.AE/4 w1
  xrstor M NP.0F.AE/5 w0
  xrstor64 M NP.0F.AE/5 w1
  [xsaveopt]
  xsaveopt M NP.0F.AE/6 w0
  xsaveopt64 M NP.0F.AE/6 w1
  [xsavec]
  xsavec M NP.0F.C7/4 w0
  xsavec64 M NP.0F.C7/4 w1
  [xsaves]
  xrstors M NP.0F.C7/3 w0 priv
  xrstors64 M NP.0F.C7/3 w1 priv
  xsaves M NP.0F.C7/5 w0 priv
  xsaves64 M NP.0F.C7/5 w1 priv
  [fxsr]
  fxsave M NP.0F.AE/0 w0
  fxsave64 M NP.0F.AE/0 w1
  fxrstor M NP.0F.AE/1 w0
  fxrstor64 M NP.0F.AE/1 w1
  [serialize]
  serialize - NP.0F.01:E8
  [pku]
  rdpkru - NP.0F.01:EE
  wrpkru - NP.0F.01:EF
  [rdtscp]
  rdtscp - 0F.01:F9
  [fsgsbase]
  rdfsbase Ry F3.0F.AE/0 o64
  rdgsbase Ry F3.0F.AE/1 o64
  wrfsbase Ry F3.0F.AE/2 o64
  wrgsbase Ry F3.0F.AE/3 o64
  [ptwrite]
  ptwrite Ey F3.0F.AE/4
  [sse]
  ldmxcsr Md NP.0F.AE/2
  stmxcsr Md NP.0F.AE/3
  sfence - NP.0F.AE/7r
  [sse2]
  lfence - NP.0F.AE/5r
  mfence - NP.0F.AE/6r
  [clflush]
  clflush Mb NP.0F.AE/7
  [clflushopt]
  clflushopt Mb 66.0F.AE/7
  [clwb]
  clwb Mb 66.0F.AE/6
  [invpcid]
  invpcid Gm,Mo 66.0F38.82 priv
  """
