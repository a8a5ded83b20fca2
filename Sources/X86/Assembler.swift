/// Writes instructions one after another.
///
///     var a = Assembler()
///     try a.emit("mov", .general(0, size: 8), .memory(.init(base: 3, displacement: 16), size: 8))
///     let exit = try a.emitJump("jz")
///     …
///     a.patch(exit)
public struct Assembler {
  public let mode: CodeMode
  public private(set) var code: [UInt8] = []

  public init(mode: CodeMode = .long64) { self.mode = mode }

  /// An address: registers by number, -1 for none; base -2 is RIP (of the next instruction).
  public struct Memory: Sendable {
    public var base: Int8
    public var index: Int8
    /// Shift count of the index, 0...3.
    public var scale: UInt8
    public var displacement: Int64
    /// Segment override, or nil.
    public var segment: UInt8?
    /// Bytes, or 0 for the mode's own.
    public var addressSize: UInt8

    public init(
      base: Int8 = -1, index: Int8 = -1, scale: UInt8 = 0, displacement: Int64 = 0, segment: UInt8? = nil, addressSize: UInt8 = 0
    ) {
      self.base = base
      self.index = index
      self.scale = scale
      self.displacement = displacement
      self.segment = segment
      self.addressSize = addressSize
    }
  }

  public enum Operand: Sendable {
    /// Any register.
    case register(Instruction.Operand)
    case memory(Memory, size: UInt8)
    case immediate(Int64)
    /// Distance of a branch's target from the end of the branch.
    case relative(Int64)
    case far(selector: UInt16, offset: UInt32)

    public static func general(_ number: UInt8, size: UInt8) -> Operand {
      .register(.init(kind: .general, register: number, size: size))
    }
    public static func vector(_ number: UInt8, size: UInt8 = 16) -> Operand {
      .register(.init(kind: .vector, register: number, size: size))
    }
  }

  /// A jump whose target is not known yet: where its 32-bit displacement ends.
  public struct Jump: Sendable {
    let end: Int
  }

  /// The instruction of a mnemonic and operands, as the encoder takes it.
  public static func instruction(
    _ mnemonic: Mnemonic, _ operands: [Operand], prefixes: Instruction.Prefixes = []
  ) -> Instruction {
    var result = Instruction()
    result.mnemonic = mnemonic
    result.prefixes = prefixes
    result.operandSize = 0
    result.addressSize = 0
    result.operandCount = UInt8(truncatingIfNeeded: operands.count)
    var immediates = 0
    var list = operands.prefix(5).map { operand -> Instruction.Operand in
      switch operand {
      case .register(let register): return register
      case .memory(let memory, let size):
        result.base = memory.base
        result.index = memory.index
        result.scale = memory.scale
        result.displacement = memory.displacement
        result.addressSize = memory.addressSize
        if let segment = memory.segment {
          result.segment = segment
          result.prefixes.insert(.segment)
        }
        return Instruction.Operand(kind: .memory, size: size)
      case .immediate(let value):
        if immediates == 0 { result.immediate = value } else { result.immediate2 = value }
        immediates += 1
        return Instruction.Operand(kind: .immediate)
      case .relative(let distance):
        result.immediate = distance
        return Instruction.Operand(kind: .relative)
      case .far(let selector, let offset):
        result.immediate = Int64(offset)
        result.immediate2 = Int64(selector)
        return Instruction.Operand(kind: .far)
      }
    }
    while list.count < 5 { list.append(Instruction.Operand()) }
    result.operands = (list[0], list[1], list[2], list[3], list[4])
    return result
  }

  /// Appends an instruction, in its shortest form.
  public mutating func emit(_ mnemonic: Mnemonic, _ operands: Operand..., prefixes: Instruction.Prefixes = []) throws(EncodeError) {
    try Encoder.encode(Self.instruction(mnemonic, operands, prefixes: prefixes), mode: mode, into: &code)
  }

  /// Appends an instruction by name, in its shortest form.
  public mutating func emit(_ name: String, _ operands: Operand..., prefixes: Instruction.Prefixes = []) throws(EncodeError) {
    guard let mnemonic = Mnemonic(name) else { throw .noSuchForm }
    try Encoder.encode(Self.instruction(mnemonic, operands, prefixes: prefixes), mode: mode, into: &code)
  }

  /// Appends a jump or call with a 32-bit displacement (or 16-bit code's 16-bit one) to be filled in by `patch`.
  public mutating func emitJump(_ name: String) throws(EncodeError) -> Jump {
    guard let mnemonic = Mnemonic(name) else { throw .noSuchForm }
    var jump = Self.instruction(mnemonic, [.relative(0)])
    jump.operands.0.size = mode == .protected16 ? 2 : 4
    try Encoder.encode(jump, mode: mode, into: &code)
    return Jump(end: code.count)
  }

  /// Makes a jump go to `target`, a position in `code`; to the end of it if left out.
  public mutating func patch(_ jump: Jump, to target: Int? = nil) {
    let distance = (target ?? code.count) - jump.end
    let size = mode == .protected16 ? 2 : 4
    for i in 0..<size { code[jump.end - size + i] = UInt8(truncatingIfNeeded: distance >> (i * 8)) }
  }
}
