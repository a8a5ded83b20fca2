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
  /// Added to a kind: CF, or CF and OF, are bytes 0 and 1 of `flags_carry` whatever the rest says.
  static let carryBeside = 0x40
  static let carriesBeside = 0x80
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// Makes the lazy flags current.
  @inline(__always) func settleFlags() {
    if pointee.flags_kind != 0 { settleFlagsSlowly() }
  }

  @inline(never) func settleFlagsSlowly() {
    let whole = Int(pointee.flags_kind)
    pointee.flags_kind = 0
    let kind = whole & 0x3F
    defer {
      let carry = pointee.flags_carry & 1 != 0
      if whole & NativeFlags.carriesBeside != 0 {
        setCFOF(carry, pointee.flags_carry & 0x100 != 0)
      } else if whole & NativeFlags.carryBeside != 0 {
        setCF(carry)
      }
    }
    guard kind != NativeFlags.settled else { return }
    if kind & ~3 == NativeFlags.compare {
      let b = pointee.flags_b
      setArithmeticFlags((b & 1) | (b >> 8 & 1) << 2 | (b >> 16 & 1) << 6)
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
