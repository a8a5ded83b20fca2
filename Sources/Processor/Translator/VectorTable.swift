import CHost
import X86

/// SSE and AVX instructions that run as themselves on the host, on the guest's own registers. RCPPS and RSQRTPS have a result of
/// Paravane's own, masked moves and gathers fault by elements, string compares have implicit operands: they are not here.
enum VectorNative {
  struct Entry: Sendable {
    /// PH_VECTOR_* bits that the host must have.
    var features: UInt32
    /// Sets CF, PF and ZF and clears the other flags.
    var compares = false
    /// Packed operands in memory need no alignment (legacy), or do need it (VEX).
    var alignmentDiffers = false
  }

  /// Legacy encodings by host feature; the VEX encodings are the same names with a "v".
  private static let legacy: [(Int, String)] = [
    (
      0,
      """
      addps addpd addss addsd subps subpd subss subsd mulps mulpd mulss mulsd divps divpd divss divsd minps minpd minss minsd maxps maxpd
      maxss maxsd sqrtss sqrtsd andps andpd andnps andnpd orps orpd xorps xorpd unpcklps unpckhps unpcklpd unpckhpd shufps shufpd cmpps cmppd
      cmpss cmpsd.sse movss movsd.sse movhlps movlhps movlps movhps movlpd movhpd
      punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq packsswb packssdw packuswb paddb paddw paddd
      paddq paddsb paddsw paddusb paddusw psubb psubw psubd psubq psubsb psubsw psubusb psubusw pmullw pmulhw pmulhuw pmuludq
      pand pandn por pxor pcmpeqb pcmpeqw pcmpeqd pcmpgtb pcmpgtw pcmpgtd pminub pminsw pmaxub pmaxsw pavgb pavgw psadbw psllw pslld
      psllq psrlw psrld psrlq psraw psrad pslldq psrldq pmaddwd cvtss2sd cvtsd2ss movaps movups movapd movupd movdqa movdqu movq pshufd
      pshuflw pshufhw sqrtps sqrtpd cvtdq2ps cvtdq2pd cvtps2dq cvttps2dq cvtps2pd cvtpd2ps cvtpd2dq cvttpd2dq movntps movntpd movntdq movd
      pmovmskb movmskps movmskpd cvttsd2si cvtsd2si cvttss2si cvtss2si cvtsi2sd cvtsi2ss comiss comisd ucomiss ucomisd pinsrw pextrw
      """
    ),
    (PH_VECTOR_SSE3, "haddps haddpd hsubps hsubpd addsubps addsubpd lddqu movddup movshdup movsldup"),
    (
      PH_VECTOR_SSSE3,
      """
      pshufb pmulhrsw pmaddubsw palignr psignb psignw psignd phaddw phaddd phsubw phsubd phaddsw phsubsw pabsb pabsw pabsd
      """
    ),
    (
      PH_VECTOR_SSE41,
      """
      packusdw pmulld pmuldq pcmpeqq pminsb pminuw pminud pminsd pmaxsb pmaxuw pmaxud pmaxsd pblendw blendps blendpd roundss roundsd
      roundps roundpd insertps pmovzxbw pmovzxbd pmovzxbq pmovzxwd pmovzxwq pmovzxdq pmovsxbw pmovsxbd pmovsxbq pmovsxwd pmovsxwq pmovsxdq
      ptest pblendvb blendvps blendvpd dpps dppd mpsadbw phminposuw pinsrb pinsrd pinsrq pextrb pextrd pextrq extractps movntdqa
      """
    ),
    (PH_VECTOR_SSE42, "pcmpgtq"),
    (PH_VECTOR_AES, "aesenc aesenclast aesdec aesdeclast aesimc aeskeygenassist"),
    (PH_VECTOR_PCLMULQDQ, "pclmulqdq"),
    (PH_VECTOR_SHA, "sha1msg1 sha1msg2 sha1nexte sha1rnds4 sha256msg1 sha256msg2 sha256rnds2"),
  ]

  /// Encodings that exist with VEX only.
  private static let vexOnly: [(Int, String)] = [
    (
      0,
      """
      vbroadcastss vbroadcastsd vbroadcastf128 vpermilps vpermilpd vperm2f128 vinsertf128 vextractf128 vtestps vtestpd vzeroupper vzeroall
      vpbroadcastb vpbroadcastw vpbroadcastd vpbroadcastq vbroadcasti128 vpermd vpermps vpermq vpermpd vperm2i128 vinserti128 vextracti128
      vpblendd vpsrlvd vpsrlvq vpsravd vpsllvd vpsllvq
      """
    ),
    (PH_VECTOR_F16C, "vcvtph2ps vcvtps2ph"),
  ]

