// Binary floating point in integer arithmetic, with the rules of SSE: for hosts whose own instructions are not the guest's.
//
// Values are raw bits in a UInt64. An operation unpacks its operands, computes a significand whose most significant bit is
// bit 63 and whose bit 0 collects everything below, and rounds that once. Tininess is detected after rounding (SDM volume 1,
// 4.9.1.5); NaNs follow SDM volume 1, table 4-7: the first operand if it is a NaN, else the second, made quiet.

struct FloatFormat {
  let fractionBits: Int
  let exponentBits: Int
  static let half = FloatFormat(fractionBits: 10, exponentBits: 5)
  static let single = FloatFormat(fractionBits: 23, exponentBits: 8)
  static let double = FloatFormat(fractionBits: 52, exponentBits: 11)

  var bias: Int { 1 << (exponentBits - 1) - 1 }
  var bytes: Int { (fractionBits + exponentBits + 1) / 8 }
  /// Biased exponent of infinities and NaNs.
  var special: Int { 1 << exponentBits - 1 }
  var fractionMask: UInt64 { 1 << UInt64(fractionBits) - 1 }
  var quietBit: UInt64 { 1 << UInt64(fractionBits - 1) }
  var signBit: UInt64 { 1 << UInt64(fractionBits + exponentBits) }
  var infinity: UInt64 { UInt64(special) << UInt64(fractionBits) }
  var largest: UInt64 { infinity - 1 }
  /// What an invalid operation gives.
  var indefinite: UInt64 { signBit | infinity | quietBit }
}

enum FloatKind { case zero, finite, infinity, quiet, signaling }

/// (-1)^sign * significand / 2^63 * 2^exponent.
struct FloatParts {
  var kind: FloatKind
  var sign: Bool
  var exponent: Int
  var significand: UInt64
  var denormal: Bool
  var isNaN: Bool { kind == .quiet || kind == .signaling }
}

/// MXCSR's modes, and the exceptions raised so far.
struct SoftFloat {
  static let invalid: UInt32 = 1
  static let denormal: UInt32 = 2
  static let zeroDivide: UInt32 = 4
  static let overflow: UInt32 = 8
  static let underflow: UInt32 = 16
  static let precision: UInt32 = 32

  /// 0 nearest, 1 down, 2 up, 3 to zero.
  var rounding: UInt32
  var daz: Bool
  var ftz: Bool
  var underflowMasked: Bool
  var flags: UInt32 = 0

  init(mxcsr: UInt32) {
    rounding = (mxcsr >> 13) & 3
    daz = mxcsr & 0x40 != 0
    underflowMasked = mxcsr & 0x800 != 0
    ftz = mxcsr & 0x8000 != 0 && underflowMasked
  }

  // MARK: - In and out

  func unpack(_ bits: UInt64, _ f: FloatFormat) -> FloatParts {
    let sign = bits & f.signBit != 0
    let fraction = bits & f.fractionMask
    let biased = Int(truncatingIfNeeded: bits >> UInt64(f.fractionBits)) & f.special
    let shift = UInt64(63 - f.fractionBits)
    if biased == f.special {
      let kind: FloatKind = fraction == 0 ? .infinity : fraction & f.quietBit != 0 ? .quiet : .signaling
      return FloatParts(kind: kind, sign: sign, exponent: 0, significand: 0, denormal: false)
    }
    if biased == 0 {
      if fraction == 0 || daz { return FloatParts(kind: .zero, sign: sign, exponent: 0, significand: 0, denormal: false) }
      let zeros = fraction.leadingZeroBitCount
      let exponent = 1 - f.bias - (zeros - Int(shift))
      return FloatParts(kind: .finite, sign: sign, exponent: exponent, significand: fraction << UInt64(zeros), denormal: true)
    }
    let significand = (fraction << shift) | 1 << 63
    return FloatParts(kind: .finite, sign: sign, exponent: biased - f.bias, significand: significand, denormal: false)
  }

  func zero(_ sign: Bool, _ f: FloatFormat) -> UInt64 { sign ? f.signBit : 0 }
  func infinite(_ sign: Bool, _ f: FloatFormat) -> UInt64 { f.infinity | (sign ? f.signBit : 0) }

  /// Drops low bits by the rounding mode.
  private func dropped(_ significand: UInt64, _ count: UInt64, _ sign: Bool) -> (value: UInt64, inexact: Bool) {
    let low = significand & (1 << count - 1)
    let base = significand >> count
    let half: UInt64 = 1 << (count - 1)
    let up: Bool
    switch rounding {
    case 0: up = low > half || (low == half && base & 1 != 0)
    case 1: up = sign && low != 0
    case 2: up = !sign && low != 0
    default: up = false
    }
    return (up ? base + 1 : base, low != 0)
  }

  static func jammed(_ x: UInt64, _ count: Int) -> UInt64 {
    if count <= 0 { return x }
    if count >= 64 { return x != 0 ? 1 : 0 }
    return x >> UInt64(count) | (x << UInt64(64 - count) != 0 ? 1 : 0)
  }

