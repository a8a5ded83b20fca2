import Random

/// Sixteen bytes that are likely to be some instruction: prefixes, escapes and VEX are more frequent than by chance.
struct RandomBytes {
  var generator: SeededRandom
  var bytes = [UInt8](repeating: 0, count: 16)

  init(seed: UInt64) { generator = SeededRandom(seed: seed) }

  mutating func next() {
    for i in 0..<2 {
      let word = generator.next()
      for j in 0..<8 { bytes[i * 8 + j] = UInt8(truncatingIfNeeded: word >> UInt64(j * 8)) }
    }
    let choice = generator.next()
    var at = 0
    func put(_ byte: UInt8) {
      bytes[at] = byte
      at += 1
    }
    let prefixes: [UInt8] = [0x66, 0xF2, 0xF3, 0x66, 0xF3, 0x67, 0xF0, 0x2E, 0x64, 0x66]
    var prefixChoice = (choice >> 8) & 0xFF
    while prefixChoice < 80 {
      put(prefixes[Int(prefixChoice % 10)])
      prefixChoice = prefixChoice * 3 % 251 + 20
      if at > 3 { break }
    }
    if choice & 7 < 3 { put(0x40 | UInt8((choice >> 16) & 15)) }
    switch (choice >> 3) & 15 {
    case 0...4: put(0x0F)
    case 5, 6:
      put(0x0F)
      put(0x38)
    case 7:
      put(0x0F)
      put(0x3A)
    case 8, 9, 10:
      put(0xC4)
      put(UInt8((choice >> 24) & 0xE0) | UInt8((choice >> 40) % 3) + 1)
      if choice >> 50 & 1 == 0 { bytes[at] |= 0x78 }
    case 11:
      put(0xC5)
      if choice >> 50 & 1 == 0 { bytes[at] |= 0x78 }
    default: break
    }
  }
}
