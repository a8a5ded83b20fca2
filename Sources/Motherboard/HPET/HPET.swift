import Devices

/// The high precision event timer at FED00000 (IA-PC HPET specification 1.0a, October 2004): a 64-bit counter of 100 MHz and three
/// timers, each one-shot or periodic, on the I/O APIC's pin 2 or, with legacy replacement, on the interrupt requests of the 8254
/// and the real-time clock.
///
/// Counter and matches are worked out from the clock; events are the enabled timers' next interrupts.
public final class HPET: BoardDevice, MemoryHandler, EventHandler {
  public static let frequency: UInt64 = 100_000_000
  public static let address: UInt64 = 0xFED0_0000
  /// 10^7 femtoseconds a tick; Intel's number, legacy replacement, 64 bits, three timers, revision 1.
  private static let capabilities: UInt64 = 0x0098_9680_8086_A201
  /// The pins that timers can drive: 2.
  private static let routes: UInt64 = 1 << 2
  /// Interrupts of a timer are at least a microsecond apart; nearer matches are one.
  private static let leastDistance: UInt64 = 100
  private static let timerCount = 3
  /// A chipset answers a read of the counter after some half a microsecond: guests that count how often they can read it in a
  /// millisecond, or wait for it, read it 2000 times and not 100000.
  private static let readsPerSecond: UInt64 = 2_000_000

  public struct State: Codable, Equatable {
    /// Bit 0 counts, bit 1 is legacy replacement.
    var configuration: UInt64 = 0
    /// Level interrupts that wait, by timer.
    var status: UInt64 = 0
    /// The counter while it stands; while it counts, what to add to the ticks since cycle 0.
    var counter: UInt64 = 0
    var timers = [ComparatorTimer](repeating: ComparatorTimer(), count: HPET.timerCount)
    var interrupts = [Appointment](repeating: Appointment(), count: HPET.timerCount)
  }

  public let name = "hpet"
  private var registers = State()
  private unowned let board: Board
  private let interrupts: InterruptSystem
  /// Requests 0 and 8, and pin 2 for each timer.
  private let legacyLines: [InterruptLine]
  private let pinLines: [InterruptLine]
  private var target: EventQueue.Target = 0

  public init(board: Board, interrupts: InterruptSystem) {
    self.board = board
    self.interrupts = interrupts
    legacyLines = [interrupts.replacementLine(0), interrupts.replacementLine(8)]
    pinLines = (0..<Self.timerCount).map { _ in interrupts.gsiLine(2) }
    target = board.register(self)
    board.claimMemory(Self.address..<Self.address + 0x400, by: self)
  }

  public var state: State {
    get { registers }
    set {
      guard newValue.timers.count == Self.timerCount, newValue.interrupts.count == Self.timerCount else { return }
      registers = newValue
      interrupts.isLegacyReplaced = isLegacy
      for index in 0..<Self.timerCount { updateLevel(index) }
    }
  }

  public func reset() {
    for index in 0..<Self.timerCount { registers.interrupts[index].move(to: nil, on: board, target: target) }
    registers = State()
    interrupts.isLegacyReplaced = false
    for line in legacyLines + pinLines { line.set(false) }
  }

  private var isCounting: Bool { registers.configuration & 1 != 0 }
  private var isLegacy: Bool { registers.configuration & 2 != 0 }
  private var tick: UInt64 { board.ticks(ofCycles: board.now, at: Self.frequency) }
  private var counter: UInt64 { isCounting ? registers.counter &+ tick : registers.counter }

  // MARK: - Interrupts

  /// Where a timer's interrupts go, or nil.
  private func line(_ index: Int) -> InterruptLine? {
    if isLegacy, index < 2 { return legacyLines[index] }
    let route = registers.timers[index].route
    return route < 32 && Self.routes & 1 << UInt64(route) != 0 ? pinLines[index] : nil
  }

  private func catchUp(_ index: Int, at counter: UInt64) {
    guard isCounting, registers.timers[index].catchUp(counter) else { return }
    if registers.timers[index].isLevel { registers.status |= 1 << UInt64(index) }
  }

  private func catchUpAll() {
    let now = counter
    for index in 0..<Self.timerCount { catchUp(index, at: now) }
  }

  private func updateLevel(_ index: Int) {
    let timer = registers.timers[index]
    guard timer.isLevel else { return }
    line(index)?.set(timer.isEnabled && registers.status & 1 << UInt64(index) != 0)
  }

