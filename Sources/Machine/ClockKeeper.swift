/// How guest time follows real time (`--clock`).
public enum ClockMode: String, Sendable, Codable {
  /// Guest time keeps pace with real time.
  case host
  /// Cycles only.
  case virtual
}

/// Converts between guest cycles and real nanoseconds; integers only.
struct ClockKeeper {
  let cyclesPerSecond: UInt64
  /// Real time (monotonic) at cycle 0, moved forward by every pause.
  private(set) var realAtZero: UInt64

  init(cyclesPerSecond: UInt64, now: UInt64) {
    self.cyclesPerSecond = cyclesPerSecond
    realAtZero = now
  }

  /// The cycle that real time `now` stands for.
  func cycle(at now: UInt64) -> UInt64 {
    now > realAtZero ? scale(now - realAtZero, cyclesPerSecond, 1_000_000_000) : 0
  }

  /// The real time at which `cycle` is reached.
  func realTime(of cycle: UInt64) -> UInt64 { realAtZero &+ scale(cycle, 1_000_000_000, cyclesPerSecond) }

  /// Ties `cycle` to real time `now`: after idle time was skipped, or when the machine was held.
  mutating func tie(cycle: UInt64, to now: UInt64) { realAtZero = now &- scale(cycle, 1_000_000_000, cyclesPerSecond) }
}

/// value * numerator / denominator through 128 bits, saturating.
func scale(_ value: UInt64, _ numerator: UInt64, _ denominator: UInt64) -> UInt64 {
  let product = value.multipliedFullWidth(by: numerator)
  guard product.high < denominator else { return .max }
  return denominator.dividingFullWidth(product).quotient
}
