// Comparisons and conversions of the soft-float.

extension SoftFloat {
  enum Order { case less, equal, greater, unordered }

  /// Compares; a quiet NaN is invalid too where `signaling`.
  mutating func compare(_ a: UInt64, _ b: UInt64, _ f: FloatFormat, signaling: Bool) -> Order {
    let x = unpack(a, f)
    let y = unpack(b, f)
    if x.isNaN || y.isNaN {
      if signaling || x.kind == .signaling || y.kind == .signaling { flags |= SoftFloat.invalid }
      return .unordered
    }
    if x.denormal || y.denormal { flags |= SoftFloat.denormal }
    return SoftFloat.order(x, y)
  }

  private static func order(_ x: FloatParts, _ y: FloatParts) -> Order {
    if x.kind == .zero && y.kind == .zero { return .equal }
    func rank(_ p: FloatParts) -> (Int, UInt64) {
      switch p.kind {
      case .zero: (Int.min, 0)
      case .infinity: (Int.max, 0)
      default: (p.exponent, p.significand)
      }
    }
    let xNegative = x.sign && x.kind != .zero
    let yNegative = y.sign && y.kind != .zero
    if xNegative != yNegative { return xNegative ? .less : .greater }
    let (p, q) = (rank(x), rank(y))
    if p == q { return .equal }
    return (p < q) != xNegative ? .less : .greater
  }

  /// MINPS, MAXPS: the second operand where either is a NaN or both are zero.
  mutating func extreme(_ a: UInt64, _ b: UInt64, _ f: FloatFormat, maximum: Bool) -> UInt64 {
    switch compare(a, b, f, signaling: true) {
    case .unordered: return flushed(b, f)
    case .less: return flushed(maximum ? b : a, f)
    case .greater: return flushed(maximum ? a : b, f)
    case .equal: return flushed(b, f)
    }
  }

  /// A denormal operand as DAZ makes it.
  private func flushed(_ bits: UInt64, _ f: FloatFormat) -> UInt64 {
    daz && bits & f.infinity == 0 ? bits & f.signBit : bits
  }

  /// One of CMPPS's 32 predicates.
  mutating func predicate(_ a: UInt64, _ b: UInt64, _ f: FloatFormat, _ predicate: UInt64) -> Bool {
    // Low bits: EQ LT LE UNORD NEQ NLT NLE ORD, EQ_UQ NGE NGT FALSE NEQ_OQ GE GT TRUE; bit 4 turns signaling round.
    let quietFirst: UInt64 = 0b1001_1001_1001_1001
    let signaling = (quietFirst >> (predicate & 15)) & 1 == (predicate >> 4) & 1
    let order = compare(a, b, f, signaling: signaling)
    switch predicate & 15 {
    case 0: return order == .equal
    case 1: return order == .less
    case 2: return order == .less || order == .equal
    case 3: return order == .unordered
    case 4: return order != .equal
    case 5: return order != .less
    case 6: return order == .greater || order == .unordered
    case 7: return order != .unordered
    case 8: return order == .equal || order == .unordered
    case 9: return order == .less || order == .unordered
    case 10: return order != .greater
    case 11: return false
    case 12: return order == .less || order == .greater
    case 13: return order == .greater || order == .equal
    case 14: return order == .greater
    default: return true
    }
  }

  /// COMISS and kin: ZF, PF, CF as in RFLAGS.
  mutating func orderFlags(_ a: UInt64, _ b: UInt64, _ f: FloatFormat, quiet: Bool) -> UInt64 {
    switch compare(a, b, f, signaling: !quiet) {
    case .unordered: 0x45
    case .less: 1
    case .equal: 0x40
    case .greater: 0
    }
  }

  // MARK: - Conversions

