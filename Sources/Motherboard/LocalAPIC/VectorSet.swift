/// A set of interrupt vectors, as the registers IRR, ISR and TMR are.
struct VectorSet: Codable, Equatable {
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  init() {}

  init(from decoder: any Decoder) throws {
    var values = try decoder.unkeyedContainer()
    words = (
      try values.decode(UInt64.self), try values.decode(UInt64.self), try values.decode(UInt64.self), try values.decode(UInt64.self)
    )
  }

  func encode(to encoder: any Encoder) throws {
    var values = encoder.unkeyedContainer()
    for word in [words.0, words.1, words.2, words.3] { try values.encode(word) }
  }

  static func == (a: VectorSet, b: VectorSet) -> Bool { a.words == b.words }

  /// The highest vector, or -1.
  var highest: Int {
    if words.3 != 0 { return 255 - words.3.leadingZeroBitCount }
    if words.2 != 0 { return 191 - words.2.leadingZeroBitCount }
    if words.1 != 0 { return 127 - words.1.leadingZeroBitCount }
    return words.0 != 0 ? 63 - words.0.leadingZeroBitCount : -1
  }

  /// 32 vectors from 32 times `index`, 0 to 7.
  func word(_ index: Int) -> UInt32 {
    let pair = index < 2 ? words.0 : index < 4 ? words.1 : index < 6 ? words.2 : words.3
    return UInt32(truncatingIfNeeded: index & 1 == 0 ? pair : pair >> 32)
  }

  func contains(_ vector: UInt8) -> Bool { word(Int(vector >> 5)) & 1 << UInt32(vector & 31) != 0 }

  mutating func set(_ vector: UInt8, _ isIn: Bool) {
    let bit: UInt64 = 1 << UInt64(vector & 63)
    switch vector >> 6 {
    case 0: words.0 = isIn ? words.0 | bit : words.0 & ~bit
    case 1: words.1 = isIn ? words.1 | bit : words.1 & ~bit
    case 2: words.2 = isIn ? words.2 | bit : words.2 & ~bit
    default: words.3 = isIn ? words.3 | bit : words.3 & ~bit
    }
  }
}
