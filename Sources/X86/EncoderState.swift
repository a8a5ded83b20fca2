/// One encoding under way: an instruction as one form.
struct EncoderState {
  let instruction: Instruction
  let form: EncoderRow
  let mode: CodeMode
  let addressSize: UInt8
  var code = CodeBytes()

  // What the operands ask for.
  private var rex: UInt8 = 0
  private var needsREX = false
  private var forbidsREX = false
  private var reg: UInt8 = 0
  private var rm: UInt8 = 0
  private var rmIsMemory = false
  private var hasModRM = false
  private var vvvv: UInt8 = 0
  private var opcodeRegister: UInt8 = 0
  private var immediates = CodeBytes()

  init(_ instruction: Instruction, _ form: EncoderRow, _ mode: CodeMode) {
    self.instruction = instruction
    self.form = form
    self.mode = mode
    let plain: UInt8 = mode == .long64 ? 8 : mode == .protected32 ? 4 : 2
    addressSize = instruction.addressSize == 0 ? plain : instruction.addressSize
  }

  private var is64: Bool { mode == .long64 }
  private var has64BitDefault: Bool { is64 && (form.flags.contains(.default64) || form.flags.contains(.force64)) }

  /// Whether an operand size of a legacy form takes REX.W.
  func legacyW(_ operandSize: UInt8) -> Bool {
    guard is64 else { return false }
    if form.accept & MatchKey.w(false) == 0 { return true }
    return operandSize == 8 && !has64BitDefault
  }

  /// Encodes with these widths into `code`; false if the form cannot.
  mutating func encode(operandSize: UInt8, w: Bool, vectorLength: UInt8) -> Bool {
    code.removeAll()
    immediates.removeAll()
    rex = w ? 8 : 0
    (needsREX, forbidsREX) = (false, false)
    (reg, rm, vvvv, opcodeRegister) = (form.opcode.reg ?? 0, 0, 0, 0)
    rmIsMemory = false
    hasModRM = form.opcode.reg != nil || form.flags.contains(.registerOnly)
    if let modRM = form.opcode.modRM { rm = modRM & 7 }
    guard accepts(operandSize, w, vectorLength) else { return false }
    let widths = OperandPattern.Widths(operandSize: operandSize, mode: mode, w: w, vectorLength: vectorLength)
    for i in 0..<Int(form.operands.pointee.operandCount) {
      guard place(instruction.operand(i), form.operands.pointee.operand(i), widths, number: i) else { return false }
    }
    if form.flags.contains(.registerOnly) && rmIsMemory { return false }
    // `xchg` with R8 in the opcode's register, or the accumulator without REX.B.
    if forbidsREX && (needsREX || rex != 0) { return false }
    if !is64 && rex & 7 != 0 { return false }
    guard appendPrefixes(operandSize, vectorLength) else { return false }
    code.append(form.opcode.byte | opcodeRegister)
    if hasModRM {
      guard appendModRM() else { return false }
    }
    for i in 0..<immediates.count { code.append(immediates[i]) }
    return code.count <= 15
  }

  /// Whether the form exists with these widths.
  private func accepts(_ operandSize: UInt8, _ w: Bool, _ vectorLength: UInt8) -> Bool {
    if form.opcode.isVEX {
      return form.accept & MatchKey.w(w) != 0 && form.accept & MatchKey.l(vectorLength == 32) != 0
    }
    if is64 && form.flags.contains(.force64) && operandSize != 8 { return false }
    // 32 bits is not to be had where 64 is the default.
    if is64 && form.flags.contains(.default64) && operandSize == 4 { return false }
    return true
  }

  /// The decoder has the last word: another form may come first for these bytes.
  func decodesAsForm() -> Bool {
    let count = code.count
    return code.withBytes { bytes in
      guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
      var state = DecoderState(bytes: base, limit: count, mode: mode)
      do throws(DecodeError) { try state.decode() } catch { return false }
      return state.result.form == form.form && Int(state.result.length) == count
    }
  }

  // MARK: - Operands

