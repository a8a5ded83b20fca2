import X86

/// How an answer of ours and one of Capstone's relate.
enum Verdict: String, CaseIterable {
  case same
  /// VEX after 66, F2, F3, LOCK or REX is #UD; Capstone ignores those prefixes.
  case prefixBeforeVEX
  /// 66, F2 or F3 before an opcode that has no such form is #UD; Capstone ignores the prefix.
  case prefixNotAllowed
  /// Capstone takes 66, F2 or F3 as part of the opcode only by their order; processors take F2 and F3 before 66 in any order.
  case prefixOrder
  /// LOCK is #UD unless a lockable instruction has a memory destination; Capstone does not check.
  case lockNotAllowed
  /// In 64-bit mode Intel processors ignore 66 on near branches; Capstone does as AMD processors do.
  case nearBranchSize
  /// VEX.W, VEX.L or VEX.vvvv has a value that is #UD; Capstone ignores it.
  case vexField
  /// A gather without SIB or with equal registers is #UD.
  case gatherRegisters
  /// Control and debug registers that do not exist.
  case noSuchRegister
  /// UD0 and UD1 have a ModRM byte; Capstone reads none.
  case undefinedOpcode
  /// Instructions that the table leaves out on purpose: VMX, SVM, SGX, SSE4a, 3DNow!, FMA4, XOP, MPX, AVX-512.
  case leftOut
  /// Hint encodings, ModRM.rm of fences, and newer instructions that Capstone 4.0.2 does not know.
  case unknownToCapstone
  /// REX before another prefix is ignored; Capstone refuses some of these.
  case ignoredREX
  /// Capstone refuses F2 and F3 before MOV with an absolute address.
  case repeatedMove
  /// Capstone takes 67 before REX for 66, or loses one of the two.
  case addressSizeBeforeREX
  /// Capstone calls 16-bit mode's mandatory prefixes operand sizes, and names by the wrong operand size.
  case mandatoryPrefix16
  /// Capstone gives SWAPGS to 32-bit code.
  case notInThisMode
  /// Capstone refuses MOV from and to segment registers with REX.R, which processors ignore.
  case segmentREX
  /// Outside 64-bit mode VEX.W of VPINSRD and VPEXTRD is ignored; Capstone reads VPINSRQ and VPEXTRQ.
  case vexW32
  /// Longer than 15 bytes is #GP.
  case tooLong
  case unexplained
}

/// What can be seen in an instruction's first bytes without a table.
struct ByteFacts {
  var hasOperandSize = false
  var hasAddressSize = false
  var rep: UInt8 = 0
  var hasLock = false
  var rex: UInt8 = 0
  var hasIgnoredREX = false
  var prefixCount = 0
  var isVEX = false
  /// 0 one-byte, 1 0F, 2 0F38, 3 0F3A.
  var map = 0
  var opcode: UInt8 = 0
  var modRM: UInt8 = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>, _ mode: CodeMode) {
    func at(_ i: Int) -> UInt8 { i < bytes.count ? bytes[i] : 0 }
    var i = 0
    prefixes: while i < bytes.count {
      let byte = bytes[i]
      switch byte {
      case 0x66: hasOperandSize = true
      case 0x67: hasAddressSize = true
      case 0xF0: hasLock = true
      case 0xF2, 0xF3: rep = byte
      case 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65: break
      case 0x40...0x4F where mode == .long64:
        if rex != 0 { hasIgnoredREX = true }
        rex = byte
        i += 1
        continue prefixes
      default: break prefixes
      }
      if rex != 0 { hasIgnoredREX = true }
      rex = 0
      prefixCount += 1
      i += 1
    }
    let first = at(i)
    if (first == 0xC4 || first == 0xC5) && (mode == .long64 || at(i + 1) >= 0xC0) {
      isVEX = true
      map = first == 0xC5 ? 1 : Int(at(i + 1) & 31)
      i += first == 0xC5 ? 2 : 3
      opcode = at(i)
    } else if first == 0x0F {
      i += 1
      map = 1
      opcode = at(i)
      if opcode == 0x38 || opcode == 0x3A {
        map = opcode == 0x38 ? 2 : 3
        i += 1
        opcode = at(i)
      }
    } else {
      opcode = first
    }
    modRM = at(i + 1)
  }

  /// Two prefixes or more, one of which may be part of the opcode.
  var couldBeOrder: Bool { prefixCount > 1 && (hasOperandSize || rep != 0) }
  var isMoveOffset: Bool { map == 0 && (0xA0...0xA3).contains(opcode) }
  /// CBW, CWD and their like.
  var isConversion: Bool { map == 0 && (opcode == 0x98 || opcode == 0x99) }
}

