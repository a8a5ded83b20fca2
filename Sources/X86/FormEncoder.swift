// Instructions of a given form with everything else left to chance: what tests of the executor run on.

/// Bytes of an instruction, and where its displacement is, so that the one who knows the registers can put an address there.
public struct EncodedForm: Sendable {
  public var bytes: [UInt8] = []
  /// Offset and count (0, 1, 4 or 8) of the displacement's bytes; 8 is an absolute address.
  public var displacementOffset = 0
  public var displacementSize = 0
  /// Offset and count (0, 1 or 4) of a relative branch's.
  public var relativeOffset = 0
  public var relativeSize = 0

  /// Puts a displacement (truncated to its size) in its place.
  public mutating func setDisplacement(_ value: UInt64) { put(value, displacementOffset, displacementSize) }
  public mutating func setRelative(_ value: UInt64) { put(value, relativeOffset, relativeSize) }

  private mutating func put(_ value: UInt64, _ offset: Int, _ count: Int) {
    for i in 0..<count { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> UInt64(i * 8)) }
  }
}

extension InstructionForm {
  /// An instruction of this form for 64-bit mode with random registers, prefixes, addressing and immediates; nil where chance
  /// did not hit the form (ask again). The decoder has the last word: what is returned decodes as this form.
  public func randomEncoding<G: RandomNumberGenerator>(_ random: inout G) -> (EncodedForm, Instruction)? {
    var encoder = FormEncoder(form: self, word: random.next())
    encoder.encode(&random)
    guard let instruction = try? Decoder.decode(encoder.code.bytes, mode: .long64), instruction.form == id,
      Int(instruction.length) == encoder.code.bytes.count
    else { return nil }
    return (encoder.code, instruction)
  }
}

private struct FormEncoder {
  let form: InstructionForm
  var code = EncodedForm()
  /// Random bits, taken from the low end.
  var word: UInt64
  var operandSize: UInt8 = 4
  var addressSize: UInt8 = 8
  var rex: UInt8 = 0

  init(form: InstructionForm, word: UInt64) {
    self.form = form
    self.word = word
  }

