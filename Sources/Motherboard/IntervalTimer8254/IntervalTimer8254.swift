import Devices

/// The 8254 interval timer at ports 40 to 43 with the system's port 61 (Intel 82C54 data sheet, order number 231244; 82371SB data
/// sheet, order number 290550, section 2.5.6.1, for port 61).
///
/// Counters are worked out from the clock when they are read; the one event is counter 0's next interrupt.
public final class IntervalTimer8254: BoardDevice, PortHandler, EventHandler {
  /// Input clock of the three counters, ticks a second.
  public static let frequency: UInt64 = 1_193_182
  /// The refresh bit changes with each refresh request: every 18 ticks, 15 microseconds.
  private static let refreshTicks: UInt64 = 18
  /// Interrupts are at least 8 ticks, 7 microseconds, apart; nearer ones are one.
  private static let leastDistance: UInt64 = 8

  public struct State: Codable, Equatable {
    var channels: [CounterChannel]
    /// Port 61, bits 3 to 0: NMI masks, speaker data, gate of counter 2.
    var control: UInt8 = 0
    var interrupt = Appointment()
  }

  public let name = "pit"
  private var registers: State
  private unowned let board: Board
  private let line: InterruptLine
  private var target: EventQueue.Target = 0

  /// - Parameter line: IRQ 0.
  public init(board: Board, line: InterruptLine) {
    self.board = board
    self.line = line
    registers = Self.resetState
    target = board.register(self)
    board.claimPorts(0x40...0x43, width: 1, by: self)
    board.claimPorts(0x61...0x61, width: 1, by: self)
  }

  private static var resetState: State {
    State(channels: [CounterChannel(gate: true), CounterChannel(gate: true), CounterChannel(gate: false)])
  }

  public var state: State {
    get { registers }
    set { if newValue.channels.count == 3 { registers = newValue } }
  }

  public func reset() {
    registers.interrupt.move(to: nil, on: board, target: target)
    registers = Self.resetState
    line.set(false)
  }

  private var tick: UInt64 { board.ticks(ofCycles: board.now, at: Self.frequency) }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    switch port {
    case 0x40, 0x41, 0x42: return UInt32(registers.channels[Int(port & 3)].read(at: tick))
    case 0x61:
      let now = tick
      let refresh: UInt8 = now / Self.refreshTicks & 1 != 0 ? 0x10 : 0
      let output: UInt8 = registers.channels[2].output(now) ? 0x20 : 0
      return UInt32(registers.control | refresh | output)
    default: return 0xFF
    }
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    let byte = UInt8(truncatingIfNeeded: value)
    switch port {
    case 0x40, 0x41, 0x42:
      registers.channels[Int(port & 3)].write(byte, at: tick)
      if port == 0x40 { counter0Changed() }
    case 0x43: control(byte)
    case 0x61:
      registers.control = byte & 0x0F
      registers.channels[2].setGate(byte & 1 != 0, at: tick)
    default: break
    }
  }

  private func control(_ word: UInt8) {
    let now = tick
    let number = Int(word >> 6)
    if number == 3 {
      // Read-back command.
      for channel in 0..<3 where word & 2 << UInt8(channel) != 0 {
        if word & 0x20 == 0 { registers.channels[channel].latchCount(at: now) }
        if word & 0x10 == 0 { registers.channels[channel].latchStatus(at: now) }
      }
    } else if word & 0x30 == 0 {
      registers.channels[number].latchCount(at: now)
    } else {
      registers.channels[number].control(word & 0x3F)
      if number == 0 { counter0Changed() }
    }
  }

  // MARK: - IRQ 0

  private func counter0Changed() {
    let mode = registers.channels[0].mode
    if mode <= 1, !registers.channels[0].output(tick) { line.set(false) }
    appoint()
  }

  private func appoint(notBefore least: UInt64 = 1) {
    let rise = registers.channels[0].nextRise(after: tick &+ least &- 1)
    registers.interrupt.move(to: rise.map { board.cycles(ofTicks: $0, at: Self.frequency) }, on: board, target: target)
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    registers.interrupt.kept()
    // The output was low for a tick or half a period; the controllers latch the edge, and missed ones are one.
    line.pulse()
    appoint(notBefore: Self.leastDistance)
  }
}
