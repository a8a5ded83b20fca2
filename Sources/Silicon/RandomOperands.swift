import Random

/// The values that tests of a processor want.
extension SeededRandom {
  /// An integer: anything, or near a power of two or an end of a width.
  mutating func integer() -> UInt64 {
    switch below(8) {
    case 0, 1, 2: return next()
    case 3: return below(256) &- 128
    case 4: return (1 &<< below(64)) &+ below(3) &- 1
    case 5:
      let corners: (UInt64, UInt64, UInt64, UInt64) = (0, .max, 1 << 63, 1 << 63 &- 1)
      switch below(4) {
      case 0: return corners.0
      case 1: return corners.1
      case 2: return corners.2
      default: return corners.3
      }
    case 6: return UInt64(truncatingIfNeeded: Int64(Int32(truncatingIfNeeded: next())))
    default: return next() & 0xFFFF_FFFF
    }
  }

  /// 64 bits of vector operand: integers, singles and doubles near the ends of their formats and near one another.
  mutating func element(_ kind: UInt64) -> UInt64 {
    switch kind {
    case 0: return next()
    case 1:
      let set: UInt64 = 0x4241_0100_807F_FF00
      var value: UInt64 = 0
      let picks = next()
      for i in 0..<8 as Range<UInt64> { value |= (set >> ((picks >> (i * 3) & 7) * 8) & 0xFF) << (i * 8) }
      return value
    case 2: return single() << 32 | single()
    case 3: return double()
    case 4:
      let low = (0x3F00_0000 &+ below(0x0200_0000)) | below(2) << 31
      let high = (0x3F00_0000 &+ below(0x0200_0000)) | below(2) << 31
      return high << 32 | low
    case 5: return (0x3FD0_0000_0000_0000 &+ below(0x0060_0000_0000_0000)) | below(2) << 63
    case 6: return oneIn(2) ? below(1 << 57) : 0x7FD0_0000_0000_0000 &+ below(0x0020_0000_0000_0000)
    default: return below(40)
    }
  }

  /// A single-precision pattern.
  mutating func single() -> UInt64 {
    let sign = below(2) << 31
    switch below(10) {
    case 0: return sign
    case 1: return sign | 0x3F80_0000
    case 2: return sign | 0x7F80_0000
    case 3: return sign | 0x7FC0_0000 | below(0x40_0000)
    case 4: return sign | 0x7F80_0001 | below(0x40_0000)
    case 5: return sign | below(0x80_0000)
    case 6: return sign | 0x7F7F_FFFF &- below(4)
    case 7: return sign | (0x4E80_0000 &+ below(0x100_0000))
    case 8: return sign | (0x0080_0000 &+ below(0x100_0000))
    default: return next() & 0xFFFF_FFFF
    }
  }

  /// A double-precision pattern.
  mutating func double() -> UInt64 {
    let sign = below(2) << 63
    switch below(11) {
    case 0: return sign
    case 1: return sign | 0x3FF0_0000_0000_0000
    case 2: return sign | 0x7FF0_0000_0000_0000
    case 3: return sign | 0x7FF8_0000_0000_0000 | below(1 << 51)
    case 4: return sign | 0x7FF0_0000_0000_0001 | below(1 << 51)
    case 5: return sign | below(1 << 52)
    case 6: return sign | 0x7FEF_FFFF_FFFF_FFFF &- below(4)
    case 7: return sign | (0x41D0_0000_0000_0000 &+ below(0x20_0000_0000_0000))
    case 8: return sign | (0x43D0_0000_0000_0000 &+ below(0x20_0000_0000_0000))
    case 9: return sign | (0x3690_0000_0000_0000 &+ below(0x0200_0000_0000_0000))
    default: return next()
    }
  }

  /// An 80-bit pattern: (significand, sign and exponent).
  mutating func extended() -> (UInt64, UInt16) {
    let sign = UInt16(truncatingIfNeeded: below(2) << 15)
    switch below(14) {
    case 0: return (0, sign)
    case 1: return (1 << 63, sign | 0x3FFF)
    case 2: return (1 << 63, sign | 0x7FFF)
    case 3: return (1 << 63 | 1 << 62 | below(1 << 62), sign | 0x7FFF)
    case 4: return (1 << 63 | (below(1 << 62) &+ 1), sign | 0x7FFF)
    case 5: return (below(1 << 63), sign)
    // Encodings that the unit does not support.
    case 6: return (next() & ~(1 << 63), sign | UInt16(truncatingIfNeeded: below(0x8000)))
    case 7: return (1 << 63 | below(1 << 63), sign)
    case 8: return (next() | 1 << 63, sign | UInt16(truncatingIfNeeded: 0x3FFF &+ below(70)))
    case 9: return (next() | 1 << 63, sign | UInt16(truncatingIfNeeded: 0x3FFF &- below(70)))
    case 10: return ((1 &<< 63) | below(256) << 55, sign | UInt16(truncatingIfNeeded: 0x3FFF &+ below(12)))
    case 11: return (.max &- below(3), sign | UInt16(truncatingIfNeeded: oneIn(2) ? 0x7FFE : below(3)))
    case 12: return (next() | 1 << 63, sign | UInt16(truncatingIfNeeded: 0x3FFF &- 0x42 &+ below(0x90)))
    default: return (next() | 1 << 63, UInt16(truncatingIfNeeded: next()))
    }
  }
}
