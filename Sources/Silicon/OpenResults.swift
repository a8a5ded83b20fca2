import CHost
import X86

/// What is left out of the comparison, because the manuals leave it open and Paravane defines something else than the hosts seen
/// so far (Documentation/UndefinedResults*.md). Everything not listed is compared, undefined flags included.
struct OpenResults {
  /// mnemonics: rules.
  ///
  /// - flags=cpazso: these flags.
  /// - approximate: 12 bits of fraction are enough.
  /// - faultPage: of an access that faults, CR2's page alone is compared.
  /// - faultUpper: where it faults, bits of vector registers above the operand's width are not compared.
  /// - faultMemory: where a store of ten bytes faults, memory is not compared.
  /// - faultMXCSR: where it faults, MXCSR's flags are not compared.
  private static let table = """
    rcpps rcpss rsqrtps rsqrtss vrcpps vrcpss vrsqrtps vrsqrtss: approximate
    vpgatherdd vpgatherdq vpgatherqd vpgatherqq vgatherdps vgatherdpd vgatherqps vgatherqpd: faultPage faultUpper
    vmaskmovps vmaskmovpd vpmaskmovd vpmaskmovq: faultPage
    fbstp fstp: faultMemory
    dpps dppd vdpps vdppd: faultMXCSR
    """

  struct Rules {
    var flags: UInt64 = 0
    var names: Set<String> = []
    var isEmpty: Bool { flags == 0 && names.isEmpty }
  }

  private var rules: [Rules]

  /// - Parameter isStrict: leave nothing out, to see what this host does.
  init(isStrict: Bool = false) {
    rules = Array(repeating: Rules(), count: Mnemonic.count)
    if isStrict { return }
    for line in Self.table.split(separator: "\n") {
      let parts = line.split(separator: ":")
      guard parts.count == 2 else { continue }
      var rule = Rules()
      for word in parts[1].split(separator: " ") {
        if word.hasPrefix("flags=") { rule.flags = Self.flags(word.dropFirst(6)) } else { rule.names.insert(String(word)) }
      }
      for name in parts[0].split(separator: " ") {
        if let mnemonic = Mnemonic(String(name)) { rules[Int(mnemonic.rawValue)] = rule }
      }
    }
  }

  private static func flags(_ letters: Substring) -> UInt64 {
    var mask: UInt64 = 0
    for letter in letters {
      switch letter {
      case "c": mask |= 1
      case "p": mask |= 4
      case "a": mask |= 0x10
      case "z": mask |= 0x40
      case "s": mask |= 0x80
      case "o": mask |= 0x800
      default: break
      }
    }
    return mask
  }

  func rules(_ test: SiliconCase) -> Rules { rules(test.form.mnemonic) }
  func rules(_ mnemonic: Mnemonic) -> Rules { rules[Int(mnemonic.rawValue)] }

  /// Makes the host's state equal to the guest's where the difference is allowed. Called where something differs.
  func level(_ test: SiliconCase, _ outcome: Outcome, _ host: UnsafeMutablePointer<psil_state>, _ guest: UnsafePointer<psil_state>) {
    let rule = rules(test)
    let h = UnsafeMutableRawPointer(host) + 256
    let g = UnsafeRawPointer(guest) + 256
    if outcome.vector >= 0 {
      if Self.usesMMX(test.instruction) { levelMMX(h, g) }
      if rule.names.contains("faultUpper") { levelUpper(test, h, g) }
      if outcome.vector == 19 {
        var mxcsr = h.load(fromByteOffset: 24, as: UInt32.self)
        let other = g.load(fromByteOffset: 24, as: UInt32.self)
        // Whether an unmasked overflow or underflow is inexact too is asked of a result with an unbounded exponent.
        var open: UInt32 = mxcsr & 0xC00 == 0xC00 ? 0 : 0x20
        if rule.names.contains("faultMXCSR") { open = 0x3F }
        mxcsr = mxcsr & ~open | other & open
        h.storeBytes(of: mxcsr, toByteOffset: 24, as: UInt32.self)
      }
    }
    if rule.names.contains("approximate") { levelApproximate(test, h, g) }
  }

