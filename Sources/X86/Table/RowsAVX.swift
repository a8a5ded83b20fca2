// AVX, AVX2, FMA, F16C, BMI1, BMI2: the VEX encodings. The row format is described in RowParser.swift.

let avxRows = """
  [avx]
  vmovups Vx,Wx V.NP.0F.10
  vmovupd Vx,Wx V.66.0F.10
  vmovss Vd,Md V.F3.0F.10
  vmovss Vd,Hd,Ud V.F3.0F.10
  vmovsd Vq,Mq V.F2.0F.10
  vmovsd Vq,Hq,Uq V.F2.0F.10
  vmovups Wx,Vx V.NP.0F.11
  vmovupd Wx,Vx V.66.0F.11
  vmovss Md,Vd V.F3.0F.11
  vmovss Ud,Hd,Vd V.F3.0F.11
  vmovsd Mq,Vq V.F2.0F.11
  vmovsd Uq,Hq,Vq V.F2.0F.11
  vmovlps Vo,Ho,Mq V.NP.0F.12 L0
  vmovhlps Vo,Ho,Uo V.NP.0F.12 L0
  vmovlpd Vo,Ho,Mq V.66.0F.12 L0
  vmovsldup Vx,Wx V.F3.0F.12
  vmovddup Vo,Wq V.F2.0F.12 L0
  vmovddup Vh,Wh V.F2.0F.12 L1
  vmovlps Mq,Vq V.NP.0F.13 L0
  vmovlpd Mq,Vq V.66.0F.13 L0
  vunpcklps Vx,Hx,Wx V.NP.0F.14
  vunpcklpd Vx,Hx,Wx V.66.0F.14
  vunpckhps Vx,Hx,Wx V.NP.0F.15
  vunpckhpd Vx,Hx,Wx V.66.0F.15
  vmovhps Vo,Ho,Mq V.NP.0F.16 L0
  vmovlhps Vo,Ho,Uo V.NP.0F.16 L0
  vmovhpd Vo,Ho,Mq V.66.0F.16 L0
  vmovshdup Vx,Wx V.F3.0F.16
  vmovhps Mq,Vq V.NP.0F.17 L0
  vmovhpd Mq,Vq V.66.0F.17 L0
  vmovaps Vx,Wx V.NP.0F.28
  vmovapd Vx,Wx V.66.0F.28
  vmovaps Wx,Vx V.NP.0F.29
  vmovapd Wx,Vx V.66.0F.29
  vcvtsi2ss Vd,Hd,Ey V.F3.0F.2A
  vcvtsi2sd Vq,Hq,Ey V.F2.0F.2A
  vmovntps Mx,Vx V.NP.0F.2B
  vmovntpd Mx,Vx V.66.0F.2B
  vcvttss2si Gy,Wd V.F3.0F.2C
  vcvttsd2si Gy,Wq V.F2.0F.2C
  vcvtss2si Gy,Wd V.F3.0F.2D
  vcvtsd2si Gy,Wq V.F2.0F.2D
  vucomiss Vd,Wd V.NP.0F.2E
  vucomisd Vq,Wq V.66.0F.2E
  vcomiss Vd,Wd V.NP.0F.2F
  vcomisd Vq,Wq V.66.0F.2F
  vmovmskps Gd,Ux V.NP.0F.50
  vmovmskpd Gd,Ux V.66.0F.50
  vsqrtps Vx,Wx V.NP.0F.51
  vsqrtpd Vx,Wx V.66.0F.51
  vsqrtss Vd,Hd,Wd V.F3.0F.51
  vsqrtsd Vq,Hq,Wq V.F2.0F.51
  vrsqrtps Vx,Wx V.NP.0F.52
  vrsqrtss Vd,Hd,Wd V.F3.0F.52
  vrcpps Vx,Wx V.NP.0F.53
  vrcpss Vd,Hd,Wd V.F3.0F.53
  {vandps,vandnps,vorps,vxorps} Vx,Hx,Wx V.NP.0F.54+n
  {vandpd,vandnpd,vorpd,vxorpd} Vx,Hx,Wx V.66.0F.54+n
  {vaddps,vmulps} Vx,Hx,Wx V.NP.0F.58+n
  {vaddpd,vmulpd} Vx,Hx,Wx V.66.0F.58+n
  {vaddss,vmulss} Vd,Hd,Wd V.F3.0F.58+n
  {vaddsd,vmulsd} Vq,Hq,Wq V.F2.0F.58+n
  vcvtps2pd Vx,Wk V.NP.0F.5A
  vcvtpd2ps Vo,Wx V.66.0F.5A
  vcvtss2sd Vq,Hq,Wd V.F3.0F.5A
  vcvtsd2ss Vd,Hd,Wq V.F2.0F.5A
  vcvtdq2ps Vx,Wx V.NP.0F.5B
  vcvtps2dq Vx,Wx V.66.0F.5B
  vcvttps2dq Vx,Wx V.F3.0F.5B
  {vsubps,vminps,vdivps,vmaxps} Vx,Hx,Wx V.NP.0F.5C+n
  {vsubpd,vminpd,vdivpd,vmaxpd} Vx,Hx,Wx V.66.0F.5C+n
  {vsubss,vminss,vdivss,vmaxss} Vd,Hd,Wd V.F3.0F.5C+n
  {vsubsd,vminsd,vdivsd,vmaxsd} Vq,Hq,Wq V.F2.0F.5C+n
  vmovd Vd,Ed V.66.0F.6E L0 W0
  vmovd Vd,Ed V.66.0F.6E L0 W1 i64 alt
  vmovq Vq,Eq V.66.0F.6E L0 W1 o64
  vmovdqa Vx,Wx V.66.0F.6F
  vmovdqu Vx,Wx V.F3.0F.6F
  vzeroupper - V.NP.0F.77 L0
  vzeroall - V.NP.0F.77 L1
  vhaddpd Vx,Hx,Wx V.66.0F.7C
  vhaddps Vx,Hx,Wx V.F2.0F.7C
  vhsubpd Vx,Hx,Wx V.66.0F.7D
  vhsubps Vx,Hx,Wx V.F2.0F.7D
  vmovq Vq,Wq V.F3.0F.7E L0
  vmovd Ed,Vd V.66.0F.7E L0 W0
  vmovd Ed,Vd V.66.0F.7E L0 W1 i64 alt
  vmovq Eq,Vq V.66.0F.7E L0 W1 o64
  vmovdqa Wx,Vx V.66.0F.7F
  vmovdqu Wx,Vx V.F3.0F.7F
  vldmxcsr Md V.NP.0F.AE/2 L0
  vstmxcsr Md V.NP.0F.AE/3 L0
  vcmpps Vx,Hx,Wx,Ib V.NP.0F.C2
  vcmppd Vx,Hx,Wx,Ib V.66.0F.C2
  vcmpss Vd,Hd,Wd,Ib V.F3.0F.C2
  vcmpsd Vq,Hq,Wq,Ib V.F2.0F.C2
  vpinsrw Vo,Ho,Rd,Ib V.66.0F.C4 L0
  vpinsrw Vo,Ho,Mw,Ib V.66.0F.C4 L0
  vpextrw Gd,Uo,Ib V.66.0F.C5 L0
  vshufps Vx,Hx,Wx,Ib V.NP.0F.C6
  vshufpd Vx,Hx,Wx,Ib V.66.0F.C6
  vaddsubpd Vx,Hx,Wx V.66.0F.D0
  vaddsubps Vx,Hx,Wx V.F2.0F.D0
  vmovq Wq,Vq V.66.0F.D6 L0
  vcvttpd2dq Vo,Wx V.66.0F.E6
  vcvtdq2pd Vx,Wk V.F3.0F.E6
  vcvtpd2dq Vo,Wx V.F2.0F.E6
  vmovntdq Mx,Vx V.66.0F.E7
  vlddqu Vx,Mx V.F2.0F.F0
  vmaskmovdqu Vo,Uo V.66.0F.F7 L0
  vpermilps Vx,Hx,Wx V.66.0F38.0C W0
  vpermilpd Vx,Hx,Wx V.66.0F38.0D W0
  vtestps Vx,Wx V.66.0F38.0E W0
  vtestpd Vx,Wx V.66.0F38.0F W0
  vptest Vx,Wx V.66.0F38.17
  vbroadcastss Vx,Wd V.66.0F38.18 W0
  vbroadcastsd Vh,Wq V.66.0F38.19 W0 L1
  vbroadcastf128 Vh,Mo V.66.0F38.1A W0 L1
  vmaskmovps Vx,Hx,Mx V.66.0F38.2C W0
  vmaskmovpd Vx,Hx,Mx V.66.0F38.2D W0
  vmaskmovps Mx,Hx,Vx V.66.0F38.2E W0
  vmaskmovpd Mx,Hx,Vx V.66.0F38.2F W0
  vphminposuw Vo,Wo V.66.0F38.41 L0
  vpermilps Vx,Wx,Ib V.66.0F3A.04 W0
  vpermilpd Vx,Wx,Ib V.66.0F3A.05 W0
  vperm2f128 Vh,Hh,Wh,Ib V.66.0F3A.06 W0 L1
  vroundps Vx,Wx,Ib V.66.0F3A.08
  vroundpd Vx,Wx,Ib V.66.0F3A.09
  vroundss Vd,Hd,Wd,Ib V.66.0F3A.0A
  vroundsd Vq,Hq,Wq,Ib V.66.0F3A.0B
  vblendps Vx,Hx,Wx,Ib V.66.0F3A.0C
  vblendpd Vx,Hx,Wx,Ib V.66.0F3A.0D
  vpextrb Rd,Vo,Ib V.66.0F3A.14 L0
  vpextrb Mb,Vo,Ib V.66.0F3A.14 L0
  vpextrw Rd,Vo,Ib V.66.0F3A.15 L0 alt
  vpextrw Mw,Vo,Ib V.66.0F3A.15 L0
  vpextrd Ed,Vo,Ib V.66.0F3A.16 L0 W0
  vpextrd Ed,Vo,Ib V.66.0F3A.16 L0 W1 i64 alt
  vpextrq Eq,Vo,Ib V.66.0F3A.16 L0 W1 o64
  vextractps Ed,Vo,Ib V.66.0F3A.17 L0
  vinsertf128 Vh,Hh,Wo,Ib V.66.0F3A.18 W0 L1
  vextractf128 Wo,Vh,Ib V.66.0F3A.19 W0 L1
  vpinsrb Vo,Ho,Rd,Ib V.66.0F3A.20 L0
  vpinsrb Vo,Ho,Mb,Ib V.66.0F3A.20 L0
  vinsertps Vo,Ho,Wd,Ib V.66.0F3A.21 L0
  vpinsrd Vo,Ho,Ed,Ib V.66.0F3A.22 L0 W0
  vpinsrd Vo,Ho,Ed,Ib V.66.0F3A.22 L0 W1 i64 alt
  vpinsrq Vo,Ho,Eq,Ib V.66.0F3A.22 L0 W1 o64
  vdpps Vx,Hx,Wx,Ib V.66.0F3A.40
  vdppd Vo,Ho,Wo,Ib V.66.0F3A.41 L0
  vpclmulqdq Vo,Ho,Wo,Ib V.66.0F3A.44 L0
  vblendvps Vx,Hx,Wx,Lx V.66.0F3A.4A W0
  vblendvpd Vx,Hx,Wx,Lx V.66.0F3A.4B W0
  vpcmpestrm Vo,Wo,Ib V.66.0F3A.60 L0
  vpcmpestri Vo,Wo,Ib V.66.0F3A.61 L0
  vpcmpistrm Vo,Wo,Ib V.66.0F3A.62 L0
  vpcmpistri Vo,Wo,Ib V.66.0F3A.63 L0
  vaesimc Vo,Wo V.66.0F38.DB L0
  {vaesenc,vaesenclast,vaesdec,vaesdeclast} Vo,Ho,Wo V.66.0F38.DC+n L0
  vaeskeygenassist Vo,Wo,Ib V.66.0F3A.DF L0
  [f16c]
  vcvtph2ps Vx,Wk V.66.0F38.13 W0
  vcvtps2ph Wk,Vx,Ib V.66.0F3A.1D W0
  """