  /// Rounds a significand with bit 63 set and packs it.
  mutating func round(_ sign: Bool, _ exponent: Int, _ significand: UInt64, _ f: FloatFormat, flushes: Bool = true) -> UInt64 {
    let drop = UInt64(63 - f.fractionBits)
    let biased = exponent + f.bias
    let signBit = sign ? f.signBit : 0
    let first = dropped(significand, drop, sign)
    if biased >= 1 {
      let carried = first.value >> UInt64(f.fractionBits + 1) != 0
      if biased + (carried ? 1 : 0) >= f.special {
        flags |= SoftFloat.overflow | SoftFloat.precision
        let away = rounding == 0 || (rounding == 1 && sign) || (rounding == 2 && !sign)
        return signBit | (away ? f.infinity : f.largest)
      }
      if first.inexact { flags |= SoftFloat.precision }
      // The significand's leading bit counts one into the exponent.
      return signBit | (UInt64(biased - 1) << UInt64(f.fractionBits) &+ first.value)
    }
    let tiny = biased < 0 || first.value >> UInt64(f.fractionBits + 1) == 0
    if tiny && ftz && flushes {
      flags |= SoftFloat.underflow | SoftFloat.precision
      return signBit
    }
    let second = dropped(SoftFloat.jammed(significand, 1 - biased), drop, sign)
    if second.inexact { flags |= SoftFloat.precision }
    if tiny && (second.inexact || !underflowMasked) { flags |= SoftFloat.underflow }
    return signBit | second.value
  }

  // MARK: - NaNs

  func quieted(_ bits: UInt64, _ f: FloatFormat) -> UInt64 { bits | f.quietBit }

  func isNaN(_ bits: UInt64, _ f: FloatFormat) -> Bool { bits & ~f.signBit > f.infinity }

  /// The NaN that comes out of a and b, one of which is one; nil if none is.
  mutating func propagated(_ a: UInt64, _ b: UInt64, _ x: FloatParts, _ y: FloatParts, _ f: FloatFormat) -> UInt64? {
    if x.kind == .signaling || y.kind == .signaling { flags |= SoftFloat.invalid }
    if x.isNaN { return quieted(a, f) }
    if y.isNaN { return quieted(b, f) }
    return nil
  }

  mutating func invalidResult(_ f: FloatFormat) -> UInt64 {
    flags |= SoftFloat.invalid
    return f.indefinite
  }

  // MARK: - Arithmetic

  mutating func add(_ a: UInt64, _ b: UInt64, _ f: FloatFormat, negated: Bool = false) -> UInt64 {
    let x = unpack(a, f)
    var y = unpack(b, f)
    if let nan = propagated(a, b, x, y, f) { return nan }
    if negated { y.sign.toggle() }
    if x.denormal || y.denormal { flags |= SoftFloat.denormal }
    if x.kind == .infinity || y.kind == .infinity {
      if x.kind == y.kind && x.sign != y.sign { return invalidResult(f) }
      return infinite(x.kind == .infinity ? x.sign : y.sign, f)
    }
    return sum(x, y, f)
  }

  /// Of zeros and finite numbers.
  private mutating func sum(_ x: FloatParts, _ y: FloatParts, _ f: FloatFormat) -> UInt64 {
    if x.kind == .zero && y.kind == .zero { return zero(x.sign == y.sign ? x.sign : rounding == 1, f) }
    if x.kind == .zero { return round(y.sign, y.exponent, y.significand, f) }
    if y.kind == .zero { return round(x.sign, x.exponent, x.significand, f) }
    let swap = (y.exponent, y.significand) > (x.exponent, x.significand)
    let (big, small) = swap ? (y, x) : (x, y)
    let low = SoftFloat.jammed(small.significand >> 2, big.exponent - small.exponent)
    let high = big.significand >> 2
    let value = big.sign == small.sign ? high + low : high - low
    if value == 0 { return zero(rounding == 1, f) }
    let zeros = value.leadingZeroBitCount
    return round(big.sign, big.exponent + 2 - zeros, value << UInt64(zeros), f)
  }

  mutating func multiply(_ a: UInt64, _ b: UInt64, _ f: FloatFormat) -> UInt64 {
    let x = unpack(a, f)
    let y = unpack(b, f)
    if let nan = propagated(a, b, x, y, f) { return nan }
    let sign = x.sign != y.sign
    if (x.kind == .infinity && y.kind == .zero) || (x.kind == .zero && y.kind == .infinity) { return invalidResult(f) }
    if x.denormal || y.denormal { flags |= SoftFloat.denormal }
    if x.kind == .infinity || y.kind == .infinity { return infinite(sign, f) }
    if x.kind == .zero || y.kind == .zero { return zero(sign, f) }
    let product = x.significand.multipliedFullWidth(by: y.significand)
    let value = product.high | (product.low != 0 ? 1 : 0)
    let zeros = value.leadingZeroBitCount
    return round(sign, x.exponent + y.exponent + 1 - zeros, value << UInt64(zeros), f)
  }

