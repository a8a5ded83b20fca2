/// How the machine frames of the guest's initial pages are chosen.
public enum FrameOrder: Sendable, Hashable, Codable {
  /// Machine frame == pseudo-physical frame.
  case identity
  /// A seeded pseudo-random injection into a machine 1.25 times as large: finds code that confuses the two numberings.
  case scattered(seed: UInt64)
}

/// A bijection of 0 ..< count computed on demand in both directions: a Feistel network over the next power of two, walked
/// until it lands below `count`. It costs no table, so a large guest starts without touching anything per frame.
struct FramePermutation: Sendable {
  let count: UInt64
  let isIdentity: Bool
  private let lowBits: UInt64
  private let highBits: UInt64
  private let key: UInt64

  init(count: Int, order: FrameOrder) {
    self.count = UInt64(max(count, 1))
    var bits: UInt64 = 2
    while (UInt64(1) << bits) < self.count { bits += 1 }
    lowBits = bits / 2
    highBits = bits - bits / 2
    switch order {
    case .identity: (isIdentity, key) = (true, 0)
    case .scattered(let seed): (isIdentity, key) = (false, seed)
    }
  }

  /// splitmix64's finalizer over a half, the round and the key.
  private func mix(_ half: UInt64, _ round: UInt64) -> UInt64 {
    var x = half &+ key &+ (round &* 0x9E37_79B9_7F4A_7C15)
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return x ^ (x >> 31)
  }

  private func step(_ value: UInt64, backwards: Bool) -> UInt64 {
    let lowMask = (UInt64(1) << lowBits) &- 1
    let highMask = (UInt64(1) << highBits) &- 1
    var low = value & lowMask
    var high = (value >> lowBits) & highMask
    var n: UInt64 = 0
    while n < 6 {
      let round = backwards ? 5 &- n : n
      if round & 1 == 0 { low ^= mix(high, round) & lowMask } else { high ^= mix(low, round) & highMask }
      n += 1
    }
    return (high << lowBits) | low
  }

  /// The image of a value below `count`. 0 stays 0: a table base of frame 0 means none, so no page table of the start of day may get
  /// it, and pseudo-physical page 0 never is one.
  func forward(_ value: UInt64) -> UInt64 {
    if isIdentity || value == 0 { return value }
    var v = step(value, backwards: false)
    while v >= count || v == 0 { v = step(v, backwards: false) }
    return v
  }

  /// The value whose image this is.
  func inverse(_ value: UInt64) -> UInt64 {
    if isIdentity || value == 0 { return value }
    var v = step(value, backwards: true)
    while v >= count || v == 0 { v = step(v, backwards: true) }
    return v
  }
}