  private mutating func place(
    _ operand: Instruction.Operand, _ pattern: OperandPattern, _ widths: OperandPattern.Widths, number: Int
  ) -> Bool {
    let size = pattern.bytes(widths)
    switch pattern.code {
    case .none: return operand.kind == .none
    case .regGeneral:
      hasModRM = true
      return general(operand, size) && setReg(operand)
    case .rmGeneral, .rmGeneralOnly:
      hasModRM = true
      if operand.kind == .memory { return pattern.code == .rmGeneral && memory(operand, size) }
      return general(operand, size) && setRM(operand)
    case .memory:
      hasModRM = true
      return memory(operand, size)
    case .vectorMemory:
      hasModRM = true
      return memory(operand, size) && instruction.index >= 0 && addressSize != 2
    case .opcodeGeneral:
      guard general(operand, size) else { return false }
      let register = encoded(operand)
      opcodeRegister = register & 7
      rex |= register >> 3
      return true
    case .fixedGeneral: return operand.kind == .general && operand.register == pattern.register && operand.size == size
    case .fixedSegment: return operand.kind == .segment && operand.register == pattern.register
    case .regSegment: return operand.kind == .segment && operand.register < 6 && setReg(operand)
    case .regControl: return operand.kind == .control && operand.register < 16 && setReg(operand)
    case .regDebug: return operand.kind == .debug && operand.register < 8 && setReg(operand)
    case .regVector: return vector(operand, size) && setReg(operand)
    case .rmVector, .rmVectorOnly:
      hasModRM = true
      if operand.kind == .memory { return pattern.code == .rmVector && memory(operand, size) }
      return vector(operand, size) && setRM(operand)
    case .vexVector:
      vvvv = operand.register
      return vector(operand, size)
    case .vexGeneral:
      vvvv = operand.register
      return general(operand, size) && operand.kind == .general
    case .immediateVector:
      immediates.append(operand.register << 4)
      return vector(operand, size)
    case .fixedVector: return operand.kind == .vector && operand.register == pattern.register
    case .regMMX: return operand.kind == .mmx && operand.register < 8 && setReg(operand)
    case .rmMMX, .rmMMXOnly:
      hasModRM = true
      if operand.kind == .memory { return pattern.code == .rmMMX && memory(operand, size) }
      return operand.kind == .mmx && operand.register < 8 && setRM(operand)
    case .fixedX87: return operand.kind == .x87 && operand.register == pattern.register
    case .rmX87: return operand.kind == .x87 && operand.register < 8 && setRM(operand)
    case .immediate, .signedByte, .one: return immediate(operand, pattern, size, widths, number: number)
    case .relative: return relative(operand, pattern, widths.operandSize)
    case .far: return far(operand, widths.operandSize)
    case .offset: return offset(operand, size)
    }
  }

  /// Whether the operand is a general register of this size that the mode has.
  private mutating func general(_ operand: Instruction.Operand, _ size: UInt8) -> Bool {
    guard operand.size == size, operand.register < (is64 ? 16 : 8) else { return false }
    if operand.kind == .generalHigh {
      forbidsREX = true
      return size == 1 && operand.register < 4
    }
    guard operand.kind == .general else { return false }
    if size == 1 && operand.register >= 4 {
      if operand.register < 8 { needsREX = true }
      return is64
    }
    return true
  }

  /// Number of a general register in the encoding: AH is 4.
  private func encoded(_ operand: Instruction.Operand) -> UInt8 {
    operand.kind == .generalHigh ? operand.register + 4 : operand.register
  }

  /// Whether the operand is a vector register of this size; a scalar's register may be called by its full 16 bytes.
  private func vector(_ operand: Instruction.Operand, _ size: UInt8) -> Bool {
    guard operand.kind == .vector, operand.register < (is64 ? 16 : 8) else { return false }
    return operand.size == size || (size < 16 && operand.size == 16)
  }

  private mutating func setReg(_ operand: Instruction.Operand) -> Bool {
    hasModRM = true
    reg = encoded(operand) & 7
    rex |= (encoded(operand) >> 3) << 2
    return true
  }

  private mutating func setRM(_ operand: Instruction.Operand) -> Bool {
    hasModRM = true
    rm = encoded(operand) & 7
    rex |= encoded(operand) >> 3
    return true
  }

  private mutating func memory(_ operand: Instruction.Operand, _ size: UInt8) -> Bool {
    guard operand.kind == .memory, operand.size == size else { return false }
    rmIsMemory = true
    if instruction.base >= 8 { rex |= 1 }
    if instruction.index >= 8 { rex |= 2 }
    return instruction.base >= -2 && instruction.base < 16 && instruction.index >= -1 && instruction.index < 16 && instruction.scale < 4
  }

  // MARK: - Immediates

