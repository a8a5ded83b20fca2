/// The circumstances of an instruction as one bit in each of several fields. A row accepts a set of values in each field: it
/// matches if every bit of the key is among the row's.
enum MatchKey {
  static let prefixes: UInt64 = 0xF
  static let operandSizes: UInt64 = 7 << 10
  static let addressSizes: UInt64 = 7 << 13
  static let rm: UInt64 = 0xFF << 16
  static let vvvvUnused: UInt64 = 1 << 24
  static let vvvvUsed: UInt64 = 1 << 25
  static let unlocked: UInt64 = 1 << 26
  static let locked: UInt64 = 1 << 27
  /// Every bit of every field.
  static let all: UInt64 = (1 << 28) - 1

  /// Prefix classes: 0 none, 1 66, 2 F3, 3 F2.
  @inline(__always) static func prefix(_ value: UInt8) -> UInt64 { 1 &<< UInt64(value) }
  @inline(__always) static func mode(_ value: CodeMode) -> UInt64 { value == .long64 ? 1 << 5 : 1 << 4 }
  @inline(__always) static func w(_ value: Bool) -> UInt64 { value ? 1 << 7 : 1 << 6 }
  @inline(__always) static func l(_ value: Bool) -> UInt64 { value ? 1 << 9 : 1 << 8 }
  /// 2, 4 or 8 bytes.
  @inline(__always) static func operandSize(_ value: UInt8) -> UInt64 { 1 &<< (10 &+ UInt64(value >> 2)) }
  @inline(__always) static func addressSize(_ value: UInt8) -> UInt64 { 1 &<< (13 &+ UInt64(value >> 2)) }
  /// ModRM.rm, or REX.B of an opcode without ModRM.
  @inline(__always) static func rm(_ value: UInt8) -> UInt64 { 1 &<< (16 &+ UInt64(value & 7)) }
}