  mutating func divide(_ a: UInt64, _ b: UInt64, _ f: FloatFormat) -> UInt64 {
    let x = unpack(a, f)
    let y = unpack(b, f)
    if let nan = propagated(a, b, x, y, f) { return nan }
    let sign = x.sign != y.sign
    if x.kind == y.kind && (x.kind == .infinity || x.kind == .zero) { return invalidResult(f) }
    if y.kind == .zero && x.kind == .finite {
      flags |= SoftFloat.zeroDivide
      return infinite(sign, f)
    }
    if x.denormal || y.denormal { flags |= SoftFloat.denormal }
    if x.kind == .infinity { return infinite(sign, f) }
    if y.kind == .infinity || x.kind == .zero { return zero(sign, f) }
    let result = y.significand.dividingFullWidth((x.significand >> 1, x.significand << 63))
    let value = result.quotient | (result.remainder != 0 ? 1 : 0)
    let zeros = value.leadingZeroBitCount
    return round(sign, x.exponent - y.exponent - zeros, value << UInt64(zeros), f)
  }

  mutating func squareRoot(_ a: UInt64, _ f: FloatFormat) -> UInt64 {
    let x = unpack(a, f)
    if let nan = propagated(a, a, x, x, f) { return nan }
    if x.kind == .zero { return zero(x.sign, f) }
    if x.sign { return invalidResult(f) }
    if x.kind == .infinity { return f.infinity }
    if x.denormal { flags |= SoftFloat.denormal }
    // The root of an even power: the significand times 2^63, or 2^64 where the exponent is odd.
    let odd = x.exponent & 1 != 0
    let high = odd ? x.significand : x.significand >> 1
    let low = odd ? 0 : x.significand << 63
    var root: UInt64 = 0
    var bit: UInt64 = 1 << 63
    var exact = false
    while bit != 0 {
      let t = root | bit
      let square = t.multipliedFullWidth(by: t)
      if square.high < high || (square.high == high && square.low <= low) {
        root = t
        exact = square.high == high && square.low == low
      }
      bit >>= 1
    }
    return round(false, x.exponent >> 1, root | (exact ? 0 : 1), f)
  }

  /// x * y + z with one rounding. NaNs are looked for in the order of `first`: the instruction's operands.
  mutating func fused(
    _ a: UInt64, _ b: UInt64, _ c: UInt64, _ f: FloatFormat, negateProduct: Bool, negateAddend: Bool, order: (UInt64, UInt64, UInt64)
  ) -> UInt64 {
    let x = unpack(a, f)
    let y = unpack(b, f)
    var z = unpack(c, f)
    if x.kind == .signaling || y.kind == .signaling || z.kind == .signaling { flags |= SoftFloat.invalid }
    for operand in [order.0, order.1, order.2] where isNaN(operand, f) { return quieted(operand, f) }
    if (x.kind == .infinity && y.kind == .zero) || (x.kind == .zero && y.kind == .infinity) { return invalidResult(f) }
    let sign = (x.sign != y.sign) != negateProduct
    if negateAddend { z.sign.toggle() }
    let infinite = x.kind == .infinity || y.kind == .infinity
    if infinite && z.kind == .infinity && z.sign != sign { return invalidResult(f) }
    if x.denormal || y.denormal || z.denormal { flags |= SoftFloat.denormal }
    if infinite { return self.infinite(sign, f) }
    if z.kind == .infinity { return self.infinite(z.sign, f) }
    if x.kind == .zero || y.kind == .zero {
      return sum(FloatParts(kind: .zero, sign: sign, exponent: 0, significand: 0, denormal: false), z, f)
    }
    // Both in 128 bits, their leading bits at 125.
    let full = x.significand.multipliedFullWidth(by: y.significand)
    var product = UInt128(full.high) << 64 | UInt128(full.low)
    var productExponent = x.exponent + y.exponent + 1
    let shift = product.leadingZeroBitCount
    product = (product << UInt128(shift)) >> 2
    productExponent -= shift
    var addend = z.kind == .zero ? 0 : UInt128(z.significand) << 62
    var exponent = productExponent
    if addend != 0 {
      exponent = max(productExponent, z.exponent)
      product = SoftFloat.jammed128(product, exponent - productExponent)
      addend = SoftFloat.jammed128(addend, exponent - z.exponent)
    }
    var value: UInt128
    var resultSign = sign
    if z.kind == .zero || sign == z.sign {
      value = product + addend
    } else if product >= addend {
      value = product - addend
    } else {
      value = addend - product
      resultSign = z.sign
    }
    if value == 0 { return zero(rounding == 1, f) }
    let zeros = value.leadingZeroBitCount
    value <<= UInt128(zeros)
    let significand = UInt64(truncatingIfNeeded: value >> 64) | (UInt64(truncatingIfNeeded: value) != 0 ? 1 : 0)
    return round(resultSign, exponent + 2 - zeros, significand, f)
  }

  static func jammed128(_ x: UInt128, _ count: Int) -> UInt128 {
    if count <= 0 { return x }
    if count >= 128 { return x != 0 ? 1 : 0 }
    return x >> UInt128(count) | (x << UInt128(128 - count) != 0 ? 1 : 0)
  }
}
