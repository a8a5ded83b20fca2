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
    guard let code = bytes(instruction, mode) else { throw .noSuchForm }
    return code.array
  }

  /// Encodes to the end of `output`.
  public static func encode(_ instruction: Instruction, mode: CodeMode = .long64, into output: inout [UInt8]) throws(EncodeError) {
    guard let code = bytes(instruction, mode) else { throw .noSuchForm }
    code.withBytes { output.append(contentsOf: $0.prefix(code.count)) }
  }

  private static func bytes(_ instruction: Instruction, _ mode: CodeMode) -> CodeBytes? {
    let layout = InstructionTable.shared.layout
    let number = Int(instruction.mnemonic.rawValue)
    guard number < layout.mnemonicCount else { return nil }
    let candidates = Int(layout.firstForms[number])..<Int(layout.firstForms[number + 1])
    var best: CodeBytes?
    var bestIsAlternative = true
    for candidate in candidates {
      let id = layout.formsByMnemonic[candidate]
      if instruction.form != 0 && instruction.form != id { continue }
      let row = layout.encoderRows + Int(id)
      let isAlternative = row.pointee.flags.contains(.alternative)
      if best != nil && isAlternative && !bestIsAlternative { continue }
      guard row.pointee.accept & MatchKey.mode(mode) != 0, instruction.operandCount == row.pointee.operands.pointee.operandCount,
        mayTake(instruction, row.pointee.operands)
      else { continue }
      let limit = bestIsAlternative && !isAlternative ? 16 : best?.count ?? 16
      guard let code = encode(instruction, row.pointee, mode, shorterThan: limit) else { continue }
      best = code
      bestIsAlternative = isAlternative
    }
    return best
  }

  /// Whether the first operand's kind could be the form's: most forms fall here.
  @inline(__always) private static func mayTake(_ instruction: Instruction, _ row: UnsafePointer<DecoderRow>) -> Bool {
    if instruction.operandCount == 0 { return true }
    let kind = instruction.operands.0.kind
    switch row.pointee.operands.0.code {
    case .memory, .vectorMemory, .offset: return kind == .memory
    case .rmGeneral, .rmVector, .rmMMX: return kind != .immediate
    default: return kind != .memory
    }
  }

  /// Encodes as one form, trying the operand sizes (or VEX.W and VEX.L) that it may have; nil if it does not fit.
  private static func encode(_ instruction: Instruction, _ form: EncoderRow, _ mode: CodeMode, shorterThan limit: Int) -> CodeBytes? {
    var attempt = EncoderState(instruction, form, mode)
    if form.opcode.isVEX {
      for i in 0..<4 {
        let w = instruction.w != (i >= 2)
        let vectorLength: UInt8 = (instruction.vectorLength == 32) != (i & 1 == 1) ? 32 : 16
        // A length that was asked for is kept.
        if instruction.vectorLength != 0 && instruction.vectorLength != vectorLength { continue }
        if attempt.encode(operandSize: w && mode == .long64 ? 8 : 4, w: w, vectorLength: vectorLength) {
          return attempt.code.count < limit && attempt.decodesAsForm() ? attempt.code : nil
        }
      }
      return nil
    }
    let plain: UInt8 = mode == .protected16 ? 2 : 4
    for i in 0..<3 {
      let size: UInt8
      if instruction.operandSize != 0 {
        if i > 0 { break }
        size = instruction.operandSize
      } else {
        size = i == 0 ? plain : i == 1 ? 8 : 6 - plain
      }
      if size == 8 && mode != .long64 { continue }
      if attempt.encode(operandSize: size, w: attempt.legacyW(size), vectorLength: 0) && attempt.code.count < limit
        && attempt.decodesAsForm()
      {
        return attempt.code
      }
    }
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
  var array: [UInt8] { withBytes { [UInt8]($0.prefix(count)) } }

  /// All sixteen bytes, in memory.
  func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    var pair = (low.littleEndian, high.littleEndian)
    return withUnsafeBytes(of: &pair, body)
  }
}
