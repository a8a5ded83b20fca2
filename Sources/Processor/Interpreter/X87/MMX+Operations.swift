/// The MMX instructions of the shape destination = destination OP source, by mnemonic.
enum MMXOperation: UInt8, CaseIterable {
  case paddb, paddw, paddd, paddq, psubb, psubw, psubd, psubq
  case paddsb, paddsw, paddusb, paddusw, psubsb, psubsw, psubusb, psubusw
  case pmullw, pmulhw, pmulhuw, pmuludq, pmaddwd, psadbw, pavgb, pavgw
  case pminub, pmaxub, pminsw, pmaxsw
  case pand, pandn, por, pxor
  case pcmpeqb, pcmpeqw, pcmpeqd, pcmpgtb, pcmpgtw, pcmpgtd
  case psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad
  case packsswb, packssdw, packuswb
  case punpcklbw, punpcklwd, punpckldq, punpckhbw, punpckhwd, punpckhdq
  // SSSE3
  case pshufb, phaddw, phaddd, phaddsw, phsubw, phsubd, phsubsw, pmaddubsw, pmulhrsw
  case psignb, psignw, psignd, pabsb, pabsw, pabsd

  func apply(_ a: UInt64, _ b: UInt64) -> UInt64 {
    switch self {
    case .paddb: return lanes(a, b) { (x: UInt8, y: UInt8) in x &+ y }
    case .paddw: return lanes(a, b) { (x: UInt16, y: UInt16) in x &+ y }
    case .paddd: return lanes(a, b) { (x: UInt32, y: UInt32) in x &+ y }
    case .paddq: return a &+ b
    case .psubb: return lanes(a, b) { (x: UInt8, y: UInt8) in x &- y }
    case .psubw: return lanes(a, b) { (x: UInt16, y: UInt16) in x &- y }
    case .psubd: return lanes(a, b) { (x: UInt32, y: UInt32) in x &- y }
    case .psubq: return a &- b
    case .paddsb: return lanes(a, b) { (x: Int8, y: Int8) in saturatingSum(x, y) }
    case .paddsw: return lanes(a, b) { (x: Int16, y: Int16) in saturatingSum(x, y) }
    case .paddusb: return lanes(a, b) { (x: UInt8, y: UInt8) in saturatingSum(x, y) }
    case .paddusw: return lanes(a, b) { (x: UInt16, y: UInt16) in saturatingSum(x, y) }
    case .psubsb: return lanes(a, b) { (x: Int8, y: Int8) in saturatingDifference(x, y) }
    case .psubsw: return lanes(a, b) { (x: Int16, y: Int16) in saturatingDifference(x, y) }
    case .psubusb: return lanes(a, b) { (x: UInt8, y: UInt8) in saturatingDifference(x, y) }
    case .psubusw: return lanes(a, b) { (x: UInt16, y: UInt16) in saturatingDifference(x, y) }
    case .pmullw: return lanes(a, b) { (x: UInt16, y: UInt16) in x &* y }
    case .pmulhw: return lanes(a, b) { (x: Int16, y: Int16) in x.multipliedFullWidth(by: y).high }
    case .pmulhuw: return lanes(a, b) { (x: UInt16, y: UInt16) in x.multipliedFullWidth(by: y).high }
    case .pmuludq: return (a & 0xFFFF_FFFF) &* (b & 0xFFFF_FFFF)
    case .pmaddwd: return pairs(a, b, signedTimesSigned)
    case .psadbw: return sumOfDifferences(a, b)
    case .pavgb: return lanes(a, b) { (x: UInt8, y: UInt8) in UInt8((UInt32(x) + UInt32(y) + 1) >> 1) }
    case .pavgw: return lanes(a, b) { (x: UInt16, y: UInt16) in UInt16((UInt32(x) + UInt32(y) + 1) >> 1) }
    case .pminub: return lanes(a, b) { (x: UInt8, y: UInt8) in min(x, y) }
    case .pmaxub: return lanes(a, b) { (x: UInt8, y: UInt8) in max(x, y) }
    case .pminsw: return lanes(a, b) { (x: Int16, y: Int16) in min(x, y) }
    case .pmaxsw: return lanes(a, b) { (x: Int16, y: Int16) in max(x, y) }
    case .pand: return a & b
    case .pandn: return ~a & b
    case .por: return a | b
    case .pxor: return a ^ b
    case .pcmpeqb: return lanes(a, b) { (x: Int8, y: Int8) in x == y ? -1 : 0 }
    case .pcmpeqw: return lanes(a, b) { (x: Int16, y: Int16) in x == y ? -1 : 0 }
    case .pcmpeqd: return lanes(a, b) { (x: Int32, y: Int32) in x == y ? -1 : 0 }
    case .pcmpgtb: return lanes(a, b) { (x: Int8, y: Int8) in x > y ? -1 : 0 }
    case .pcmpgtw: return lanes(a, b) { (x: Int16, y: Int16) in x > y ? -1 : 0 }
    case .pcmpgtd: return lanes(a, b) { (x: Int32, y: Int32) in x > y ? -1 : 0 }
    case .psllw: return b > 15 ? 0 : lanes(a, a) { (x: UInt16, _: UInt16) in x &<< UInt16(truncatingIfNeeded: b) }
    case .pslld: return b > 31 ? 0 : lanes(a, a) { (x: UInt32, _: UInt32) in x &<< UInt32(truncatingIfNeeded: b) }
    case .psllq: return b > 63 ? 0 : a &<< b
    case .psrlw: return b > 15 ? 0 : lanes(a, a) { (x: UInt16, _: UInt16) in x &>> UInt16(truncatingIfNeeded: b) }
    case .psrld: return b > 31 ? 0 : lanes(a, a) { (x: UInt32, _: UInt32) in x &>> UInt32(truncatingIfNeeded: b) }
    case .psrlq: return b > 63 ? 0 : a &>> b
    case .psraw: return lanes(a, a) { (x: Int16, _: Int16) in x &>> Int16(truncatingIfNeeded: min(b, 15)) }
    case .psrad: return lanes(a, a) { (x: Int32, _: Int32) in x &>> Int32(truncatingIfNeeded: min(b, 31)) }
    case .packsswb: return packed(a, b) { (x: Int16) in Int8(clamping: x) }
    case .packssdw: return packed(a, b) { (x: Int32) in Int16(clamping: x) }
    case .packuswb: return packed(a, b) { (x: Int16) in UInt8(clamping: x) }
    case .punpcklbw: return interleaved(a, b, 8)
    case .punpcklwd: return interleaved(a, b, 16)
    case .punpckldq: return interleaved(a, b, 32)
    case .punpckhbw: return interleaved(a >> 32, b >> 32, 8)
    case .punpckhwd: return interleaved(a >> 32, b >> 32, 16)
    case .punpckhdq: return interleaved(a >> 32, b >> 32, 32)
    default: return applySSSE3(a, b)
    }
  }

