// Operands of the decoder: registers and immediates, as the form's patterns say.

extension DecoderState {
  mutating func readOperands(_ row: UnsafePointer<DecoderRow>, _ opcode: UInt8, _ operandSize: UInt8) throws(DecodeError) {
    let count = row.pointee.operandCount
    result.operandCount = count
    if count == 0 { return }
    let widths = OperandPattern.Widths(
      operandSize: operandSize, mode: mode, w: rex & 8 != 0, vectorLength: result.vectorLength)
    result.operands.0 = try readOperand(row.pointee.operands.0, opcode, widths, first: true)
    if count == 1 { return }
    result.operands.1 = try readOperand(row.pointee.operands.1, opcode, widths, first: false)
    if count > 2 { result.operands.2 = try readOperand(row.pointee.operands.2, opcode, widths, first: false) }
    if count > 3 { result.operands.3 = try readOperand(row.pointee.operands.3, opcode, widths, first: false) }
    if count > 4 { result.operands.4 = try readOperand(row.pointee.operands.4, opcode, widths, first: false) }
    if row.pointee.flags.contains(.vsib) { try checkVectorRegisters() }
  }

  /// A gather's destination, index and mask must be three registers (SDM: "VPGATHERDD", exceptions).
  private func checkVectorRegisters() throws(DecodeError) {
    let index = UInt8(bitPattern: result.index)
    let destination = result.operands.0.register
    let mask = result.operands.2.register
    if destination == mask || destination == index || mask == index { throw .invalid }
  }

  @inline(__always) private mutating func readOperand(
    _ pattern: OperandPattern, _ opcode: UInt8, _ widths: OperandPattern.Widths, first: Bool
  ) throws(DecodeError) -> Instruction.Operand {
    let size = pattern.bytes(widths)
    switch pattern.code {
    case .none: return Instruction.Operand()
    case .regGeneral: return general(reg | (rex & 4) << 1, size)
    case .rmGeneral, .rmGeneralOnly:
      return isRegister ? general(rm | (rex & 1) << 3, size) : Instruction.Operand(kind: .memory, size: size)
    case .memory, .vectorMemory: return Instruction.Operand(kind: .memory, size: size)
    case .opcodeGeneral: return general(opcode & 7 | (rex & 1) << 3, size)
    case .fixedGeneral: return Instruction.Operand(kind: .general, register: pattern.register, size: size)
    case .fixedSegment: return Instruction.Operand(kind: .segment, register: pattern.register, size: size)
    case .regSegment:
      // Six segment registers; CS cannot be loaded.
      if reg > 5 || (first && reg == 1) { throw .invalid }
      return Instruction.Operand(kind: .segment, register: reg, size: 2)
    case .regControl:
      let number = reg | (rex & 4) << 1
      if number == 1 || (number > 4 && number != 8) { throw .invalid }
      return Instruction.Operand(kind: .control, register: number, size: size)
    case .regDebug:
      if rex & 4 != 0 { throw .invalid }
      return Instruction.Operand(kind: .debug, register: reg, size: size)
    case .regVector: return Instruction.Operand(kind: .vector, register: reg | (rex & 4) << 1, size: size)
    case .rmVector, .rmVectorOnly:
      if !isRegister { return Instruction.Operand(kind: .memory, size: size) }
      return Instruction.Operand(kind: .vector, register: rm | (rex & 1) << 3, size: size)
    case .vexVector: return Instruction.Operand(kind: .vector, register: is64 ? vvvv : vvvv & 7, size: size)
    case .vexGeneral: return Instruction.Operand(kind: .general, register: is64 ? vvvv : vvvv & 7, size: size)
    case .immediateVector:
      let register = try next() >> 4
      return Instruction.Operand(kind: .vector, register: is64 ? register : register & 7, size: size)
    case .fixedVector: return Instruction.Operand(kind: .vector, register: pattern.register, size: size)
    case .regMMX: return Instruction.Operand(kind: .mmx, register: reg, size: size)
    case .rmMMX, .rmMMXOnly:
      return isRegister
        ? Instruction.Operand(kind: .mmx, register: rm, size: size) : Instruction.Operand(kind: .memory, size: size)
    case .fixedX87: return Instruction.Operand(kind: .x87, register: pattern.register, size: size)
    case .rmX87: return Instruction.Operand(kind: .x87, register: rm, size: size)
    case .immediate, .signedByte, .one: return try immediate(pattern, size, first: first)
    case .relative: return try relative(pattern, widths.operandSize)
    case .far: return try far(widths.operandSize)
    case .offset: return try offset(size)
    }
  }

  /// A general register; AH, CH, DH and BH are the byte registers 4…7 where there is no REX prefix.
  @inline(__always) private func general(_ number: UInt8, _ size: UInt8) -> Instruction.Operand {
    if size == 1 && number & 0xC == 4 && (rex == 0 || isVEX) {
      return Instruction.Operand(kind: .generalHigh, register: number & 3, size: 1)
    }
    return Instruction.Operand(kind: .general, register: number, size: size)
  }

  private mutating func immediate(_ pattern: OperandPattern, _ size: UInt8, first: Bool) throws(DecodeError) -> Instruction.Operand {
    var value: Int64 = 1
    if pattern.code == .signedByte {
      value = Int64(Int8(bitPattern: try next()))
    } else if pattern.code == .immediate {
      let isSigned = pattern.size == .z
      switch size {
      case 1: value = Int64(try next())
      case 2:
        let word = try next16()
        value = isSigned ? Int64(Int16(bitPattern: word)) : Int64(word)
      case 4:
        let double = try next32()
        value = isSigned ? Int64(Int32(bitPattern: double)) : Int64(double)
      default: value = Int64(bitPattern: try next64())
      }
    }
    // Only ENTER has two immediates: the word comes first, and its level second.
    if result.operands.0.kind == .immediate && !first {
      result.immediate2 = value
    } else {
      result.immediate = value
    }
    return Instruction.Operand(kind: .immediate, size: size)
  }

  private mutating func relative(_ pattern: OperandPattern, _ operandSize: UInt8) throws(DecodeError) -> Instruction.Operand {
    if pattern.size == .b {
      result.immediate = Int64(Int8(bitPattern: try next()))
      return Instruction.Operand(kind: .relative, size: 1)
    }
    if operandSize == 2 {
      result.immediate = Int64(Int16(bitPattern: try next16()))
      return Instruction.Operand(kind: .relative, size: 2)
    }
    result.immediate = Int64(Int32(bitPattern: try next32()))
    return Instruction.Operand(kind: .relative, size: 4)
  }

  private mutating func far(_ operandSize: UInt8) throws(DecodeError) -> Instruction.Operand {
    if operandSize == 2 {
      result.immediate = Int64(try next16())
    } else {
      result.immediate = Int64(try next32())
    }
    result.immediate2 = Int64(try next16())
    return Instruction.Operand(kind: .far, size: operandSize &+ 2)
  }

  private mutating func offset(_ size: UInt8) throws(DecodeError) -> Instruction.Operand {
    switch result.addressSize {
    case 2: result.displacement = Int64(try next16())
    case 4: result.displacement = Int64(try next32())
    default: result.displacement = Int64(bitPattern: try next64())
    }
    return Instruction.Operand(kind: .memory, size: size)
  }
}
