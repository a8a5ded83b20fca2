/// What is run and what is wanted of it: at first what was recorded, then that with one or more of the differences between the recorded
/// processor and later ones taken into account.
struct VectorPlan {
  /// Registers in the order of `ProcessorVector.names`.
  var before: [UInt16]
  var after: [UInt16]
  /// What runs in the place of the recorded instruction.
  var code: [UInt8]?
  /// Memory that is not as recorded before the run.
  var memory: [ProcessorVector.Cell] = []
  /// Memory that is wanted otherwise than recorded.
  var wanted: [ProcessorVector.Cell] = []
  /// Bits of memory that are not compared.
  var ignored: [ProcessorVector.Cell] = []
  /// Flags that are not compared, also where they were pushed.
  var ignoredFlags: UInt16 = 0
  /// Offsets behind FFFF lead to the segment's start.
  var wraps = false
  /// #SS is delivered through the vector of #GP.
  var stackFaultsAreGeneral = false

  init(_ vector: ProcessorVector) {
    before = vector.before
    after = vector.after
  }

  /// Wants a word of the stack otherwise.
  mutating func want(_ value: UInt16, atStack offset: UInt16, _ machine: VectorMachine) {
    for byte in UInt16(0)..<2 {
      let address = machine.linear(before[5], offset &+ byte)
      wanted.append(ProcessorVector.Cell(address: address, value: UInt8(truncatingIfNeeded: value >> (byte * 8))))
    }
  }
}

/// Where the parts of an instruction of the 8086 or 80286 are.
struct VectorShape {
  private static let prefixes: Set<UInt8> = [0x26, 0x2E, 0x36, 0x3E, 0xF0, 0xF2, 0xF3]
  /// The instruction without the HLT behind it.
  let bytes: [UInt8]
  /// The opcode's place.
  let at: Int

  init(_ vector: ProcessorVector, _ processor: RecordedProcessor) {
    let all = vector.bytes
    let halted = processor == .i80286 && all.last == 0xF4 && all.count > 1
    bytes = halted ? Array(all.dropLast()) : all
    at = bytes.firstIndex { !Self.prefixes.contains($0) } ?? bytes.count
  }

  var length: UInt16 { UInt16(truncatingIfNeeded: bytes.count) }
  /// 0 if there is none: 00 is ADD.
  var opcode: UInt8 { at < bytes.count ? bytes[at] : 0 }
  var second: UInt8 { at + 1 < bytes.count ? bytes[at + 1] : 0 }
  /// The reg field of ModRM.
  var reg: UInt8 { second >> 3 & 7 }
  var isRegisterForm: Bool { second >= 0xC0 }
  func has(_ prefix: UInt8) -> Bool { bytes.prefix(at).contains(prefix) }
  var isRepeated: Bool { has(0xF2) || has(0xF3) }
  var isString: Bool { [0x6C, 0x6D, 0x6E, 0x6F].contains(opcode) || (0xA4...0xAF).contains(opcode) && opcode & 0xFE != 0xA8 }
  /// DIV, IDIV and AAM.
  var divides: Bool { opcode == 0xD4 || (opcode & 0xFE == 0xF6 && reg >= 6) }
  var isSignedDivision: Bool { opcode & 0xFE == 0xF6 && reg == 7 }

  func replacing(_ place: Int, _ value: UInt8) -> [UInt8] {
    var result = bytes
    if place < result.count { result[place] = value }
    return result
  }
  /// With another opcode.
  func with(opcode: UInt8) -> [UInt8] { replacing(at, opcode) }
  /// With another reg field.
  func with(reg: UInt8) -> [UInt8] { replacing(at + 1, second & 0xC7 | reg << 3) }
}
