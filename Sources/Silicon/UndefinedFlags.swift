import X86

/// What is left out of the comparison: flags that an instruction leaves undefined and where Paravane's defined result is not
/// the one of the hosts seen so far, and fields of saved images that Paravane defines as zero.
struct UndefinedFlags {
  /// mnemonic: flags (c p a z s o) …
  private static let table = """
    """

  private var masks: [UInt64]

  /// - Parameter isStrict: compare undefined flags too, to see what they are on this host.
  init(isStrict: Bool = false) {
    masks = Array(repeating: 0, count: Mnemonic.count)
    if isStrict { return }
    for line in Self.table.split(separator: "\n") {
      let parts = line.split(separator: ":")
      guard parts.count == 2 else { continue }
      var mask: UInt64 = 0
      for letter in parts[1] {
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
      for name in parts[0].split(separator: " ") {
        if let mnemonic = Mnemonic(String(name)) { masks[Int(mnemonic.rawValue)] = mask }
      }
    }
  }

  func mask(_ test: SiliconCase) -> UInt64 { masks[Int(test.form.mnemonic.rawValue)] }

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