/// Integer instructions: 128 bits with AVX, 256 with AVX2.
let avx2Rows = """
  [avx2]
  {vpunpcklbw,vpunpcklwd,vpunpckldq,vpacksswb,vpcmpgtb,vpcmpgtw,vpcmpgtd,vpackuswb} Vx,Hx,Wx V.66.0F.60+n
  {vpunpckhbw,vpunpckhwd,vpunpckhdq,vpackssdw,vpunpcklqdq,vpunpckhqdq} Vx,Hx,Wx V.66.0F.68+n
  vpshufd Vx,Wx,Ib V.66.0F.70
  vpshufhw Vx,Wx,Ib V.F3.0F.70
  vpshuflw Vx,Wx,Ib V.F2.0F.70
  vpsrlw Hx,Ux,Ib V.66.0F.71/2
  vpsraw Hx,Ux,Ib V.66.0F.71/4
  vpsllw Hx,Ux,Ib V.66.0F.71/6
  vpsrld Hx,Ux,Ib V.66.0F.72/2
  vpsrad Hx,Ux,Ib V.66.0F.72/4
  vpslld Hx,Ux,Ib V.66.0F.72/6
  vpsrlq Hx,Ux,Ib V.66.0F.73/2
  vpsrldq Hx,Ux,Ib V.66.0F.73/3
  vpsllq Hx,Ux,Ib V.66.0F.73/6
  vpslldq Hx,Ux,Ib V.66.0F.73/7
  {vpcmpeqb,vpcmpeqw,vpcmpeqd} Vx,Hx,Wx V.66.0F.74+n
  {vpsrlw,vpsrld,vpsrlq} Vx,Hx,Wo V.66.0F.D1+n
  {vpaddq,vpmullw} Vx,Hx,Wx V.66.0F.D4+n
  vpmovmskb Gd,Ux V.66.0F.D7
  {vpsubusb,vpsubusw,vpminub,vpand,vpaddusb,vpaddusw,vpmaxub,vpandn} Vx,Hx,Wx V.66.0F.D8+n
  vpavgb Vx,Hx,Wx V.66.0F.E0
  {vpsraw,vpsrad} Vx,Hx,Wo V.66.0F.E1+n
  {vpavgw,vpmulhuw,vpmulhw} Vx,Hx,Wx V.66.0F.E3+n
  {vpsubsb,vpsubsw,vpminsw,vpor,vpaddsb,vpaddsw,vpmaxsw,vpxor} Vx,Hx,Wx V.66.0F.E8+n
  {vpsllw,vpslld,vpsllq} Vx,Hx,Wo V.66.0F.F1+n
  {vpmuludq,vpmaddwd,vpsadbw} Vx,Hx,Wx V.66.0F.F4+n
  {vpsubb,vpsubw,vpsubd,vpsubq,vpaddb,vpaddw,vpaddd} Vx,Hx,Wx V.66.0F.F8+n
  {vpshufb,vphaddw,vphaddd,vphaddsw,vpmaddubsw,vphsubw,vphsubd,vphsubsw} Vx,Hx,Wx V.66.0F38.00+n
  {vpsignb,vpsignw,vpsignd,vpmulhrsw} Vx,Hx,Wx V.66.0F38.08+n
  vpermps Vh,Hh,Wh V.66.0F38.16 W0 L1
  {vpabsb,vpabsw,vpabsd} Vx,Wx V.66.0F38.1C+n
  vpmovsxbw Vx,Wk V.66.0F38.20
  vpmovsxbd Vx,Wf V.66.0F38.21
  vpmovsxbq Vx,We V.66.0F38.22
  vpmovsxwd Vx,Wk V.66.0F38.23
  vpmovsxwq Vx,Wf V.66.0F38.24
  vpmovsxdq Vx,Wk V.66.0F38.25
  vpmuldq Vx,Hx,Wx V.66.0F38.28
  vpcmpeqq Vx,Hx,Wx V.66.0F38.29
  vmovntdqa Vx,Mx V.66.0F38.2A
  vpackusdw Vx,Hx,Wx V.66.0F38.2B
  vpmovzxbw Vx,Wk V.66.0F38.30
  vpmovzxbd Vx,Wf V.66.0F38.31
  vpmovzxbq Vx,We V.66.0F38.32
  vpmovzxwd Vx,Wk V.66.0F38.33
  vpmovzxwq Vx,Wf V.66.0F38.34
  vpmovzxdq Vx,Wk V.66.0F38.35
  vpermd Vh,Hh,Wh V.66.0F38.36 W0 L1
  vpcmpgtq Vx,Hx,Wx V.66.0F38.37
  {vpminsb,vpminsd,vpminuw,vpminud,vpmaxsb,vpmaxsd,vpmaxuw,vpmaxud} Vx,Hx,Wx V.66.0F38.38+n
  vpmulld Vx,Hx,Wx V.66.0F38.40
  vpsrlvd Vx,Hx,Wx V.66.0F38.45 W0
  vpsrlvq Vx,Hx,Wx V.66.0F38.45 W1
  vpsravd Vx,Hx,Wx V.66.0F38.46 W0
  vpsllvd Vx,Hx,Wx V.66.0F38.47 W0
  vpsllvq Vx,Hx,Wx V.66.0F38.47 W1
  vpbroadcastd Vx,Wd V.66.0F38.58 W0
  vpbroadcastq Vx,Wq V.66.0F38.59 W0
  vbroadcasti128 Vh,Mo V.66.0F38.5A W0 L1
  vpbroadcastb Vx,Wb V.66.0F38.78 W0
  vpbroadcastw Vx,Ww V.66.0F38.79 W0
  vpmaskmovd Vx,Hx,Mx V.66.0F38.8C W0
  vpmaskmovq Vx,Hx,Mx V.66.0F38.8C W1
  vpmaskmovd Mx,Hx,Vx V.66.0F38.8E W0
  vpmaskmovq Mx,Hx,Vx V.66.0F38.8E W1
  vpgatherdd Vx,Xd,Hx V.66.0F38.90 W0
  vpgatherdq Vx,Xq,Hx V.66.0F38.90 W1
  vpgatherqd Vo,Xd,Ho V.66.0F38.91 W0
  vpgatherqq Vx,Xq,Hx V.66.0F38.91 W1
  vgatherdps Vx,Xd,Hx V.66.0F38.92 W0
  vgatherdpd Vx,Xq,Hx V.66.0F38.92 W1
  vgatherqps Vo,Xd,Ho V.66.0F38.93 W0
  vgatherqpd Vx,Xq,Hx V.66.0F38.93 W1
  vpermq Vh,Wh,Ib V.66.0F3A.00 W1 L1
  vpermpd Vh,Wh,Ib V.66.0F3A.01 W1 L1
  vpblendd Vx,Hx,Wx,Ib V.66.0F3A.02 W0
  vpblendw Vx,Hx,Wx,Ib V.66.0F3A.0E
  vpalignr Vx,Hx,Wx,Ib V.66.0F3A.0F
  vinserti128 Vh,Hh,Wo,Ib V.66.0F3A.38 W0 L1
  vextracti128 Wo,Vh,Ib V.66.0F3A.39 W0 L1
  vmpsadbw Vx,Hx,Wx,Ib V.66.0F3A.42
  vperm2i128 Vh,Hh,Wh,Ib V.66.0F3A.46 W0 L1
  vpblendvb Vx,Hx,Wx,Lx V.66.0F3A.4C W0
  """

