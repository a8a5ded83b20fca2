import CHost

/// How translated code leaves the arithmetic flags in memory: the operands of the last setter, a few stores, and this kind. Whoever
/// looks makes them lazy flags first (`settleFlags`).
enum NativeFlags {
  /// Kinds are one of these plus the size's logarithm (0…3).
  static let settled = 0
  /// `flags_a` - `flags_b`
  static let subtract = 4
  /// `flags_a` + `flags_b`
  static let add = 8
  /// The result is `flags_a`; CF, OF and AF are 0.
  static let logic = 12
  /// The result is `flags_a`; CF is byte 0 of `flags_b`, OF byte 1; AF is 0.
  static let shift = 16
  /// The result is `flags_a`; CF and OF as for `shift`; AF by the result: INC.
  static let increment = 20
  static let decrement = 24
  /// As `shift`, but ZF is 0: IMUL.
  static let multiply = 28
  /// CF, PF and ZF are bytes 0, 1 and 2 of `flags_b`; the others are 0: COMISS and its like.
  static let compare = 32
  /// `flags_a` + or - `flags_b` and a carry is `flags_result`: ADC, SBB.
  static let addWithCarry = 36
  static let subtractWithBorrow = 40
  /// RFLAGS as PUSHF stores it is `flags_a`.
  static let image = 44
  /// Byte 0 of `flags_kind` is a kind. Bytes 1, 2 and 3 say with 1 that CF, OF or ZF is byte 0, 1 or 2 of `flags_carry`, whatever the
  /// kind says.
  static let carryBeside: UInt32 = 1 << 8
  static let overflowBeside: UInt32 = 1 << 16
  static let zeroBeside: UInt32 = 1 << 24
}

/// Some of the arithmetic flags.
enum FlagSet {
  static let carry: UInt8 = 1
  static let parity: UInt8 = 2
  static let adjust: UInt8 = 4
  static let zero: UInt8 = 8
  static let sign: UInt8 = 16
  static let overflow: UInt8 = 32
  static let all: UInt8 = 63

  /// What a condition code looks at.
  static func read(by condition: Int) -> UInt8 {
    switch condition >> 1 {
    case 0: return overflow
    case 1: return carry
    case 2: return zero
    case 3: return carry | zero
    case 4: return sign
    case 5: return parity
    case 6: return sign | overflow
    default: return zero | sign | overflow
    }
  }
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// Makes the lazy flags current.
  @inline(__always) func settleFlags() {
    if pointee.flags_kind != 0 { settleFlagsSlowly() }
  }

  @inline(never) func settleFlagsSlowly() {
    let whole = pointee.flags_kind
    pointee.flags_kind = 0
    let kind = Int(whole & 0xFF)
    defer {
      let beside = pointee.flags_carry
      if whole & NativeFlags.carryBeside != 0 { setCF(beside & 1 != 0) }
      if whole & NativeFlags.overflowBeside != 0 { setCFOF(cf, beside & 0x100 != 0) }
      if whole & NativeFlags.zeroBeside != 0 { setZF(beside & 0x1_0000 != 0) }
    }
    guard kind != NativeFlags.settled else { return }
    if kind & ~3 == NativeFlags.compare {
      let b = pointee.flags_b
      setArithmeticFlags((b & 1) | (b >> 8 & 1) << 2 | (b >> 16 & 1) << 6)
      return
    }
    if kind == NativeFlags.image {
      setArithmeticFlags(pointee.flags_a)
      return
    }
    switch kind & 3 {
    case 0: settle(kind & ~3, UInt8.self)
    case 1: settle(kind & ~3, UInt16.self)
    case 2: settle(kind & ~3, UInt32.self)
    default: settle(kind & ~3, UInt64.self)
    }
  }

  private func settle<T: FixedWidthInteger & UnsignedInteger>(_ kind: Int, _: T.Type) {
    let a = T(truncatingIfNeeded: pointee.flags_a)
    let b = T(truncatingIfNeeded: pointee.flags_b)
    switch kind {
    case NativeFlags.subtract: setSubFlags(a, b, a &- b)
    case NativeFlags.add: setAddFlags(a, b, a &+ b)
    case NativeFlags.logic: setLogicFlags(a)
    case NativeFlags.addWithCarry: setAddFlags(a, b, T(truncatingIfNeeded: pointee.flags_result))
    case NativeFlags.subtractWithBorrow: setSubFlags(a, b, T(truncatingIfNeeded: pointee.flags_result))
    default:
      setLogicFlags(a)
      if kind == NativeFlags.multiply && a == 0 {
        // ZF clear with the parity of 0 and SF clear: any non-zero result with even parity.
        pointee.lazy_result = 3
      }
      let low = UInt8(truncatingIfNeeded: a) & 15
      if kind == NativeFlags.increment && low == 0 || kind == NativeFlags.decrement && low == 15 { pointee.lazy_aux |= 8 }
      setCFOF(pointee.flags_b & 1 != 0, pointee.flags_b & 0x100 != 0)
    }
  }
}