  private static func usesMMX(_ instruction: Instruction) -> Bool {
    instruction.operands.0.kind == .mmx || instruction.operands.1.kind == .mmx
  }

  /// Processors may have left x87 mode before an MMX instruction faults: TOP and tags are not compared then, nor which register is
  /// ST(0).
  private func levelMMX(_ h: UnsafeMutableRawPointer, _ g: UnsafeRawPointer) {
    let hostTop = Int(h.load(fromByteOffset: 2, as: UInt16.self) >> 11 & 7)
    let guestTop = Int(g.load(fromByteOffset: 2, as: UInt16.self) >> 11 & 7)
    var registers = [UInt8](repeating: 0, count: 128)
    registers.withUnsafeMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(start: h + 32, count: 128)) }
    registers.withUnsafeBytes { all in
      for i in 0..<8 {
        let physical = (i + guestTop) & 7
        let slot = (physical - hostTop) & 7
        (h + 32 + i * 16).copyMemory(from: all.baseAddress! + slot * 16, byteCount: 16)
      }
    }
    let status = h.load(fromByteOffset: 2, as: UInt16.self) & ~0x3800 | UInt16(guestTop) << 11
    h.storeBytes(of: status, toByteOffset: 2, as: UInt16.self)
    h.storeBytes(of: g.load(fromByteOffset: 4, as: UInt8.self), toByteOffset: 4, as: UInt8.self)
  }

  private func levelUpper(_ test: SiliconCase, _ h: UnsafeMutableRawPointer, _ g: UnsafeRawPointer) {
    for number in [0, 2] {
      let operand = test.instruction.operand(number)
      guard operand.kind == .vector else { continue }
      let at = Int(operand.register) * 16
      // Of a gather with fewer elements than fill the register, the low 8 bytes.
      let narrow = test.form.mnemonic.name.contains("qd") || test.form.mnemonic.name.contains("qps")
      let used = narrow ? Int(test.instruction.vectorLength) / 2 : Int(operand.size)
      if used < 16 { (h + 160 + at + used).copyMemory(from: g + 160 + at + used, byteCount: 16 - used) }
      if used < 32 { (h + 576 + at).copyMemory(from: g + 576 + at, byteCount: 16) }
    }
  }

  private func levelApproximate(_ test: SiliconCase, _ h: UnsafeMutableRawPointer, _ g: UnsafeRawPointer) {
    let at = Int(test.instruction.operands.0.register) * 16
    for offset in [160, 576] {
      for lane in 0..<4 {
        let place = offset + at + lane * 4
        let a = Float(bitPattern: h.load(fromByteOffset: place, as: UInt32.self))
        let b = Float(bitPattern: g.load(fromByteOffset: place, as: UInt32.self))
        if a.isFinite && b.isFinite && abs(a - b) <= abs(a) * 0x1p-10 || a.isNaN && b.isNaN || abs(a) < 0x1p-125 && b == 0 {
          h.storeBytes(of: b.bitPattern, toByteOffset: place, as: UInt32.self)
        }
      }
    }
  }

  /// The pointers and opcode of the last x87 instruction are zero in every image; MXCSR_MASK is Paravane's own.
  func ignoresMemory(_ test: SiliconCase, _ address: UInt64) -> Bool {
    guard let operand = test.operand else { return false }
    let offset = address &- operand
    switch test.form.mnemonic.name {
    case "fnstenv", "fnsave": return test.instruction.operandSize == 2 ? offset >= 6 && offset < 14 : offset >= 12 && offset < 28
    case "fxsave", "fxsave64", "xsave", "xsave64", "xsaveopt", "xsaveopt64", "xsavec", "xsavec64":
      return offset >= 6 && offset < 24 || offset >= 28 && offset < 32
    default: return false
    }
  }
}
