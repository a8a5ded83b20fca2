import Devices

/// The local APIC's timer (Intel SDM volume 3, section 11.5.4). Ticks are those of the undivided clock since cycle 0.
struct LocalTimer: Codable, Equatable {
  /// Initial count; 0 is off.
  var initial: UInt32 = 0
  /// The divide configuration register.
  var divide: UInt32 = 0
  /// IA32_TSC_DEADLINE, or 0.
  var deadline: UInt64 = 0
  /// The tick at which the counter held `remaining`.
  private var origin: UInt64 = 0
  private var remaining: UInt64 = 0
  /// The last interrupt still waits, so the next has no event.
  var isParked = false

  /// 1 to 128.
  private var divisor: UInt64 {
    let code = divide & 3 | (divide >> 1) & 4
    return code == 7 ? 1 : 2 << UInt64(code)
  }

  mutating func start(_ count: UInt32, at tick: UInt64) {
    (initial, remaining, origin) = (count, UInt64(count), tick)
  }

  /// The current count.
  func count(at tick: UInt64, isPeriodic: Bool) -> UInt32 {
    let passed = (tick &- origin) / divisor
    if passed < remaining { return UInt32(truncatingIfNeeded: remaining - passed) }
    guard isPeriodic, initial > 0, remaining > 0 else { return 0 }
    return initial - UInt32(truncatingIfNeeded: (passed - remaining) % UInt64(initial))
  }

  /// Goes on from the current count, before the divider or the mode changes.
  mutating func rebase(at tick: UInt64, isPeriodic: Bool) {
    remaining = UInt64(count(at: tick, isPeriodic: isPeriodic))
    origin = tick
  }

  /// The tick after this one at which it reaches 0, or nil.
  func nextExpiry(after tick: UInt64, isPeriodic: Bool) -> UInt64? {
    guard remaining > 0 else { return nil }
    let first = remaining &* divisor
    let passed = tick &- origin
    if passed < first { return origin &+ first }
    guard isPeriodic, initial > 0 else { return nil }
    let period = UInt64(initial) &* divisor
    return origin &+ first &+ ((passed - first) / period &+ 1) &* period
  }
}

extension LocalAPIC {
  var timerVector: UInt8 { UInt8(truncatingIfNeeded: registers.vectors[0]) }
  private var isPeriodic: Bool { registers.vectors[0] & 0x60000 == 0x20000 }
  private var isDeadline: Bool { registers.vectors[0] & 0x40000 != 0 }
  private var tick: UInt64 { board.ticks(ofCycles: board.now, at: configuration.frequency) }

  var currentCount: UInt32 { isDeadline ? 0 : registers.timer.count(at: tick, isPeriodic: isPeriodic) }

  func setInitialCount(_ count: UInt32) {
    guard !isDeadline else { return }
    registers.timer.start(count, at: tick)
    appoint()
  }

  func setDivide(_ value: UInt32) {
    registers.timer.rebase(at: tick, isPeriodic: isPeriodic)
    registers.timer.divide = value & 11
    appoint()
  }

  func setTimerEntry(_ entry: UInt32) {
    if (entry ^ registers.vectors[0]) & 0x60000 != 0 {
      registers.timer.rebase(at: tick, isPeriodic: isPeriodic)
      if (entry ^ registers.vectors[0]) & 0x40000 != 0 {
        registers.timer.start(0, at: tick)
        registers.timer.deadline = 0
      }
    }
    registers.vectors[0] = entry
    appoint()
  }

  /// IA32_TSC_DEADLINE.
  var deadline: UInt64 {
    get { registers.timer.deadline != 0 && isPast(registers.timer.deadline) ? 0 : registers.timer.deadline }
    set {
      guard isDeadline else { return }
      registers.timer.deadline = newValue
      appoint()
    }
  }

  private func isPast(_ deadline: UInt64) -> Bool { deadline <= board.now &+ timeStampOffset }

  /// Puts the timer's next interrupt on the queue, or nothing.
  func appoint() {
    registers.timer.isParked = false
    var due: Cycles?
    if isDeadline {
      // It disarms when it has passed, also where its entry is masked then.
      let deadline = registers.timer.deadline
      if deadline != 0 { due = isPast(deadline) ? board.now : deadline &- timeStampOffset }
    } else if isEnabled, registers.vectors[0] & 0x10000 == 0 {
      if isPeriodic, registers.requests.contains(timerVector) {
        registers.timer.isParked = true
      } else if let tick = registers.timer.nextExpiry(after: tick, isPeriodic: isPeriodic) {
        due = board.cycles(ofTicks: tick, at: configuration.frequency)
      }
    }
    registers.interrupt.move(to: due, on: board, target: target)
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    registers.interrupt.kept()
    if isDeadline { registers.timer.deadline = 0 }
    if registers.vectors[0] & 0x10000 == 0 { accept(timerVector) }
    appoint()
  }
}
