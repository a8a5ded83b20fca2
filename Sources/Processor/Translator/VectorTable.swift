import X86

/// SSE instructions that run as themselves on the host, on copies of the guest's registers. Legacy encodings only: AVX is left to
/// the interpreter. RCPPS and RSQRTPS have a result of Paravane's own and are not here.
enum VectorNative {
  /// The first operand is read, or only written; written to a general register; written from one; compared (flags).
  enum Role: UInt8, Sendable {
    case modify, write, toGeneral, fromGeneral, compare
  }

  private static let text: [(Role, String)] = [
    (
      .modify,
      """
      addps addpd addss addsd subps subpd subss subsd mulps mulpd mulss mulsd divps divpd divss divsd minps minpd minss minsd maxps maxpd
      maxss maxsd sqrtss sqrtsd andps andpd andnps andnpd orps orpd xorps xorpd unpcklps unpckhps unpcklpd unpckhpd shufps shufpd cmpps cmppd
      cmpss cmpsd.sse haddps haddpd hsubps hsubpd addsubps addsubpd movss movsd.sse movhlps movlhps movlps movhps movlpd movhpd pshufb
      punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq packsswb packssdw packuswb packusdw paddb paddw paddd
      paddq paddsb paddsw paddusb paddusw psubb psubw psubd psubq psubsb psubsw psubusb psubusw pmullw pmulld pmulhw pmulhuw pmulhrsw pmuludq
      pmuldq pand pandn por pxor pcmpeqb pcmpeqw pcmpeqd pcmpeqq pcmpgtb pcmpgtw pcmpgtd pcmpgtq pminub pminsw pminsb pminuw pminud pminsd
      pmaxub pmaxsw pmaxsb pmaxuw pmaxud pmaxsd pavgb pavgw psadbw psllw pslld psllq psrlw psrld psrlq psraw psrad pslldq psrldq pmaddwd
      pmaddubsw palignr psignb psignw psignd phaddw phaddd phsubw phsubd pblendw blendps blendpd cvtss2sd cvtsd2ss roundss roundsd aesenc
      aesenclast aesdec aesdeclast pclmulqdq sha1msg1 sha1msg2 sha1nexte sha1rnds4 sha256msg1 sha256msg2 insertps
      """
    ),
    (
      .write,
      """
      movaps movups movapd movupd movdqa movdqu lddqu movq movddup movshdup movsldup pshufd pshuflw pshufhw pabsb pabsw pabsd sqrtps sqrtpd
      cvtdq2ps cvtdq2pd cvtps2dq cvttps2dq cvtps2pd cvtpd2ps cvtpd2dq cvttpd2dq roundps roundpd aesimc aeskeygenassist pmovzxbw pmovzxbd
      pmovzxbq pmovzxwd pmovzxwq pmovzxdq pmovsxbw pmovsxbd pmovsxbq pmovsxwd pmovsxwq pmovsxdq movntps movntpd movntdq movd
      """
    ),
    (.toGeneral, "pmovmskb movmskps movmskpd cvttsd2si cvtsd2si cvttss2si cvtss2si"),
    (.fromGeneral, "cvtsi2sd cvtsi2ss"),
    (.compare, "comiss comisd ucomiss ucomisd"),
  ]

  /// By mnemonic number.
  static let table: [Role?] = {
    var table = [Role?](repeating: nil, count: 1 << 12)
    for (role, names) in text {
      for name in names.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
        if let mnemonic = Mnemonic(String(name)) { table[Int(mnemonic.rawValue)] = role }
      }
    }
    return table
  }()

  /// Packed operands in memory that need no alignment.
  static let unaligned: [Bool] = {
    var table = [Bool](repeating: false, count: 1 << 12)
    for name in ["movups", "movupd", "movdqu", "lddqu"] {
      if let mnemonic = Mnemonic(name) { table[Int(mnemonic.rawValue)] = true }
    }
    return table
  }()
}

/// The encoding of a legacy SSE instruction, taken from its own bytes.
struct VectorEncoding: Sendable {
  /// 0x66, 0xF2, 0xF3 or 0.
  var prefix: UInt8 = 0
  /// 0: 0F xx; 0x38, 0x3A: 0F 38 xx, 0F 3A xx.
  var map: UInt8 = 0
  var opcode: UInt8 = 0
  var modRM: UInt8 = 0
  var wide = false
  var immediate: UInt8?
  var role: VectorNative.Role

  init?(_ bytes: UnsafeRawBufferPointer, _ i: Instruction, role: VectorNative.Role) {
    self.role = role
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
    if byte(at) & 0xF0 == 0x40 {
      wide = byte(at) & 8 != 0
      at += 1
    }
    guard byte(at) == 0x0F else { return nil }
    at += 1
    if byte(at) == 0x38 || byte(at) == 0x3A {
      map = byte(at)
      at += 1
    }
    opcode = byte(at)
    modRM = byte(at + 1)
    let o = i.operands
    if o.2.kind == .immediate || o.1.kind == .immediate { immediate = UInt8(truncatingIfNeeded: i.immediate) }
  }
}
