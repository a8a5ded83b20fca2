// The table read the other way: from an instruction to bytes.

public enum EncodeError: Error, Equatable {
  /// No form of the mnemonic takes these operands in this mode.
  case noSuchForm
}

public enum Encoder {
  /// Encodes an instruction: mnemonic, operands, address, immediates and prefixes as the decoder would report them.
  ///
  /// If `form` is a form of the mnemonic, that form is taken; otherwise (0) the shortest of those that fit. An operand size, an
  /// address size or an immediate's size of 0 stands for whatever fits. Displacements are as short as they can be, REX and
  /// VEX likewise. What is returned decodes as the form chosen.
  public static func encode(_ instruction: Instruction, mode: CodeMode = .long64) throws(EncodeError) -> [UInt8] {
    let table = InstructionTable.shared
    let number = Int(instruction.mnemonic.rawValue)
    guard number < table.formsByMnemonic.count else { throw .noSuchForm }
    let candidates = table.formsByMnemonic[number]
    if instruction.form != 0 {
      guard candidates.contains(instruction.form), let code = encode(instruction, table.forms[Int(instruction.form)], mode) else {
        throw .noSuchForm
      }
      return code.array
    }
    var best: CodeBytes?
    var bestIsAlternative = true
    for id in candidates {
      let form = table.forms[Int(id)]
      let isAlternative = form.flags.contains(.alternative)
      if best != nil && isAlternative && !bestIsAlternative { continue }
      guard let code = encode(instruction, form, mode) else { continue }
      let isBetter: Bool
      if let best {
        isBetter = bestIsAlternative && !isAlternative ? true : code.count < best.count
      } else {
        isBetter = true
      }
      if isBetter {
        best = code
        bestIsAlternative = isAlternative
      }
    }
    guard let best else { throw .noSuchForm }
    return best.array
  }

  /// Encodes as one form, trying the operand sizes (or VEX.W and VEX.L) that it may have; nil if it does not fit.
  static func encode(_ instruction: Instruction, _ form: InstructionForm, _ mode: CodeMode) -> CodeBytes? {
    guard form.isValid(in: mode), Int(instruction.operandCount) == form.operands.count else { return nil }
    var attempt = EncoderState(instruction, form, mode)
    if form.opcode.isVEX {
      let lengths: [UInt8] = instruction.vectorLength == 32 ? [32, 16] : instruction.vectorLength == 16 ? [16] : [16, 32]
      for w in [instruction.w, !instruction.w] {
        for length in lengths where attempt.encode(operandSize: w && mode == .long64 ? 8 : 4, w: w, vectorLength: length) {
          return attempt.code
        }
      }
      return nil
    }
    let plain: UInt8 = mode == .protected16 ? 2 : 4
    let sizes: [UInt8] = instruction.operandSize != 0 ? [instruction.operandSize] : [plain, 8, plain == 2 ? 4 : 2]
    for size in sizes where size != 8 || mode == .long64 {
      if attempt.encode(operandSize: size, w: attempt.legacyW(size), vectorLength: 0) { return attempt.code }
    }
    // The size that the instruction reports may be its default, which the prefixes cannot say (near branches).
    return nil
  }
}

/// At most 16 bytes, in place.
struct CodeBytes {
  private var low: UInt64 = 0
  private var high: UInt64 = 0
  private(set) var count = 0

  mutating func append(_ byte: UInt8) {
    if count < 8 {
      low |= UInt64(byte) << UInt64(count * 8)
    } else if count < 16 {
      high |= UInt64(byte) << UInt64((count - 8) * 8)
    }
    count += 1
  }

  /// Appends the low `bytes` bytes of a value.
  mutating func append(_ value: Int64, bytes: Int) {
    for i in 0..<bytes { append(UInt8(truncatingIfNeeded: value >> Int64(i * 8))) }
  }

  mutating func removeAll() { self = CodeBytes() }

  subscript(_ i: Int) -> UInt8 { UInt8(truncatingIfNeeded: i < 8 ? low >> UInt64(i * 8) : high >> UInt64((i - 8) * 8)) }
  var array: [UInt8] { (0..<count).map { self[$0] } }
}
