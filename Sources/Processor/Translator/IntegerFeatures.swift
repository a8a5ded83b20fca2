import CHost

/// What general-purpose instructions the host has beyond the first x86-64.
struct HostIntegerFeatures: OptionSet, Sendable {
  var rawValue: UInt32
  static let bmi1 = Self(rawValue: UInt32(PH_INTEGER_BMI1))
  static let bmi2 = Self(rawValue: UInt32(PH_INTEGER_BMI2))
  static let popcnt = Self(rawValue: UInt32(PH_INTEGER_POPCNT))
  static let lzcnt = Self(rawValue: UInt32(PH_INTEGER_LZCNT))
  static let movbe = Self(rawValue: UInt32(PH_INTEGER_MOVBE))
  static let adx = Self(rawValue: UInt32(PH_INTEGER_ADX))
  static let crc32 = Self(rawValue: UInt32(PH_INTEGER_CRC32))
  static let cmpxchg16b = Self(rawValue: UInt32(PH_INTEGER_CMPXCHG16B))
  static let present = Self(rawValue: ph_integer_features())
}

/// Groups of instructions whose results that the manuals leave undefined the host gives as `Documentation/UndefinedResults.md` has them.
struct HostKnownResults: OptionSet, Sendable {
  var rawValue: UInt32
  static let present = Self(rawValue: ph_known_results())
  /// All x87 instructions.
  static let x87 = Self(rawValue: UInt32(PH_KNOWN_X87))

  /// What else must not run as itself on a host that has other results, by group.
  static let groups: [(Self, [String])] = [
    (Self(rawValue: UInt32(PH_KNOWN_SHIFTS)), ["shl", "shr", "sar"]),
    (Self(rawValue: UInt32(PH_KNOWN_DOUBLE_SHIFTS)), ["shld", "shrd"]),
    (Self(rawValue: UInt32(PH_KNOWN_ROTATES)), ["rol", "ror", "rcl", "rcr"]),
    (Self(rawValue: UInt32(PH_KNOWN_PRODUCTS)), ["mul", "imul"]),
    (Self(rawValue: UInt32(PH_KNOWN_SCANS)), ["bsf", "bsr"]),
    (Self(rawValue: UInt32(PH_KNOWN_BIT_TESTS)), ["bt", "bts", "btr", "btc"]),
    (Self(rawValue: UInt32(PH_KNOWN_EXCHANGES)), ["cmpxchg"]),
    (Self(rawValue: UInt32(PH_KNOWN_COUNTS)), ["tzcnt", "lzcnt"]),
    (Self(rawValue: UInt32(PH_KNOWN_FIELDS)), ["andn", "bextr", "blsi", "blsmsk", "blsr", "bzhi"]),
  ]
}

/// An instruction of BMI1 or BMI2.
struct ThreeOperandEncoding: Sendable {
  /// Where the operands go, as the assembly language orders them.
  enum Shape: Sendable {
    /// ModRM.reg, VEX.vvvv, ModRM.rm; both of the former written: MULX.
    case registerSecond, twoResults
    /// ModRM.reg, ModRM.rm, VEX.vvvv; or an immediate byte.
    case registerThird, immediateThird
    /// VEX.vvvv, ModRM.rm; ModRM.reg is this.
    case group(Int)
  }
  /// 2: 0F 38; 3: 0F 3A.
  var map: Int
  /// 0 none, 1 66, 2 F3, 3 F2.
  var prefix: Int
  var opcode: Int
  var shape: Shape
  var setsFlags: Bool
  var needs: HostIntegerFeatures

  static let all: [(String, Self)] = [
    ("andn", Self(map: 2, prefix: 0, opcode: 0xF2, shape: .registerSecond, setsFlags: true, needs: .bmi1)),
    ("bextr", Self(map: 2, prefix: 0, opcode: 0xF7, shape: .registerThird, setsFlags: true, needs: .bmi1)),
    ("blsr", Self(map: 2, prefix: 0, opcode: 0xF3, shape: .group(1), setsFlags: true, needs: .bmi1)),
    ("blsmsk", Self(map: 2, prefix: 0, opcode: 0xF3, shape: .group(2), setsFlags: true, needs: .bmi1)),
    ("blsi", Self(map: 2, prefix: 0, opcode: 0xF3, shape: .group(3), setsFlags: true, needs: .bmi1)),
    ("bzhi", Self(map: 2, prefix: 0, opcode: 0xF5, shape: .registerThird, setsFlags: true, needs: .bmi2)),
    ("pext", Self(map: 2, prefix: 2, opcode: 0xF5, shape: .registerSecond, setsFlags: false, needs: .bmi2)),
    ("pdep", Self(map: 2, prefix: 3, opcode: 0xF5, shape: .registerSecond, setsFlags: false, needs: .bmi2)),
    ("mulx", Self(map: 2, prefix: 3, opcode: 0xF6, shape: .twoResults, setsFlags: false, needs: .bmi2)),
    ("shlx", Self(map: 2, prefix: 1, opcode: 0xF7, shape: .registerThird, setsFlags: false, needs: .bmi2)),
    ("sarx", Self(map: 2, prefix: 2, opcode: 0xF7, shape: .registerThird, setsFlags: false, needs: .bmi2)),
    ("shrx", Self(map: 2, prefix: 3, opcode: 0xF7, shape: .registerThird, setsFlags: false, needs: .bmi2)),
    ("rorx", Self(map: 3, prefix: 3, opcode: 0xF0, shape: .immediateThird, setsFlags: false, needs: .bmi2)),
  ]
}