  /// Puts a timer's next interrupt on the queue; it is caught up.
  private func appoint(_ index: Int, notBefore least: UInt64 = 0) {
    var due: Cycles?
    let timer = registers.timers[index]
    let isWaiting = timer.isLevel && registers.status & 1 << UInt64(index) != 0
    if isCounting, timer.isEnabled, !isWaiting, let distance = timer.nextMatch {
      due = board.cycles(ofTicks: tick &+ max(distance, least), at: Self.frequency)
    }
    registers.interrupts[index].move(to: due, on: board, target: target, payload: UInt64(index))
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    guard payload < UInt64(Self.timerCount) else { return }
    let index = Int(payload)
    registers.interrupts[index].kept()
    guard isCounting else { return }
    let isMatched = registers.timers[index].catchUp(counter)
    if isMatched, registers.timers[index].isEnabled {
      if registers.timers[index].isLevel {
        registers.status |= 1 << payload
        updateLevel(index)
      } else {
        line(index)?.pulse()
        // The 8259s want the level until they are asked; the I/O APIC's pin is free for others' edges.
        if !(isLegacy && index < 2) { pinLines[index].set(false) }
      }
    }
    appoint(index, notBefore: Self.leastDistance)
  }

  // MARK: - Registers

  public func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    read(offset & ~7) >> ((offset & 7) * 8)
  }

  public func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {
    // Aligned 32- or 64-bit accesses only (2.3.2).
    switch (size, offset & 7) {
    case (8, 0): write(offset, value, half: .max)
    case (4, 0): write(offset, value, half: 0xFFFF_FFFF)
    case (4, 4): write(offset & ~7, value << 32, half: 0xFFFF_FFFF_0000_0000)
    default: break
    }
  }

  private func read(_ register: UInt64) -> UInt64 {
    switch register {
    case 0x00: return Self.capabilities
    case 0x10: return registers.configuration
    case 0x20:
      catchUpAll()
      return registers.status
    case 0xF0:
      let value = counter
      board.outside.accessTakes(board.cyclesPerSecond / Self.readsPerSecond)
      return value
    case 0x100..<0x100 + 0x20 * UInt64(Self.timerCount):
      let index = Int((register - 0x100) >> 5)
      switch register & 0x18 {
      case 0: return registers.timers[index].configuration | ComparatorTimer.Bit.capabilities | Self.routes << 32
      case 8:
        catchUp(index, at: counter)
        return registers.timers[index].comparator
      default: return 0
      }
    default: return 0
    }
  }

  private func write(_ register: UInt64, _ value: UInt64, half: UInt64) {
    switch register {
    case 0x10:
      if half & 3 != 0 { writeConfiguration(value) }
    case 0x20:
      catchUpAll()
      registers.status &= ~(value & half)
      for index in 0..<Self.timerCount {
        updateLevel(index)
        appoint(index)
      }
    case 0xF0:
      catchUpAll()
      let written = counter & ~half | value & half
      registers.counter = isCounting ? written &- tick : written
      for index in 0..<Self.timerCount {
        registers.timers[index].begin(at: written)
        appoint(index)
      }
    case 0x100..<0x100 + 0x20 * UInt64(Self.timerCount):
      writeTimer(Int((register - 0x100) >> 5), register & 0x18, value, half: half)
    default: break
    }
  }

  private func writeConfiguration(_ value: UInt64) {
    catchUpAll()
    let now = counter
    // The wires lead elsewhere with the other bit: let go of them first.
    if (value ^ registers.configuration) & 2 != 0 { for index in 0..<Self.timerCount { line(index)?.set(false) } }
    registers.configuration = value & 3
    registers.counter = isCounting ? now &- tick : now
    interrupts.isLegacyReplaced = isLegacy
    for index in 0..<Self.timerCount {
      registers.timers[index].begin(at: now)
      updateLevel(index)
      appoint(index)
    }
  }

  private func writeTimer(_ index: Int, _ register: UInt64, _ value: UInt64, half: UInt64) {
    catchUp(index, at: counter)
    registers.timers[index].begin(at: counter)
    switch register {
    case 0:
      line(index)?.set(false)
      let old = registers.timers[index].configuration
      registers.timers[index].writeConfiguration(old & ~half | value & half)
      updateLevel(index)
    case 8: registers.timers[index].writeComparator(value, half: half)
    // No interrupts by messages.
    default: return
    }
    appoint(index)
  }
}
