// Instructions as text, in Intel syntax: for traces, crash reports and failing tests.

extension Instruction {
  /// An instruction of nothing: no operands, no addresses.
  public init() {
    self.init(
      mnemonic: Mnemonic(rawValue: 0), form: 0, length: 0, operandSize: 4, addressSize: 8, operandCount: 0,
      operands: (Operand(), Operand(), Operand(), Operand(), Operand()), prefixes: [], segment: 3, base: -1, index: -1, scale: 0,
      vectorLength: 0, w: false, displacement: 0, immediate: 0, immediate2: 0)
  }

  /// Operand by number, 0...4; an operand of kind `.none` for any other number.
  public func operand(_ number: Int) -> Operand {
    switch number {
    case 0: operands.0
    case 1: operands.1
    case 2: operands.2
    case 3: operands.3
    case 4: operands.4
    default: Operand()
    }
  }

  /// Whether an operand is in memory (`lea` and `invlpg` included).
  public var hasMemoryOperand: Bool {
    for i in 0..<Int(operandCount) where operand(i).kind == .memory { return true }
    return false
  }
}

extension Instruction: CustomStringConvertible {
  public var description: String { text(at: nil) }

  /// The instruction as text; with the address of its first byte, relative targets are given as addresses.
  public func text(at address: UInt64?) -> String {
    var text = ""
    if prefixes.contains(.lock) { text += "lock " }
    if prefixes.contains(.rep) { text += "rep " }
    if prefixes.contains(.repne) { text += "repne " }
    text += mnemonic.name
    var separator = " "
    for i in 0..<Int(operandCount) {
      text += separator + operandText(i, address)
      separator = ", "
    }
    return text
  }

  private func operandText(_ number: Int, _ address: UInt64?) -> String {
    let operand = operand(number)
    switch operand.kind {
    case .none: return ""
    case .general: return Self.generalName(operand.register, size: operand.size)
    case .generalHigh: return ["ah", "ch", "dh", "bh"][Int(operand.register & 3)]
    case .memory: return memoryText(operand)
    case .immediate:
      let isSecond = number > 0 && operands.0.kind == .immediate
      return Self.hex(isSecond ? immediate2 : immediate)
    case .relative:
      guard let address else { return "$" + (immediate < 0 ? "" : "+") + Self.hex(immediate) }
      return Self.hex(Int64(bitPattern: address &+ UInt64(length) &+ UInt64(bitPattern: immediate)), unsigned: true)
    case .far: return "\(Self.hex(immediate2)):\(Self.hex(immediate))"
    case .vector: return (operand.size == 32 ? "ymm" : "xmm") + "\(operand.register)"
    case .mmx: return "mm\(operand.register)"
    case .x87: return "st(\(operand.register))"
    case .segment: return Self.segmentName(operand.register)
    case .control: return "cr\(operand.register)"
    case .debug: return "dr\(operand.register)"
    }
  }

  private func memoryText(_ operand: Operand) -> String {
    var parts: [String] = []
    if base == -2 {
      parts.append(addressSize == 4 ? "eip" : "rip")
    } else if base >= 0 {
      parts.append(Self.generalName(UInt8(bitPattern: base), size: addressSize))
    }
    if index >= 0 {
      let isVector = Int(form) < InstructionTable.shared.forms.count && InstructionTable.shared.forms[Int(form)].flags.contains(.vsib)
      let name = isVector ? "v\(index)" : Self.generalName(UInt8(bitPattern: index), size: addressSize)
      parts.append(scale == 0 ? name : "\(name)*\(1 << Int(scale & 3))")
    }
    var text = parts.joined(separator: "+")
    if displacement != 0 || parts.isEmpty {
      let isAbsolute = parts.isEmpty
      text += (displacement < 0 && !isAbsolute ? "" : isAbsolute ? "" : "+") + Self.hex(displacement, unsigned: isAbsolute)
    }
    let width: String
    switch operand.size {
    case 1: width = "byte "
    case 2: width = "word "
    case 4: width = "dword "
    case 8: width = "qword "
    case 10: width = "tbyte "
    case 16: width = "xmmword "
    case 32: width = "ymmword "
    default: width = ""
    }
    return width + (prefixes.contains(.segment) ? Self.segmentName(segment) + ":" : "") + "[\(text)]"
  }

  /// Name of a general register of 1, 2, 4 or 8 bytes.
  public static func generalName(_ register: UInt8, size: UInt8) -> String {
    guard register < 8 else {
      let suffix = size == 8 ? "" : size == 4 ? "d" : size == 2 ? "w" : "b"
      return "r\(register)\(suffix)"
    }
    let number = Int(register)
    let word = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"][number]
    switch size {
    case 8: return "r" + word
    case 4: return "e" + word
    case 2: return word
    default: return ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"][number]
    }
  }

  static func segmentName(_ number: UInt8) -> String {
    Int(number) < 6 ? ["es", "cs", "ss", "ds", "fs", "gs"][Int(number)] : "?"
  }

  private static func hex(_ value: Int64, unsigned: Bool = false) -> String {
    if value < 0 && !unsigned { return "-0x" + String(value.magnitude, radix: 16) }
    return "0x" + String(UInt64(bitPattern: value), radix: 16)
  }
}
