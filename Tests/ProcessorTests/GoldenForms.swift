import Random
import X86

/// One encoding of an instruction form, always the same: what the golden listings show the translation of.
struct GoldenEncoding {
  var bytes: [UInt8]
  var instruction: Instruction

  /// The encodings that are shown of a form: with registers and with memory, in 64 bits and, where that is not the same, in 32.
  static func all(of form: InstructionForm, ordinal: Int) -> [GoldenEncoding] {
    var best: [Int: (score: Int, encoding: GoldenEncoding)] = [:]
    // By name, so that a new row of the table moves nothing else.
    var random = SeededRandom(seed: form.mnemonic.name.utf8.reduce(UInt64(ordinal)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    for _ in 0..<300 {
      guard let (code, instruction) = form.randomEncoding(&random), let variant = variant(form, instruction) else { continue }
      let encoding = GoldenEncoding(code, instruction)
      let score = encoding.oddness
      if score < best[variant]?.score ?? .max { best[variant] = (score, encoding) }
    }
    return best.sorted { $0.key < $1.key }.map(\.value.encoding)
  }

  private init(_ code: EncodedForm, _ instruction: Instruction) {
    var code = code
    // Small displacements and immediates say as much as large ones.
    if code.displacementSize == 1 || code.displacementSize == 4 { code.setDisplacement(0x10) }
    if code.displacementSize == 8 { code.setDisplacement(0x20000) }
    if code.relativeSize != 0 { code.setRelative(0x20) }
    bytes = code.bytes
    self.instruction = (try? Decoder.decode(code.bytes, mode: .long64)) ?? instruction
  }

  /// 0: 64 bits in registers, 1: 32 bits, 2: memory; nil for what is not shown.
  private static func variant(_ form: InstructionForm, _ i: Instruction) -> Int? {
    if i.hasMemoryOperand { return 2 }
    let isGeneral = i.operand(0).kind == .general && i.operand(0).size == 4
    return isGeneral ? 1 : 0
  }

  /// How far an encoding is from what a compiler would write; the least is taken.
  private var oddness: Int {
    let i = instruction
    var score = bytes.count
    for prefix in [Instruction.Prefixes.lock, .rep, .repne, .addressSize, .segment] where i.prefixes.contains(prefix) { score += 100 }
    if i.prefixes.contains(.operandSize) { score += 10 }
    var seen: Set<Int> = []
    for number in 0..<Int(i.operandCount) {
      let operand = i.operand(number)
      switch operand.kind {
      case .general, .vector, .mmx:
        let kind = operand.kind == .general ? 0 : 32
        if !seen.insert(Int(operand.register) + kind).inserted { score += 12 }
        if operand.register > 7 { score += 4 }
        if operand.kind == .general && operand.register == 4 { score += 40 }
        if operand.kind == .general && operand.size == 2 { score += 6 }
      case .generalHigh: score += 20
      case .immediate:
        if !(1...7).contains(i.immediate) { score += 8 }
        if i.immediate > 127 || i.immediate < -128 { score += 8 }
      default: break
      }
    }
    if i.hasMemoryOperand {
      if i.base == -1 { score += 30 }
      if i.base == -2 || i.base == 4 { score += 20 }
      if i.index >= 0 { score += 15 }
      if i.base >= 0 && !seen.insert(Int(i.base)).inserted { score += 12 }
      if i.displacement == 0 { score += 2 }
      if i.operandSize == 4 { score += 3 }
    }
    return score
  }
}
