/// One counter of an 8254 (Intel 82C54 data sheet, order number 231244). Nothing happens at a tick: what a counter holds and what
/// its output is follow from the tick at which it was loaded. Ticks are those of the input clock since cycle 0.
struct CounterChannel: Codable, Equatable {
  /// 0 to 5.
  private(set) var mode: UInt8 = 0
  /// The bytes that reads and writes take: 1 the low one, 2 the high one, 3 low then high.
  private var access: UInt8 = 3
  private var isBCD = false
  private(set) var gate: Bool

  /// A count is loaded (modes 1 and 5: and was triggered).
  private(set) var isCounting = false
  /// The tick at which the counter holds `length`.
  private var start: UInt64 = 0
  /// The initial count, 1 to 65536.
  private var length: UInt64 = 65536
  /// Ticks counted when the gate stopped the counter, or -1 while it counts.
  private var held: Int64 = -1
  /// A count that waits for the end of the period (modes 2, 3) or the trigger (modes 1, 5), or 0.
  private var next: UInt64 = 0
  /// The tick at which modes 2 and 3 take `next`.
  private var nextStart: UInt64 = 0

  private var lowWritten: Int16 = -1
  private var isReadHigh = false
  private var latchedCount: Int32 = -1
  private var latchedStatus: Int16 = -1

  init(gate: Bool) { self.gate = gate }

  private var modulus: UInt64 { isBCD ? 10000 : 65536 }

  private func elapsed(_ tick: UInt64) -> UInt64 {
    held >= 0 ? UInt64(held) : tick > start ? tick &- start : 0
  }

  /// Takes a new count whose time has come.
  private mutating func settle(_ tick: UInt64) {
    guard isCounting, next != 0, mode == 2 || mode == 3, held < 0, tick >= nextStart else { return }
    // At the end of a high half mode 3 goes on with the low half of the new count.
    let high = mode == 3 && (nextStart &- start) % length != 0 ? (next + 1) / 2 : 0
    start = nextStart &- high
    length = next
    next = 0
  }

  // MARK: - What it holds

  /// The counting element.
  private func value(_ tick: UInt64) -> UInt64 {
    guard isCounting else { return 0 }
    let passed = elapsed(tick)
    switch mode {
    case 2: return length - passed % length
    case 3:
      let (high, phase) = ((length + 1) / 2, passed % length)
      return (length & ~1) - 2 * (phase < high ? phase : phase - high)
    default:
      let (size, count) = (modulus, passed % modulus)
      return (length % size + size - count) % size
    }
  }

  /// The output pin.
  mutating func output(_ tick: UInt64) -> Bool {
    settle(tick)
    guard isCounting else { return mode != 0 }
    let passed = elapsed(tick)
    switch mode {
    case 0: return passed >= length
    case 1: return passed >= length
    case 2: return held >= 0 || length == 1 || passed % length != length - 1
    case 3: return held >= 0 || passed % length < (length + 1) / 2
    default: return passed != length
    }
  }

  /// The next tick after this one at which the output rises, or nil.
  func nextRise(after tick: UInt64) -> UInt64? {
    guard isCounting, held < 0 else { return nil }
    switch mode {
    case 0, 1: return start &+ length > tick ? start &+ length : nil
    case 4, 5: return start &+ length &+ 1 > tick ? start &+ length &+ 1 : nil
    default:
      var copy = self
      copy.settle(tick)
      let rise = copy.start &+ (copy.elapsed(tick) / copy.length &+ 1) &* copy.length
      guard copy.next != 0, copy.nextStart < rise else { return copy.length > 1 ? rise : nil }
      copy.settle(copy.nextStart)
      return copy.start &+ copy.length
    }
  }

  // MARK: - Access

  /// The control word's bits 5 to 0.
  mutating func control(_ word: UInt8) {
    access = word >> 4 & 3
    let number = word >> 1 & 7
    mode = number > 5 ? number - 4 : number
    isBCD = word & 1 != 0
    isCounting = false
    (held, next, lowWritten, latchedCount, latchedStatus) = (-1, 0, -1, -1, -1)
    isReadHigh = false
  }