  mutating func convert(_ bits: UInt64, _ from: FloatFormat, _ to: FloatFormat, flushes: Bool = true, raisesDenormal: Bool = true) -> UInt64
  {
    let x = unpack(bits, from)
    let sign = x.sign ? to.signBit : 0
    switch x.kind {
    case .zero: return sign
    case .infinity: return sign | to.infinity
    case .quiet, .signaling:
      if x.kind == .signaling { flags |= SoftFloat.invalid }
      let fraction = bits & from.fractionMask
      let shift = to.fractionBits - from.fractionBits
      let moved = shift >= 0 ? fraction << UInt64(shift) : fraction >> UInt64(-shift)
      return sign | to.infinity | moved | to.quietBit
    case .finite:
      if x.denormal && raisesDenormal { flags |= SoftFloat.denormal }
      return round(x.sign, x.exponent, x.significand, to, flushes: flushes)
    }
  }

  mutating func fromInteger(_ value: Int64, _ f: FloatFormat) -> UInt64 {
    if value == 0 { return 0 }
    let magnitude = value.magnitude
    let zeros = magnitude.leadingZeroBitCount
    return round(value < 0, 63 - zeros, magnitude << UInt64(zeros), f)
  }

  /// To a signed integer of `width` bits; the most negative one where it does not fit.
  mutating func toInteger(_ bits: UInt64, _ f: FloatFormat, width: Int, truncating: Bool) -> UInt64 {
    let x = unpack(bits, f)
    let indefinite: UInt64 = 1 << UInt64(width - 1)
    if x.kind == .zero { return 0 }
    guard x.kind == .finite, x.exponent < width else {
      flags |= SoftFloat.invalid
      return indefinite
    }
    let (value, inexact) = integral(x, truncating ? 3 : rounding)
    let limit = x.sign ? indefinite : indefinite - 1
    guard value <= limit else {
      flags |= SoftFloat.invalid
      return indefinite
    }
    if inexact { flags |= SoftFloat.precision }
    let signed = x.sign ? 0 &- value : value
    return width == 64 ? signed : signed & 0xFFFF_FFFF
  }

  /// The magnitude rounded to an integer, for exponents below 64.
  private func integral(_ x: FloatParts, _ mode: UInt32) -> (value: UInt64, inexact: Bool) {
    if x.exponent >= 63 { return (x.significand, false) }
    // Bits below the point, with one more kept for the half: shift so that the point is right of bit 2.
    let jammed = SoftFloat.jammed(x.significand, 61 - x.exponent)
    let low = jammed & 3
    let base = jammed >> 2
    if x.exponent >= 62 {
      let inexact = x.significand & 1 != 0
      return halfway(x.significand >> 1, inexact ? 2 : 0, x.sign, mode)
    }
    return halfway(base, low, x.sign, mode)
  }

  /// `low` is the fraction in quarters, a lowest bit standing for anything above zero.
  private func halfway(_ base: UInt64, _ low: UInt64, _ sign: Bool, _ mode: UInt32) -> (UInt64, Bool) {
    let up: Bool
    switch mode {
    case 0: up = low > 2 || (low == 2 && base & 1 != 0)
    case 1: up = sign && low != 0
    case 2: up = !sign && low != 0
    default: up = false
    }
    return (up ? base + 1 : base, low != 0)
  }

  /// ROUNDPS with immediate bits 3:0.
  mutating func roundToIntegral(_ bits: UInt64, _ f: FloatFormat, control: UInt64) -> UInt64 {
    let x = unpack(bits, f)
    if let nan = propagated(bits, bits, x, x, f) { return nan }
    if x.kind == .zero { return zero(x.sign, f) }
    if x.kind == .infinity || x.exponent >= f.fractionBits { return bits }
    let mode = control & 4 != 0 ? rounding : UInt32(control & 3)
    let (value, inexact) = integral(x, mode)
    if inexact && control & 8 == 0 { flags |= SoftFloat.precision }
    if value == 0 { return zero(x.sign, f) }
    let zeros = value.leadingZeroBitCount
    let shift = UInt64(63 - f.fractionBits)
    let fraction = ((value << UInt64(zeros)) >> shift) & f.fractionMask
    return (x.sign ? f.signBit : 0) | UInt64(63 - zeros + f.bias) << UInt64(f.fractionBits) | fraction
  }
}
