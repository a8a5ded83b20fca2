import X86

// Operands wherever they are: a host register, memory, the second byte of a register. None of these changes flags.

extension Translator {
  /// The host register that is the operand's own.
  func home(_ operand: Instruction.Operand) -> Int? { operand.kind == .general ? Host.of(guest(operand)) : nil }

  /// A host register that has a register operand's value in its low bytes: its own, or `scratch` after loading it.
  func take(_ operand: Instruction.Operand, _ scratch: Int) -> Int {
    guard operand.kind == .generalHigh else { return value(guest(operand), scratch) }
    code.rotate(scratch, Int(operand.register & 3), right: 8)
    return scratch
  }

  /// The same, but always in `scratch`.
  func copy(_ operand: Instruction.Operand, _ scratch: Int) {
    let from = take(operand, scratch)
    if from != scratch { code.rr(0x8B, scratch, from, size: 8) }
  }

  /// Gives a register operand the `size` bytes in `from`; of 4 the upper half becomes 0, which where the operand is in memory `from`
  /// must already have.
  func put(_ operand: Instruction.Operand, _ from: Int, size: Int) {
    if operand.kind == .generalHigh {
      let host = Int(operand.register & 3)
      var from = from
      if from == host {
        code.rr(0x8B, Host.b, from, size: 8)
        from = Host.b
      }
      code.rotate(host, host, right: 8)
      code.rr(0x8A, host, from, size: 1)
      code.rotate(host, host, right: 56)
    } else if let host = home(operand) {
      if host != from { code.rr(size == 1 ? 0x8A : 0x8B, host, from, size: size) }
    } else {
      writeBack(guest(operand), from, size: size)
    }
  }

  /// The memory operand at [a + b] into a register.
  func loadOperand(_ register: Int, size: Int) {
    onOperand(size == 1 ? 0x8A : 0x8B, register, size: size)
  }

  /// The byte opcode, or the one above it for greater sizes.
  func sized(_ opcode: Int, _ size: Int) -> Int { size == 1 ? opcode : opcode + 1 }

  /// An instruction that has nothing but a memory operand at a register's address.
  func memory(base: Int, displacement: Int = 0, segment: UInt8 = 3, like i: Instruction) -> Instruction {
    var m = i
    m.base = Int8(base)
    m.index = -1
    m.displacement = Int64(displacement)
    m.segment = segment
    return m
  }
}
