extension Mnemonic {
  /// How many mnemonics there are; raw values are 0..<count, 0 being no instruction.
  public static var count: Int { InstructionTable.shared.names.count }

  /// The mnemonic of an Intel name in lower case, or nil if the table has none.
  public init?(_ name: String) {
    guard let value = InstructionTable.shared.numbers[name] else { return nil }
    self.init(rawValue: value)
  }

  /// The Intel name in lower case; "(bad)" for a value that names nothing.
  public var name: String {
    let names = InstructionTable.shared.names
    return Int(rawValue) < names.count ? names[Int(rawValue)] : names[0]
  }
}

extension Mnemonic: CustomStringConvertible {
  public var description: String { name }
}
