/// Numbers by chance for fuzzing and tests: the same for the same seed, on every host (splitmix64). Nothing a guest sees comes from here.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  @usableFromInline var state: UInt64

  @inlinable public init(seed: UInt64) { state = seed }

  /// The generator of one case of a run: cases do not depend on those before them.
  public init(seed: UInt64, index: UInt64) {
    state = seed
    let mixed = next()
    state = mixed ^ index &* 0xD6E8_FEB8_6659_FD93
    _ = next()
  }

  @inlinable public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 0..<n, n > 0.
  @inlinable public mutating func below(_ n: UInt64) -> UInt64 { next().multipliedFullWidth(by: n).high }

  /// True once in `n` times.
  @inlinable public mutating func oneIn(_ n: UInt64) -> Bool { below(n) == 0 }
}