/// Compares our decoder with Capstone's and explains where they part.
struct CapstoneComparison {
  let mode: CodeMode
  let capstone: Capstone
  /// Our names by Capstone's, where they differ.
  let aliases: [String: Set<String>]

  init?(_ mode: CodeMode) {
    guard let capstone = Capstone(mode) else { return nil }
    self.mode = mode
    self.capstone = capstone
    var aliases: [String: Set<String>] = [:]
    for line in capstoneAliases.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      guard let theirs = words.first else { continue }
      aliases[theirs, default: []].formUnion(words.dropFirst())
    }
    self.aliases = aliases
  }

  func isSameName(ours: String, theirs: String) -> Bool {
    ours == theirs || aliases[theirs]?.contains(ours) ?? false || Self.withoutPredicate(theirs) == ours
  }

  func isKnown(_ theirs: String) -> Bool {
    Mnemonic(theirs) != nil || aliases[theirs] != nil || Self.withoutPredicate(theirs).flatMap { Mnemonic($0) } != nil
  }

  /// "cmpps" for "cmpneqps": Capstone has a name for each predicate of the vector comparisons.
  static func withoutPredicate(_ name: String) -> String? {
    for prefix in ["cmp", "vcmp"] where name.hasPrefix(prefix) && name.count > prefix.count + 2 {
      let full = prefix + name.suffix(2)
      return full == "cmpsd" ? "cmpsd.sse" : full
    }
    return nil
  }

  func compare(_ bytes: UnsafeBufferPointer<UInt8>) -> (Verdict, Instruction?, Capstone.Answer?) {
    var ours: Instruction?
    var error: DecodeError?
    do throws(DecodeError) {
      ours = try Decoder.decode(UnsafeRawBufferPointer(bytes), mode: mode)
    } catch let failure {
      error = failure
    }
    let theirs = capstone.decode(bytes)
    return (verdict(ours, error, theirs, bytes), ours, theirs)
  }

  private func verdict(
    _ ours: Instruction?, _ error: DecodeError?, _ theirs: Capstone.Answer?, _ bytes: UnsafeBufferPointer<UInt8>
  ) -> Verdict {
    let facts = ByteFacts(bytes, mode)
    guard let ours else {
      guard let theirs else { return .same }
      return rejection(error, theirs, facts)
    }
    let name = ours.mnemonic.name
    guard let theirs else {
      if Self.unknownToCapstone.contains(name) { return .unknownToCapstone }
      if facts.hasIgnoredREX { return .ignoredREX }
      if facts.rex & 4 != 0 && facts.map == 0 && (facts.opcode == 0x8C || facts.opcode == 0x8E) { return .segmentREX }
      if facts.couldBeOrder { return .prefixOrder }
      if facts.rep != 0 && facts.isMoveOffset { return .repeatedMove }
      if mode == .protected16 && facts.map > 0 && facts.prefixCount > 0 { return .mandatoryPrefix16 }
      return .unexplained
    }
    let same = isSameName(ours: name, theirs: theirs.name)
    if Int(ours.length) == theirs.length {
      if same { return .same }
      if Self.newNames.contains(name) { return .unknownToCapstone }
      if facts.hasIgnoredREX && facts.hasOperandSize { return .ignoredREX }
      if facts.isVEX && mode != .long64 && theirs.name.hasSuffix("q") { return .vexW32 }
      if facts.couldBeOrder || (name == "pause" && (facts.rex != 0 || mode == .protected16)) { return .prefixOrder }
      if facts.hasAddressSize && facts.rex != 0 { return .addressSizeBeforeREX }
      if mode == .protected16 && (facts.map > 0 || facts.isConversion) { return .mandatoryPrefix16 }
      return .unexplained
    }
    if facts.hasAddressSize && facts.rex != 0 { return .addressSizeBeforeREX }
    if name == "ud0" || name == "ud1" { return .undefinedOpcode }
    if same && facts.hasOperandSize && mode == .long64 { return .nearBranchSize }
    return .unexplained
  }

  /// Why an instruction that Capstone accepts is none.
  private func rejection(_ error: DecodeError?, _ theirs: Capstone.Answer, _ facts: ByteFacts) -> Verdict {
    if error == .tooLong { return .tooLong }
    if isLeftOut(theirs.name, facts) { return .leftOut }
    guard isKnown(theirs.name) else { return .unexplained }
    if facts.isVEX {
      if facts.hasOperandSize || facts.rep != 0 || facts.rex != 0 || facts.hasLock { return .prefixBeforeVEX }
      return theirs.name.contains("gather") ? .gatherRegisters : .vexField
    }
    if facts.hasLock { return .lockNotAllowed }
    if facts.map == 1 && (0x20...0x23).contains(facts.opcode) { return .noSuchRegister }
    if facts.map > 0 && (facts.hasOperandSize || facts.rep != 0) { return .prefixNotAllowed }
    if facts.map > 0 && facts.hasAddressSize && facts.rex != 0 { return .addressSizeBeforeREX }
    // MOV to CS.
    if facts.map == 0 && facts.opcode == 0x8E { return .noSuchRegister }
    if theirs.name == "swapgs" && mode != .long64 { return .notInThisMode }
    return .unexplained
  }

  /// Whether Capstone's instruction is of those that the table leaves out on purpose.
  private func isLeftOut(_ theirs: String, _ facts: ByteFacts) -> Bool {
    if !facts.isVEX && facts.map == 1 && facts.opcode == 0x0F { return true }
    // EVEX and XOP.
    if facts.map == 0 && (facts.opcode == 0x62 || facts.opcode == 0x8F) { return true }
    // AVX-512 mask registers.
    if facts.isVEX && theirs.hasPrefix("k") { return true }
    return Self.leftOut.contains(theirs)
  }

  static let unknownToCapstone: Set<String> = [
    "nop", "prefetch", "prefetchw", "prefetchwt1", "ud0", "lfence", "mfence", "sfence", "wbnoinvd", "wrpkru", "rdpkru", "endbr64",
    "endbr32", "rdpid",
    "serialize", "ptwrite", "clwb", "xabort", "vbroadcasti128",
  ]

  /// Newer than Capstone, which reads the encoding as something else.
  static let newNames: Set<String> = ["wbnoinvd", "clwb", "clflushopt", "ptwrite", "rdpid"]

  static let leftOut: Set<String> = Set(
    """
    vmread vmwrite vmptrld vmptrst vmclear vmxon vmxoff vmlaunch vmresume invept invvpid vmfunc getsec
    vmrun vmload vmsave stgi clgi skinit invlpga femms pcommit encls enclu enclv extrq insertq movntss movntsd
    montmul xsha1 xsha256 xstore xcryptecb xcryptcbc xcryptctr xcryptcfb xcryptofb
    vfmaddps vfmaddpd vfmaddss vfmaddsd vfmsubps vfmsubpd vfmsubss vfmsubsd vfnmaddps vfnmaddpd vfnmaddss vfnmaddsd
    vfnmsubps vfnmsubpd vfnmsubss vfnmsubsd vfmaddsubps vfmaddsubpd vfmsubaddps vfmsubaddpd vpermil2ps vpermil2pd
    """.split(whereSeparator: \.isWhitespace).map(String.init))
}