let fmaRows = """
  [fma]
  {vfmaddsub132ps,vfmsubadd132ps,vfmadd132ps} Vx,Hx,Wx V.66.0F38.96+n W0
  {vfmaddsub132pd,vfmsubadd132pd,vfmadd132pd} Vx,Hx,Wx V.66.0F38.96+n W1
  vfmadd132ss Vd,Hd,Wd V.66.0F38.99 W0
  vfmadd132sd Vq,Hq,Wq V.66.0F38.99 W1
  vfmsub132ps Vx,Hx,Wx V.66.0F38.9A W0
  vfmsub132pd Vx,Hx,Wx V.66.0F38.9A W1
  vfmsub132ss Vd,Hd,Wd V.66.0F38.9B W0
  vfmsub132sd Vq,Hq,Wq V.66.0F38.9B W1
  vfnmadd132ps Vx,Hx,Wx V.66.0F38.9C W0
  vfnmadd132pd Vx,Hx,Wx V.66.0F38.9C W1
  vfnmadd132ss Vd,Hd,Wd V.66.0F38.9D W0
  vfnmadd132sd Vq,Hq,Wq V.66.0F38.9D W1
  vfnmsub132ps Vx,Hx,Wx V.66.0F38.9E W0
  vfnmsub132pd Vx,Hx,Wx V.66.0F38.9E W1
  vfnmsub132ss Vd,Hd,Wd V.66.0F38.9F W0
  vfnmsub132sd Vq,Hq,Wq V.66.0F38.9F W1
  {vfmaddsub213ps,vfmsubadd213ps,vfmadd213ps} Vx,Hx,Wx V.66.0F38.A6+n W0
  {vfmaddsub213pd,vfmsubadd213pd,vfmadd213pd} Vx,Hx,Wx V.66.0F38.A6+n W1
  vfmadd213ss Vd,Hd,Wd V.66.0F38.A9 W0
  vfmadd213sd Vq,Hq,Wq V.66.0F38.A9 W1
  vfmsub213ps Vx,Hx,Wx V.66.0F38.AA W0
  vfmsub213pd Vx,Hx,Wx V.66.0F38.AA W1
  vfmsub213ss Vd,Hd,Wd V.66.0F38.AB W0
  vfmsub213sd Vq,Hq,Wq V.66.0F38.AB W1
  vfnmadd213ps Vx,Hx,Wx V.66.0F38.AC W0
  vfnmadd213pd Vx,Hx,Wx V.66.0F38.AC W1
  vfnmadd213ss Vd,Hd,Wd V.66.0F38.AD W0
  vfnmadd213sd Vq,Hq,Wq V.66.0F38.AD W1
  vfnmsub213ps Vx,Hx,Wx V.66.0F38.AE W0
  vfnmsub213pd Vx,Hx,Wx V.66.0F38.AE W1
  vfnmsub213ss Vd,Hd,Wd V.66.0F38.AF W0
  vfnmsub213sd Vq,Hq,Wq V.66.0F38.AF W1
  {vfmaddsub231ps,vfmsubadd231ps,vfmadd231ps} Vx,Hx,Wx V.66.0F38.B6+n W0
  {vfmaddsub231pd,vfmsubadd231pd,vfmadd231pd} Vx,Hx,Wx V.66.0F38.B6+n W1
  vfmadd231ss Vd,Hd,Wd V.66.0F38.B9 W0
  vfmadd231sd Vq,Hq,Wq V.66.0F38.B9 W1
  vfmsub231ps Vx,Hx,Wx V.66.0F38.BA W0
  vfmsub231pd Vx,Hx,Wx V.66.0F38.BA W1
  vfmsub231ss Vd,Hd,Wd V.66.0F38.BB W0
  vfmsub231sd Vq,Hq,Wq V.66.0F38.BB W1
  vfnmadd231ps Vx,Hx,Wx V.66.0F38.BC W0
  vfnmadd231pd Vx,Hx,Wx V.66.0F38.BC W1
  vfnmadd231ss Vd,Hd,Wd V.66.0F38.BD W0
  vfnmadd231sd Vq,Hq,Wq V.66.0F38.BD W1
  vfnmsub231ps Vx,Hx,Wx V.66.0F38.BE W0
  vfnmsub231pd Vx,Hx,Wx V.66.0F38.BE W1
  vfnmsub231ss Vd,Hd,Wd V.66.0F38.BF W0
  vfnmsub231sd Vq,Hq,Wq V.66.0F38.BF W1
  [bmi1]
  andn Gy,By,Ey V.NP.0F38.F2 L0
  blsr By,Ey V.NP.0F38.F3/1 L0
  blsmsk By,Ey V.NP.0F38.F3/2 L0
  blsi By,Ey V.NP.0F38.F3/3 L0
  bextr Gy,Ey,By V.NP.0F38.F7 L0
  [bmi2]
  bzhi Gy,Ey,By V.NP.0F38.F5 L0
  pext Gy,By,Ey V.F3.0F38.F5 L0
  pdep Gy,By,Ey V.F2.0F38.F5 L0
  mulx Gy,By,Ey V.F2.0F38.F6 L0
  shlx Gy,Ey,By V.66.0F38.F7 L0
  sarx Gy,Ey,By V.F3.0F38.F7 L0
  shrx Gy,Ey,By V.F2.0F38.F7 L0
  rorx Gy,Ey,Ib V.F2.0F3A.F0 L0
  """
