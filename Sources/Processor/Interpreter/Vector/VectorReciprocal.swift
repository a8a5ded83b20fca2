// RCPPS, RSQRTPS and their scalar forms (SDM: relative error at most 1.5 * 2^-12; the result is the implementation's).
//
// Paravane's result is the same on every host: the exact value with 12 bits of fraction, truncated. Subnormal operands count
// as zero and subnormal results become zero, whatever MXCSR says; no exception is raised. All of it is integer arithmetic.

func reciprocal(_ bits: UInt32) -> UInt32 {
  let sign = bits & 0x8000_0000
  let exponent = (bits >> 23) & 0xFF
  let fraction = bits & 0x7F_FFFF
  if exponent == 0xFF { return fraction == 0 ? sign : bits | 0x40_0000 }
  if exponent == 0 { return sign | 0x7F80_0000 }
  // x = m * 2^-23 * 2^E; for m > 2^23, 1/x is 2^36 / m (13 bits, the first of them one) * 2^-12 * 2^(-E - 1).
  let power = fraction == 0
  let biased = (power ? 254 : 253) &- Int32(truncatingIfNeeded: exponent)
  if biased <= 0 { return sign }
  if power { return sign | UInt32(truncatingIfNeeded: biased) << 23 }
  let quotient = (UInt64(1) << 36) / UInt64(fraction | 0x80_0000)
  return sign | UInt32(truncatingIfNeeded: biased) << 23 | UInt32(truncatingIfNeeded: quotient & 0xFFF) << 11
}

func reciprocalSquareRoot(_ bits: UInt32) -> UInt32 {
  let sign = bits & 0x8000_0000
  let exponent = (bits >> 23) & 0xFF
  let fraction = bits & 0x7F_FFFF
  if exponent == 0xFF && fraction != 0 { return bits | 0x40_0000 }
  if exponent == 0 { return sign | 0x7F80_0000 }
  if sign != 0 { return 0xFFC0_0000 }
  if exponent == 0xFF { return 0 }
  // x = M * 4^k with M in [1, 4), in units of 2^-23.
  let unbiased = Int32(truncatingIfNeeded: exponent) &- 127
  let half = unbiased >> 1
  let odd = UInt64(truncatingIfNeeded: unbiased & 1)
  let m = UInt64(fraction | 0x80_0000) << odd
  if m == 1 << 23 { return UInt32(truncatingIfNeeded: 127 &- half) << 23 }
  // The largest s with s * s * M <= 2^26: 13 bits, the first of them one.
  var s: UInt64 = 1 << 12
  var bit: UInt64 = 1 << 11
  while bit != 0 {
    let t = s | bit
    if t &* t &* m <= 1 << 49 { s = t }
    bit >>= 1
  }
  return UInt32(truncatingIfNeeded: 126 &- half) << 23 | UInt32(truncatingIfNeeded: s & 0xFFF) << 11
}

func registerVectorReciprocals(_ table: inout LoweringTable) {
  table.vector("rcpps") { d, _, b, _, _ in lanes(d, b, b, U32.self) { x, _ in reciprocal(x) } }
  table.vector("rsqrtps") { d, _, b, _, _ in lanes(d, b, b, U32.self) { x, _ in reciprocalSquareRoot(x) } }
  let single: Kernel = { d, a, b, _, _ in
    let value = reciprocal(b.loadUnaligned(as: UInt32.self))
    d.storeBytes(of: a.loadUnaligned(as: V128.self), as: V128.self)
    d.storeBytes(of: value, as: UInt32.self)
  }
  let singleRoot: Kernel = { d, a, b, _, _ in
    let value = reciprocalSquareRoot(b.loadUnaligned(as: UInt32.self))
    d.storeBytes(of: a.loadUnaligned(as: V128.self), as: V128.self)
    d.storeBytes(of: value, as: UInt32.self)
  }
  table.vector("rcpss", VectorForm(kernel: single, memory: 4, scalar: true))
  table.vector("rsqrtss", VectorForm(kernel: singleRoot, memory: 4, scalar: true))
}