  private mutating func immediate(
    _ operand: Instruction.Operand, _ pattern: OperandPattern, _ size: UInt8, _ widths: OperandPattern.Widths, number: Int
  ) -> Bool {
    guard operand.kind == .immediate, operand.size == 0 || operand.size == size else { return false }
    let isSecond = number > 0 && instruction.operands.0.kind == .immediate
    var value = isSecond ? instruction.immediate2 : instruction.immediate
    if pattern.code == .one { return value == 1 }
    let isSigned = pattern.code == .signedByte || pattern.size == .z
    if isSigned {
      // 0xFFFF_FFFF is -1 to a 32-bit operation.
      if widths.operandSize == 4 && value >> 32 == 0 { value = Int64(Int32(truncatingIfNeeded: value)) }
      if widths.operandSize == 2 && value >> 16 == 0 { value = Int64(Int16(truncatingIfNeeded: value)) }
    }
    guard Self.fits(value, size, isSigned: isSigned) else { return false }
    immediates.append(value, bytes: Int(size))
    return true
  }

  /// Whether a value can be told from its low `size` bytes: signed, or either way.
  private static func fits(_ value: Int64, _ size: UInt8, isSigned: Bool) -> Bool {
    if size >= 8 { return true }
    let bits = Int64(size) * 8
    let limit: Int64 = 1 << (bits - 1)
    return value >= -limit && value < (isSigned ? limit : limit * 2)
  }

  private mutating func relative(_ operand: Instruction.Operand, _ pattern: OperandPattern, _ operandSize: UInt8) -> Bool {
    let size: UInt8 = pattern.size == .b ? 1 : operandSize == 2 ? 2 : 4
    guard operand.kind == .relative, operand.size == 0 || operand.size == size, Self.fits(instruction.immediate, size, isSigned: true)
    else { return false }
    immediates.append(instruction.immediate, bytes: Int(size))
    return true
  }

  private mutating func far(_ operand: Instruction.Operand, _ operandSize: UInt8) -> Bool {
    guard operand.kind == .far, operand.size == 0 || operand.size == operandSize + 2 else { return false }
    let size: UInt8 = operandSize == 2 ? 2 : 4
    guard Self.fits(instruction.immediate, size, isSigned: false), Self.fits(instruction.immediate2, 2, isSigned: false) else {
      return false
    }
    immediates.append(instruction.immediate, bytes: Int(size))
    immediates.append(instruction.immediate2, bytes: 2)
    return true
  }

  private mutating func offset(_ operand: Instruction.Operand, _ size: UInt8) -> Bool {
    guard operand.kind == .memory, operand.size == size, instruction.base == -1, instruction.index == -1 else { return false }
    guard Self.fits(instruction.displacement, addressSize, isSigned: false) else { return false }
    immediates.append(instruction.displacement, bytes: Int(addressSize))
    return true
  }

  // MARK: - Bytes

  private mutating func appendPrefixes(_ operandSize: UInt8, _ vectorLength: UInt8) -> Bool {
    let prefixes = instruction.prefixes
    if prefixes.contains(.segment) {
      guard instruction.segment < 6 else { return false }
      if instruction.segment >= 4 {
        code.append(0x60 + instruction.segment)
      } else if !is64 {
        code.append(0x26 + instruction.segment << 3)
      }
    }
    let plain: UInt8 = is64 ? 8 : mode == .protected32 ? 4 : 2
    if addressSize != plain {
      guard addressSize == (is64 ? 4 : plain == 4 ? 2 : 4) else { return false }
      code.append(0x67)
    }
    if prefixes.contains(.lock) { code.append(0xF0) }
    if form.opcode.isVEX { return appendVEX(vectorLength) }
    let isMandatory = form.flags.contains(.mandatoryPrefix)
    if !isMandatory {
      if prefixes.contains(.rep) { code.append(0xF3) }
      if prefixes.contains(.repne) { code.append(0xF2) }
    }
    let is16 = operandSize == 2
    let wantsOperandSize = is16 != (mode == .protected16) && operandSize != 8
    if form.opcode.prefixes == 2 || (wantsOperandSize && form.opcode.prefixes != 1) { code.append(0x66) }
    if wantsOperandSize && form.opcode.prefixes == 1 { return false }
    if form.opcode.prefixes == 4 { code.append(0xF3) }
    if form.opcode.prefixes == 8 { code.append(0xF2) }
    if rex != 0 || needsREX {
      guard is64 else { return false }
      code.append(0x40 | rex)
    }
    switch form.opcode.map {
    case 1: code.append(0x0F)
    case 2: code.append(0x0F38, bigEndian: true)
    case 3: code.append(0x0F3A, bigEndian: true)
    default: break
    }
    return true
  }

