/// One timer of an HPET (IA-PC HPET specification 1.0a, section 2.3.8 and following). Times are values of the main counter.
struct ComparatorTimer: Codable, Equatable {
  /// Bits of the configuration register.
  enum Bit {
    static let level: UInt64 = 2, enabled: UInt64 = 4, periodic: UInt64 = 8, valueSet: UInt64 = 0x40, is32Bit: UInt64 = 0x100
    /// What software may change: the above and the route. Periodic and 64-bit capability, which all three have, are bits 4 and 5.
    static let writable: UInt64 = 0x3F4E
    static let capabilities: UInt64 = 0x30
  }

  /// What is written of the configuration register.
  private(set) var configuration: UInt64 = 0
  private(set) var comparator: UInt64 = .max
  /// What a periodic timer adds at each match.
  private var period: UInt64 = 0
  /// Up to which value of the counter matches were looked for.
  private var seen: UInt64 = 0

  var isLevel: Bool { configuration & Bit.level != 0 }
  var isEnabled: Bool { configuration & Bit.enabled != 0 }
  /// The I/O APIC's pin without legacy replacement.
  var route: Int { Int(truncatingIfNeeded: configuration >> 9 & 31) }
  private var isPeriodic: Bool { configuration & Bit.periodic != 0 }
  private var mask: UInt64 { configuration & Bit.is32Bit != 0 ? 0xFFFF_FFFF : .max }

  /// How far the counter must go from `seen` to the next match; 0 means all the way round.
  private var distance: UInt64 { (comparator &- seen) & mask }

  /// Notices the matches up to a value of the counter: whether there was one.
  mutating func catchUp(_ counter: UInt64) -> Bool {
    let (passed, first) = (counter &- seen, distance)
    // All the way round is 2^32, or never.
    let isMatched = first != 0 ? passed >= first : mask != .max && passed > mask
    if isMatched, isPeriodic, period & mask != 0 {
      let step = period & mask
      comparator = (comparator &+ ((passed &- first) / step &+ 1) &* step) & mask
    }
    seen = counter
    return isMatched
  }

  /// How far it is from `seen` to the next match, or nil if that is farther than anybody waits.
  var nextMatch: UInt64? {
    let first = distance
    if first == 0 { return mask == .max ? nil : mask &+ 1 }
    return first < 1 << 62 ? first : nil
  }

  /// The counter was set, or starts: matches are looked for from here.
  mutating func begin(at counter: UInt64) { seen = counter }

  mutating func writeConfiguration(_ value: UInt64) {
    configuration = value & Bit.writable
    if mask != .max {
      comparator &= mask
      period &= mask
    }
  }

  /// A write to the comparator register's bits in `half`. A periodic timer takes it as its period, and as its next match too when
  /// VAL_SET says so.
  mutating func writeComparator(_ value: UInt64, half: UInt64) {
    let isSet = configuration & Bit.valueSet != 0
    configuration &= ~Bit.valueSet
    if !isPeriodic || isSet { comparator = (comparator & ~half | value & half) & mask }
    if isPeriodic { period = (period & ~half | value & half) & mask }
  }
}
