// Memory operands of the decoder: ModRM and SIB (Intel SDM volume 2, 2.1.5).

extension DecoderState {
  /// Reads what follows a ModRM byte with a memory operand.
  mutating func readMemory(_ addressSize: UInt8, vsib: Bool) throws(DecodeError) {
    if addressSize == 2 {
      if vsib { throw .invalid }
      try readMemory16()
      return
    }
    let mod = modRM >> 6
    var usesStack = false
    if rm == 4 {
      let sib = try next()
      let index = (sib >> 3) & 7 | (rex & 2) << 2
      let base = sib & 7
      if index != 4 || vsib {
        result.index = Int8(truncatingIfNeeded: index)
        result.scale = sib >> 6
      }
      if base == 5 && mod == 0 {
        result.displacement = Int64(Int32(bitPattern: try next32()))
      } else {
        result.base = Int8(truncatingIfNeeded: base | (rex & 1) << 3)
        usesStack = (base == 4 || base == 5) && rex & 1 == 0
      }
    } else if vsib {
      throw .invalid
    } else if rm == 5 && mod == 0 {
      if is64 { result.base = -2 }
      result.displacement = Int64(Int32(bitPattern: try next32()))
    } else {
      result.base = Int8(truncatingIfNeeded: rm | (rex & 1) << 3)
      usesStack = rm == 5 && rex & 1 == 0
    }
    if mod == 1 {
      result.displacement = Int64(Int8(bitPattern: try next()))
    } else if mod == 2 {
      result.displacement = Int64(Int32(bitPattern: try next32()))
    }
    result.segment = override != 0xFF ? override : usesStack ? 2 : 3
  }

  private mutating func readMemory16() throws(DecodeError) {
    let mod = modRM >> 6
    switch rm {
    case 0: setBase(3, index: 6)
    case 1: setBase(3, index: 7)
    case 2: setBase(5, index: 6)
    case 3: setBase(5, index: 7)
    case 4: setBase(6, index: -1)
    case 5: setBase(7, index: -1)
    case 6: setBase(mod == 0 ? -1 : 5, index: -1)
    default: setBase(3, index: -1)
    }
    if mod == 2 || (mod == 0 && rm == 6) {
      result.displacement = Int64(Int16(bitPattern: try next16()))
    } else if mod == 1 {
      result.displacement = Int64(Int8(bitPattern: try next()))
    }
    result.segment = override != 0xFF ? override : result.base == 5 ? 2 : 3
  }

  private mutating func setBase(_ base: Int8, index: Int8) {
    result.base = base
    result.index = index
  }
}