  /// By mnemonic number.
  static let table: [Entry?] = {
    var table = [Entry?](repeating: nil, count: 1 << 12)
    func set(_ name: String, _ features: Int) {
      guard let mnemonic = Mnemonic(name) else { return }
      table[Int(mnemonic.rawValue)] = Entry(features: UInt32(features))
    }
    for (features, names) in legacy {
      for name in names.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
        set(String(name), features)
        let plain = name.split(separator: ".")[0]
        set("v" + plain, features | PH_VECTOR_AVX2)
      }
    }
    for (features, names) in vexOnly {
      for name in names.split(whereSeparator: { $0 == " " || $0 == "\n" }) { set(String(name), features | PH_VECTOR_AVX2) }
    }
    for operation in ["vfmadd", "vfmsub", "vfnmadd", "vfnmsub", "vfmaddsub", "vfmsubadd"] {
      for order in ["132", "213", "231"] {
        for type in ["ps", "pd", "ss", "sd"] { set(operation + order + type, PH_VECTOR_FMA | PH_VECTOR_AVX2) }
      }
    }
    let comparisons = [
      "comiss", "comisd", "ucomiss", "ucomisd", "ptest", "vcomiss", "vcomisd", "vucomiss", "vucomisd", "vptest", "vtestps", "vtestpd",
    ]
    for name in comparisons {
      if let mnemonic = Mnemonic(name) { table[Int(mnemonic.rawValue)]?.compares = true }
    }
    let different = [
      "movups", "movupd", "movdqu", "lddqu", "vmovaps", "vmovapd", "vmovdqa", "vmovntps", "vmovntpd", "vmovntdq", "vmovntdqa",
    ]
    for name in different {
      if let mnemonic = Mnemonic(name) { table[Int(mnemonic.rawValue)]?.alignmentDiffers = true }
    }
    return table
  }()

  /// PH_VECTOR_* bits of this host.
  static let hostFeatures: UInt32 = ph_vector_features()
}

/// The encoding of an SSE or AVX instruction, taken from its own bytes.
struct VectorEncoding: Sendable {
  /// 0x66, 0xF2, 0xF3 or 0.
  var prefix: UInt8 = 0
  /// 0: 0F xx; 0x38, 0x3A: 0F 38 xx, 0F 3A xx.
  var map: UInt8 = 0
  var opcode: UInt8 = 0
  var modRM: UInt8 = 0
  /// ModRM.reg and ModRM.rm with their high bits.
  var reg = 0
  var rm = 0
  var wide = false
  var vex = false
  /// Bits 6:2 of the last VEX byte as they are: vvvv and L.
  var vexBits = 0
  var immediate: UInt8?
  var hasModRM = true
  var entry: VectorNative.Entry

  init?(_ bytes: UnsafeRawBufferPointer, _ i: Instruction, entry: VectorNative.Entry) {
    self.entry = entry
    var at = 0
    let length = Int(i.length)
    guard length <= bytes.count else { return nil }
    func byte(_ index: Int) -> UInt8 { index < length ? bytes[index] : 0 }
    prefixes: while true {
      switch byte(at) {
      case 0x66: if prefix == 0 { prefix = 0x66 }
      case 0xF2, 0xF3: prefix = byte(at)
      case 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65: break
      default: break prefixes
      }
      at += 1
    }
    var (highReg, highRM) = (0, 0)
    let pp: [UInt8] = [0, 0x66, 0xF3, 0xF2]
    if i.prefixes.contains(.vex) {
      vex = true
      if byte(at) == 0xC5 {
        highReg = Int(~byte(at + 1) >> 7) << 3
        vexBits = Int(byte(at + 1) >> 2 & 0x1F)
        prefix = pp[Int(byte(at + 1) & 3)]
        at += 2
      } else {
        highReg = Int(~byte(at + 1) >> 7) << 3
        highRM = Int(~byte(at + 1) >> 5 & 1) << 3
        switch byte(at + 1) & 0x1F {
        case 1: map = 0
        case 2: map = 0x38
        case 3: map = 0x3A
        default: return nil
        }
        wide = byte(at + 2) & 0x80 != 0
        vexBits = Int(byte(at + 2) >> 2 & 0x1F)
        prefix = pp[Int(byte(at + 2) & 3)]
        at += 3
      }
    } else {
      if byte(at) & 0xF0 == 0x40 {
        wide = byte(at) & 8 != 0
        highReg = Int(byte(at) >> 2 & 1) << 3
        highRM = Int(byte(at) & 1) << 3
        at += 1
      }
      guard byte(at) == 0x0F else { return nil }
      at += 1
      if byte(at) == 0x38 || byte(at) == 0x3A {
        map = byte(at)
        at += 1
      }
    }
    opcode = byte(at)
    at += 1
    if vex && map == 0 && opcode == 0x77 {
      hasModRM = false
      return
    }
    modRM = byte(at)
    reg = Int(modRM >> 3 & 7) | highReg
    rm = Int(modRM & 7) | highRM
    at += 1
    let mod = modRM >> 6
    if mod != 3 {
      var base = modRM & 7
      if base == 4 {
        base = byte(at) & 7
        at += 1
      }
      if mod == 1 { at += 1 }
      if mod == 2 || (mod == 0 && base == 5) { at += 4 }
    }
    if at == length - 1 {
      immediate = byte(at)
    } else if at != length {
      return nil
    }
  }

  /// Where the general operand is, if there is one: in ModRM.reg (always written), or in ModRM.rm.
  var generalInReg: Bool {
    guard map == 0 else { return false }
    switch opcode {
    case 0x2C, 0x2D, 0x50, 0xD7, 0xC5: return true
    default: return false
    }
  }
}