  mutating func write(_ byte: UInt8, at tick: UInt64) {
    switch access {
    case 1: load(UInt64(byte), at: tick)
    case 2: load(UInt64(byte) << 8, at: tick)
    default:
      if lowWritten < 0 {
        lowWritten = Int16(byte)
        // Mode 0 stops between the two bytes.
        if mode == 0 { isCounting = false }
      } else {
        load(UInt64(byte) << 8 | UInt64(lowWritten), at: tick)
        lowWritten = -1
      }
    }
  }

  private mutating func load(_ word: UInt64, at tick: UInt64) {
    var count = word
    if isBCD { count = (word >> 12) * 1000 + (word >> 8 & 15) * 100 + (word >> 4 & 15) * 10 + (word & 15) }
    if count == 0 { count = modulus }
    settle(tick)
    switch mode {
    case 1, 5: next = count
    case 2, 3:
      guard isCounting else { return begin(count, at: tick) }
      next = count
      // The end of this period, or of this half of a square wave.
      let (passed, high) = (elapsed(tick), (length + 1) / 2)
      let whole = start &+ passed / length &* length
      nextStart = mode == 3 && passed % length < high ? whole &+ high : whole &+ length
    default: begin(count, at: tick)
    }
  }

  /// Counting begins at the next tick, if the gate lets it.
  private mutating func begin(_ count: UInt64, at tick: UInt64) {
    (start, length, next) = (tick &+ 1, count, 0)
    isCounting = true
    held = gate || mode == 1 || mode == 5 ? -1 : 0
  }

  mutating func setGate(_ level: Bool, at tick: UInt64) {
    guard level != gate else { return }
    settle(tick)
    gate = level
    switch mode {
    case 1, 5:
      if level, next != 0 || isCounting { begin(next != 0 ? next : length, at: tick) }
    // The count register stays for the next trigger.
    case 2, 3:
      guard isCounting else { return }
      if level { begin(next != 0 ? next : length, at: tick) } else { held = Int64(truncatingIfNeeded: elapsed(tick)) }
    default:
      guard isCounting else { return }
      if level {
        start = tick &- UInt64(max(held, 0))
        held = -1
      } else {
        held = Int64(truncatingIfNeeded: elapsed(tick))
      }
    }
  }

  private mutating func count(_ tick: UInt64) -> UInt16 {
    settle(tick)
    let binary = value(tick)
    guard isBCD else { return UInt16(truncatingIfNeeded: binary) }
    let decimal = binary % 10000
    return UInt16((decimal / 1000) << 12 | (decimal / 100 % 10) << 8 | (decimal / 10 % 10) << 4 | decimal % 10)
  }

  mutating func latchCount(at tick: UInt64) {
    if latchedCount < 0 { latchedCount = Int32(count(tick)) }
  }

  mutating func latchStatus(at tick: UInt64) {
    guard latchedStatus < 0 else { return }
    settle(tick)
    let isNull = !isCounting || next != 0 || tick < start
    latchedStatus =
      (output(tick) ? 0x80 : 0) | (isNull ? 0x40 : 0) | Int16(access) << 4 | Int16(mode) << 1 | (isBCD ? 1 : 0)
  }

  mutating func read(at tick: UInt64) -> UInt8 {
    if latchedStatus >= 0 {
      defer { latchedStatus = -1 }
      return UInt8(truncatingIfNeeded: latchedStatus)
    }
    let word = latchedCount >= 0 ? UInt16(truncatingIfNeeded: latchedCount) : count(tick)
    let isHigh = access == 2 || access == 3 && isReadHigh
    if access == 3 { isReadHigh.toggle() }
    if access != 3 || isHigh { latchedCount = -1 }
    return UInt8(truncatingIfNeeded: isHigh ? word >> 8 : word)
  }
}