  private func applySSSE3(_ a: UInt64, _ b: UInt64) -> UInt64 {
    switch self {
    case .pshufb: return lanes(b, b) { (x: UInt8, _: UInt8) in x & 0x80 != 0 ? 0 : UInt8(truncatingIfNeeded: a >> (UInt64(x & 7) * 8)) }
    case .phaddw: return horizontal(a, b) { (x: Int16, y: Int16) in x &+ y }
    case .phaddd: return horizontal(a, b) { (x: Int32, y: Int32) in x &+ y }
    case .phaddsw: return horizontal(a, b) { (x: Int16, y: Int16) in saturatingSum(x, y) }
    case .phsubw: return horizontal(a, b) { (x: Int16, y: Int16) in x &- y }
    case .phsubd: return horizontal(a, b) { (x: Int32, y: Int32) in x &- y }
    case .phsubsw: return horizontal(a, b) { (x: Int16, y: Int16) in saturatingDifference(x, y) }
    case .pmaddubsw: return unsignedTimesSigned(a, b)
    case .pmulhrsw: return lanes(a, b) { (x: Int16, y: Int16) in Int16(truncatingIfNeeded: ((Int32(x) &* Int32(y)) >> 14 &+ 1) >> 1) }
    case .psignb: return lanes(a, b) { (x: Int8, y: Int8) in withSign(x, y) }
    case .psignw: return lanes(a, b) { (x: Int16, y: Int16) in withSign(x, y) }
    case .psignd: return lanes(a, b) { (x: Int32, y: Int32) in withSign(x, y) }
    case .pabsb: return lanes(b, b) { (x: Int8, _: Int8) in x < 0 ? 0 &- x : x }
    case .pabsw: return lanes(b, b) { (x: Int16, _: Int16) in x < 0 ? 0 &- x : x }
    case .pabsd: return lanes(b, b) { (x: Int32, _: Int32) in x < 0 ? 0 &- x : x }
    default: return a
    }
  }
}

/// Lane by lane.
@inline(__always) private func lanes<T: FixedWidthInteger>(_ a: UInt64, _ b: UInt64, _ f: (T, T) -> T) -> UInt64 {
  var result: UInt64 = 0
  let mask = ~UInt64(0) >> UInt64(64 - T.bitWidth)
  var shift: UInt64 = 0
  while shift < 64 {
    let lane = f(T(truncatingIfNeeded: a >> shift), T(truncatingIfNeeded: b >> shift))
    result |= (UInt64(truncatingIfNeeded: lane) & mask) << shift
    shift &+= UInt64(T.bitWidth)
  }
  return result
}