  mutating func bits(_ count: UInt64) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: word & ((1 << count) - 1))
    word >>= count
    return value
  }

  mutating func encode<G: RandomNumberGenerator>(_ random: inout G) {
    var prefixClass = bits(2)
    if form.opcode.prefixes == 0xF {
      prefixClass = prefixClass == 3 ? 1 : 0
    } else {
      while form.opcode.prefixes >> UInt64(prefixClass) & 1 == 0 { prefixClass = (prefixClass &+ 1) & 3 }
    }
    let takesW = form.accept & MatchKey.w(true) != 0
    let needsW = form.accept & MatchKey.w(false) == 0
    // Rare prefixes: 67, segments, LOCK.
    if bits(4) == 0 {
      addressSize = 4
      code.bytes.append(0x67)
    }
    switch bits(5) {
    case 0: code.bytes.append(0x64)
    case 1: code.bytes.append(0x65)
    case 2: code.bytes.append(0x3E)
    case 3: code.bytes.append(0x2E)
    default: break
    }
    rex = bits(1) == 0 ? bits(4) : bits(4) & 8
    if !takesW { rex &= 7 }
    if needsW { rex |= 8 }
    if form.opcode.isVEX {
      appendVEX(prefixClass)
    } else {
      appendLegacy(prefixClass)
    }
    var opcode = form.opcode.byte
    if form.opcode.plusRegister { opcode = opcode &+ bits(3) }
    code.bytes.append(opcode)
    appendModRM(random.next())
    appendImmediates(&random)
  }

  private mutating func appendLegacy(_ prefixClass: UInt8) {
    let isMandatory = form.flags.contains(.mandatoryPrefix)
    switch prefixClass {
    case 1: code.bytes.append(0x66)
    case 2: code.bytes.append(0xF3)
    case 3: code.bytes.append(0xF2)
    default: break
    }
    if isMandatory && prefixClass > 1 && bits(2) == 0 {
      code.bytes.append(0x66)
      operandSize = 2
    }
    if prefixClass == 1 && !isMandatory { operandSize = 2 }
    if !isMandatory && form.opcode.prefixes == 0xF {
      // Repetitions, or prefixes that do nothing.
      switch bits(3) {
      case 0: code.bytes.append(0xF3)
      case 1: code.bytes.append(0xF2)
      default: break
      }
    }
    if form.flags.contains(.lockable) && bits(2) == 0 { code.bytes.append(0xF0) }
    if rex != 0 || bits(2) == 0 { code.bytes.append(0x40 | rex) }
    if rex & 8 != 0 { operandSize = 8 }
    if form.flags.contains(.force64) { operandSize = 8 }
    switch form.opcode.map {
    case 1: code.bytes.append(0x0F)
    case 2: code.bytes += [0x0F, 0x38]
    case 3: code.bytes += [0x0F, 0x3A]
    default: break
    }
  }

  private mutating func appendVEX(_ prefixClass: UInt8) {
    let usesVVVV = form.operands.contains { $0.code == .vexVector || $0.code == .vexGeneral }
    let vvvv = usesVVVV ? bits(4) : 0
    let l: UInt8
    if form.accept & MatchKey.l(true) == 0 {
      l = 0
    } else {
      l = form.accept & MatchKey.l(false) == 0 ? 4 : bits(1) << 2
    }
    let last = (~vvvv & 0xF) << 3 | l | prefixClass
    if form.opcode.map == 1 && rex & 0xB == 0 && bits(2) != 0 {
      code.bytes += [0xC5, (~rex & 4) << 5 | last]
    } else {
      code.bytes += [0xC4, (~rex & 7) << 5 | UInt8(form.opcode.map), (rex & 8) << 4 | last]
    }
  }

  private mutating func appendModRM(_ bits: UInt64) {
    word = bits
    if let modRM = form.opcode.modRM {
      code.bytes.append(modRM)
      return
    }
    let rmOperand = form.operands.compactMap(\.rm).first
    let hasModRM =
      form.opcode.reg != nil || form.flags.contains(.registerOnly) || rmOperand != nil
      || form.operands.contains(where: \.usesModRMRegisterField)
    guard hasModRM else { return }
    let reg = (form.opcode.reg ?? self.bits(3)) << 3
    let rm = self.bits(3)
    var inMemory = rmOperand?.memory ?? false
    if inMemory && rmOperand?.register == true && self.bits(3) < 3 { inMemory = false }
    if form.flags.contains(.registerOnly) || form.opcode.registerOnly || rmOperand == nil || !inMemory {
      code.bytes.append(0xC0 | reg | rm)
      return
    }
    let isVSIB = form.operands.contains { $0.code == .vectorMemory }
    var shape = self.bits(3)
    if isVSIB && (shape == 0 || shape == 6) { shape = 4 }
    let isPlain = shape < 3 && !isVSIB && rm != 4
    if shape == 6 {
      // RIP + displacement.
      code.bytes.append(reg | 5)
      displacement(4)
    } else if shape == 7 {
      // No base.
      code.bytes += [reg | 4, self.bits(2) << 6 | self.bits(3) << 3 | 5]
      displacement(4)
    } else {
      let base = isPlain ? rm : self.bits(3)
      var mod = isPlain ? shape : self.bits(2) % 3
      if mod == 0 && base == 5 { mod = 1 }
      code.bytes.append(mod << 6 | reg | (isPlain ? rm : 4))
      if !isPlain { code.bytes.append(self.bits(2) << 6 | self.bits(3) << 3 | base) }
      displacement(mod == 0 ? 0 : mod == 1 ? 1 : 4)
    }
  }

  private mutating func displacement(_ size: Int) {
    code.displacementOffset = code.bytes.count
    code.displacementSize = size
    for _ in 0..<size { code.bytes.append(bits(6)) }
  }

  private mutating func appendImmediates<G: RandomNumberGenerator>(_ random: inout G) {
    for operand in form.operands {
      var count = 0
      switch operand.code {
      case .immediateVector, .signedByte: count = 1
      case .relative:
        count = operand.size == .b ? 1 : 4
        code.relativeOffset = code.bytes.count
        code.relativeSize = count
      case .offset:
        count = Int(addressSize)
        code.displacementOffset = code.bytes.count
        code.displacementSize = count
      case .immediate:
        switch operand.size {
        case .b: count = 1
        case .w: count = 2
        case .d: count = 4
        case .z: count = operandSize == 2 ? 2 : 4
        default: count = Int(operandSize)
        }
      default: break
      }
      if count == 0 { continue }
      let value = random.next()
      // Small and extreme values are likelier than chance has them.
      let corner: [UInt64] = [0, 1, 0x7F, 0x80, 0xFF, .max, 0x8000_0000, 0x7FFF_FFFF]
      let chosen = value >> 60 < 6 ? corner[Int(value >> 56 & 7)] : value
      for i in 0..<count { code.bytes.append(UInt8(truncatingIfNeeded: chosen >> UInt64(i * 8))) }
    }
  }
}