  private mutating func appendVEX(_ vectorLength: UInt8) -> Bool {
    var prefixClass: UInt8 = 0
    while form.opcode.prefixes >> UInt64(prefixClass) & 1 == 0 && prefixClass < 3 { prefixClass += 1 }
    let last: UInt8 = (~vvvv & 0xF) << 3 | (vectorLength == 32 ? 4 : 0) | prefixClass
    if form.opcode.map == 1 && rex & 0xB == 0 {
      code.append(0xC5)
      code.append((~rex & 4) << 5 | last)
    } else {
      code.append(0xC4)
      code.append((~rex & 7) << 5 | UInt8(form.opcode.map))
      code.append((rex & 8) << 4 | last)
    }
    return true
  }

  private mutating func appendModRM() -> Bool {
    if !rmIsMemory {
      code.append(0xC0 | reg << 3 | rm)
      return true
    }
    if addressSize == 2 { return appendMemory16() }
    let (base, index, displacement) = (instruction.base, instruction.index, wrapped(instruction.displacement, addressSize))
    guard Self.fits(displacement, 4, isSigned: true) else { return false }
    let register = reg << 3
    if base == -2 {
      guard is64, index == -1 else { return false }
      code.append(register | 5)
      code.append(displacement, bytes: 4)
      return true
    }
    let isVSIB = form.flags.contains(.vsib)
    // RSP is no index.
    if index == 4 && !isVSIB { return false }
    let needsSIB = index >= 0 || base == 4 || base == 12 || (base == -1 && is64)
    let indexBits: UInt8 = index < 0 ? 4 : UInt8(bitPattern: index) & 7
    let sib = (index < 0 ? 0 : instruction.scale) << 6 | indexBits << 3
    if base == -1 {
      code.append(register | (needsSIB ? 4 : 5))
      if needsSIB { code.append(sib | 5) }
      code.append(displacement, bytes: 4)
      return true
    }
    let baseBits = UInt8(bitPattern: base) & 7
    let size = displacement == 0 && baseBits != 5 ? 0 : Self.fits(displacement, 1, isSigned: true) ? 1 : 4
    let mod: UInt8 = size == 0 ? 0 : size == 1 ? 0x40 : 0x80
    code.append(mod | register | (needsSIB ? 4 : baseBits))
    if needsSIB { code.append(sib | baseBits) }
    code.append(displacement, bytes: size)
    return true
  }

  private mutating func appendMemory16() -> Bool {
    let rm: UInt8
    switch (instruction.base, instruction.index) {
    case (3, 6): rm = 0
    case (3, 7): rm = 1
    case (5, 6): rm = 2
    case (5, 7): rm = 3
    case (6, -1): rm = 4
    case (7, -1): rm = 5
    case (5, -1), (-1, -1): rm = 6
    case (3, -1): rm = 7
    default: return false
    }
    let displacement = wrapped(instruction.displacement, 2)
    guard instruction.scale == 0, Self.fits(displacement, 2, isSigned: true) else { return false }
    if instruction.base == -1 {
      code.append(reg << 3 | 6)
      code.append(displacement, bytes: 2)
      return true
    }
    let size = displacement == 0 && rm != 6 ? 0 : Self.fits(displacement, 1, isSigned: true) ? 1 : 2
    code.append((size == 0 ? 0 : size == 1 ? 0x40 : 0x80) | reg << 3 | rm)
    code.append(displacement, bytes: size)
    return true
  }

  /// A displacement as the signed number that the address arithmetic of `size` bytes makes of it.
  private func wrapped(_ displacement: Int64, _ size: UInt8) -> Int64 {
    switch size {
    case 2 where displacement >> 16 == 0: return Int64(Int16(truncatingIfNeeded: displacement))
    case 4 where displacement >> 32 == 0: return Int64(Int32(truncatingIfNeeded: displacement))
    default: return displacement
    }
  }
}

extension CodeBytes {
  /// Appends a two-byte escape as it is written: 0F38.
  fileprivate mutating func append(_ value: UInt16, bigEndian: Bool) {
    append(UInt8(truncatingIfNeeded: value >> 8))
    append(UInt8(truncatingIfNeeded: value))
  }
}