/// Neighbours of `a`, then of `b`.
@inline(__always) private func horizontal<T: FixedWidthInteger>(_ a: UInt64, _ b: UInt64, _ f: (T, T) -> T) -> UInt64 {
  let width = UInt64(T.bitWidth)
  let mask = ~UInt64(0) >> (64 - width)
  var result: UInt64 = 0
  var out: UInt64 = 0
  for source in [a, b] {
    var shift: UInt64 = 0
    while shift < 64 {
      let lane = f(T(truncatingIfNeeded: source >> shift), T(truncatingIfNeeded: source >> (shift &+ width)))
      result |= (UInt64(truncatingIfNeeded: lane) & mask) << out
      out &+= width
      shift &+= 2 &* width
    }
  }
  return result
}

/// Lanes of `a`, then of `b`, made half as wide.
@inline(__always) private func packed<T: FixedWidthInteger, N: FixedWidthInteger>(_ a: UInt64, _ b: UInt64, _ f: (T) -> N) -> UInt64 {
  let width = UInt64(N.bitWidth)
  let mask = ~UInt64(0) >> (64 - width)
  var result: UInt64 = 0
  var out: UInt64 = 0
  for source in [a, b] {
    var shift: UInt64 = 0
    while shift < 64 {
      result |= (UInt64(truncatingIfNeeded: f(T(truncatingIfNeeded: source >> shift))) & mask) << out
      out &+= width
      shift &+= UInt64(T.bitWidth)
    }
  }
  return result
}

/// Lanes of the low halves by turns.
private func interleaved(_ a: UInt64, _ b: UInt64, _ width: UInt64) -> UInt64 {
  let mask = ~UInt64(0) >> (64 - width)
  var result: UInt64 = 0
  var shift: UInt64 = 0
  while shift < 32 {
    result |= ((a >> shift) & mask) << (2 * shift)
    result |= ((b >> shift) & mask) << (2 * shift + width)
    shift += width
  }
  return result
}

private func saturatingSum<T: FixedWidthInteger>(_ x: T, _ y: T) -> T {
  let (sum, overflow) = x.addingReportingOverflow(y)
  return !overflow ? sum : y < 0 ? T.min : T.max
}

private func saturatingDifference<T: FixedWidthInteger>(_ x: T, _ y: T) -> T {
  let (difference, overflow) = x.subtractingReportingOverflow(y)
  return !overflow ? difference : y < 0 ? T.max : T.min
}

private func withSign<T: FixedWidthInteger & SignedInteger>(_ x: T, _ y: T) -> T { y < 0 ? 0 &- x : y == 0 ? 0 : x }

private func sumOfDifferences(_ a: UInt64, _ b: UInt64) -> UInt64 {
  var sum: UInt64 = 0
  var shift: UInt64 = 0
  while shift < 64 {
    let (x, y) = ((a >> shift) & 0xFF, (b >> shift) & 0xFF)
    sum &+= x > y ? x &- y : y &- x
    shift &+= 8
  }
  return sum
}

private func signedTimesSigned(_ a: UInt64, _ b: UInt64) -> Int32 {
  let low = Int32(Int16(truncatingIfNeeded: a)) &* Int32(Int16(truncatingIfNeeded: b))
  let high = Int32(Int16(truncatingIfNeeded: a >> 16)) &* Int32(Int16(truncatingIfNeeded: b >> 16))
  return low &+ high
}

private func pairs(_ a: UInt64, _ b: UInt64, _ f: (UInt64, UInt64) -> Int32) -> UInt64 {
  UInt64(UInt32(bitPattern: f(a, b))) | UInt64(UInt32(bitPattern: f(a >> 32, b >> 32))) << 32
}

/// PMADDUBSW: the destination's bytes are unsigned, the source's signed.
private func unsignedTimesSigned(_ a: UInt64, _ b: UInt64) -> UInt64 {
  var result: UInt64 = 0
  var shift: UInt64 = 0
  while shift < 64 {
    let low = Int32(UInt8(truncatingIfNeeded: a >> shift)) &* Int32(Int8(truncatingIfNeeded: b >> shift))
    let high = Int32(UInt8(truncatingIfNeeded: a >> (shift + 8))) &* Int32(Int8(truncatingIfNeeded: b >> (shift + 8)))
    result |= UInt64(UInt16(bitPattern: Int16(clamping: low &+ high))) << shift
    shift += 16
  }
  return result
}
