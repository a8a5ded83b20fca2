import Devices

/// A 16550A UART (National Semiconductor PC16550D data sheet, TL/C/8652), as COM1 at 3F8 or elsewhere.
///
/// What is written to it is sent at once, so LSR always says empty; the interrupt for that comes `transmitRate` after a write, so
/// that a driver gets out of its interrupt handler. Input waits in a backlog and fills the FIFO as the guest reads it: there is no
/// overrun, except in loopback.
public final class Serial16550: BoardDevice, PortHandler, EventHandler {
  /// THR-empty interrupts a second, at most.
  private static let transmitRate: UInt64 = 200_000

  public struct State: Codable, Equatable {
    var divisor: UInt16 = 12
    var interruptEnable: UInt8 = 0
    var lineControl: UInt8 = 0
    /// OUT2 lets the interrupt out to the bus; the firmware finds it set.
    var modemControl: UInt8 = 8
    /// DCD, DSR and CTS: somebody is always there.
    var modemStatus: UInt8 = 0xB0
    var scratch: UInt8 = 0
    var isFIFO = false
    /// FCR bits 7 and 6.
    var trigger: UInt8 = 0
    var isOverrun = false
    /// Bytes received; bit 12 is a break.
    var received: [UInt16] = []
    var backlog: [UInt16] = []
    var isEmptyPending = false
    var isTimedOut = false
    var emptyInterrupt = Appointment()
    var timeout = Appointment()
  }

  public let name: String
  private var registers = State()
  private unowned let board: Board
  private let line: InterruptLine
  private let base: UInt16
  private let batch: OutputBatch
  private var target: EventQueue.Target = 0

  public struct Metrics: Equatable {
    public var bytesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
  }
  public private(set) var metrics = Metrics()

  /// - Parameters:
  ///   - port: the first of its eight: 3F8 for COM1 with IRQ 4, 2F8 for COM2 with IRQ 3.
  ///   - output: takes what the guest sends, in batches.
  public init(board: Board, port: UInt16 = 0x3F8, line: InterruptLine, name: String = "com1", output: @escaping ([UInt8]) -> Void) {
    self.board = board
    self.line = line
    self.name = name
    base = port & 0xFFF8
    batch = OutputBatch(board: board, output: output)
    target = board.register(self)
    board.claimPorts(base...base + 7, width: 1, by: self)
  }

  /// The registers; what is on its way out goes out first.
  public var state: State {
    get {
      batch.flush()
      return registers
    }
    set {
      registers = newValue
      update()
    }
  }

  public func reset() {
    registers.emptyInterrupt.move(to: nil, on: board, target: target)
    registers.timeout.move(to: nil, on: board, target: target)
    let backlog = registers.backlog
    registers = State()
    registers.backlog = backlog
    refill()
  }

  /// Hands the host what the guest has sent; for the end of a run.
  public func flush() { batch.flush() }

  // MARK: - Input from the host

  /// Bytes for the guest. They wait until it reads them.
  public func receive(_ bytes: [UInt8]) {
    registers.backlog.append(contentsOf: bytes.map { UInt16($0) })
    refill()
  }

  /// A break, as for Linux's magic SysRq.
  public func receiveBreak() {
    registers.backlog.append(0x1000)
    refill()
  }

  /// Bytes that wait for the guest; whoever feeds it may wait too.
  public var backlogCount: Int { registers.backlog.count }

  private var isLooped: Bool { registers.modemControl & 0x10 != 0 }
  private var capacity: Int { registers.isFIFO ? 16 : 1 }

  private func refill() {
    if !isLooped, registers.received.count < capacity, !registers.backlog.isEmpty {
      let count = min(capacity - registers.received.count, registers.backlog.count)
      registers.received.append(contentsOf: registers.backlog[..<count])
      registers.backlog.removeFirst(count)
      metrics.bytesReceived &+= UInt64(count)
      appointTimeout()
    }
    update()
  }

  /// Four character times after the last byte came or went, the guest is told of a FIFO that is not filled to the trigger.
  private func appointTimeout() {
    registers.isTimedOut = false
    let isDue = registers.isFIFO && !registers.received.isEmpty && registers.received.count < triggerCount
    // Ten bits a character, and the divisor counts sixteenths of a bit at 1.8432 MHz.
    let ticks = 4 * 10 * 16 * UInt64(max(1, registers.divisor))
    let due = isDue ? board.now &+ board.cycles(ofTicks: ticks, at: 1_843_200) : nil
    registers.timeout.move(to: due, on: board, target: target, payload: 1)
  }

  private var triggerCount: Int { registers.isFIFO ? [1, 4, 8, 14][Int(registers.trigger & 3)] : 1 }

  // MARK: - Interrupts

  /// The cause that IIR shows, by priority, or 1 for none.
  private var cause: UInt8 {
    let enabled = registers.interruptEnable
    if enabled & 4 != 0, lineErrors != 0 { return 6 }
    if enabled & 1 != 0 {
      if registers.received.count >= triggerCount { return 4 }
      if registers.isTimedOut { return 12 }
    }
    if enabled & 2 != 0, registers.isEmptyPending { return 2 }
    if enabled & 8 != 0, registers.modemStatus & 15 != 0 { return 0 }
    return 1
  }

  private var lineErrors: UInt8 {
    let first = registers.received.first ?? 0
    return (registers.isOverrun ? 2 : 0) | UInt8(truncatingIfNeeded: first >> 8) & 0x1E
  }

  private func update() { line.set(cause != 1 && registers.modemControl & 8 != 0) }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    if payload == 1 {
      registers.timeout.kept()
      registers.isTimedOut = !registers.received.isEmpty
    } else {
      registers.emptyInterrupt.kept()
      registers.isEmptyPending = true
    }
    update()
  }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 { UInt32(read(port & 7)) }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) { write(port & 7, UInt8(truncatingIfNeeded: value)) }

  public func writePort(_ port: UInt16, size: Int, from elements: UnsafeRawBufferPointer) -> Int {
    guard size == 1, port & 7 == 0 else { return 0 }
    for byte in elements { write(0, byte) }
    return elements.count
  }

  private var isDivisorLatched: Bool { registers.lineControl & 0x80 != 0 }

  private func read(_ register: UInt16) -> UInt8 {
    switch register {
    case 0 where isDivisorLatched: return UInt8(truncatingIfNeeded: registers.divisor)
    case 0:
      guard !registers.received.isEmpty else { return 0 }
      let byte = UInt8(truncatingIfNeeded: registers.received.removeFirst())
      appointTimeout()
      refill()
      return byte
    case 1 where isDivisorLatched: return UInt8(truncatingIfNeeded: registers.divisor >> 8)
    case 1: return registers.interruptEnable
    case 2:
      let cause = cause
      if cause == 2 {
        registers.isEmptyPending = false
        update()
      }
      return cause | (registers.isFIFO ? 0xC0 : 0)
    case 3: return registers.lineControl
    case 4: return registers.modemControl
    case 5:
      let hasError = registers.isFIFO && registers.received.contains { $0 > 0xFF }
      let status = 0x60 | lineErrors | (registers.received.isEmpty ? 0 : 1) | (hasError ? 0x80 : 0)
      if lineErrors != 0 {
        registers.isOverrun = false
        if !registers.received.isEmpty { registers.received[0] &= 0xFF }
        update()
      }
      return status
    case 6:
      let status = registers.modemStatus
      registers.modemStatus &= 0xF0
      update()
      return status
    default: return registers.scratch
    }
  }

  private func write(_ register: UInt16, _ byte: UInt8) {
    switch register {
    case 0 where isDivisorLatched: registers.divisor = registers.divisor & 0xFF00 | UInt16(byte)
    case 0: transmit(byte)
    case 1 where isDivisorLatched: registers.divisor = registers.divisor & 0xFF | UInt16(byte) << 8
    case 1:
      // Enabled while there is nothing to send, the interrupt comes at once.
      if byte & ~registers.interruptEnable & 2 != 0 { registers.isEmptyPending = true }
      if byte & 2 == 0 {
        registers.isEmptyPending = false
        registers.emptyInterrupt.move(to: nil, on: board, target: target)
      }
      registers.interruptEnable = byte & 15
      update()
    case 2: writeFIFOControl(byte)
    case 3: registers.lineControl = byte
    case 4:
      registers.modemControl = byte & 0x1F
      updateModemStatus()
      refill()
    case 7: registers.scratch = byte
    default: break
    }
  }

  private func transmit(_ byte: UInt8) {
    registers.isEmptyPending = false
    if registers.interruptEnable & 2 != 0, !registers.emptyInterrupt.isMade {
      let due = board.now &+ board.cycles(ofTicks: 1, at: Self.transmitRate)
      registers.emptyInterrupt.move(to: due, on: board, target: target)
    }
    if isLooped {
      if registers.received.count < capacity {
        registers.received.append(UInt16(byte))
        appointTimeout()
      } else {
        registers.isOverrun = true
      }
    } else {
      metrics.bytesSent &+= 1
      batch.append(byte)
    }
    update()
  }

  private func writeFIFOControl(_ byte: UInt8) {
    let isFIFO = byte & 1 != 0
    if isFIFO != registers.isFIFO || isFIFO && byte & 2 != 0 {
      registers.received.removeAll()
      registers.isOverrun = false
    }
    registers.isFIFO = isFIFO
    registers.trigger = isFIFO ? byte >> 6 : 0
    appointTimeout()
    refill()
  }

  /// In loopback the outputs are the inputs: RTS is CTS, DTR is DSR, OUT1 is RI, OUT2 is DCD.
  private func updateModemStatus() {
    let control = registers.modemControl
    let levels: UInt8 = isLooped ? (control & 2) << 3 | (control & 1) << 5 | (control & 4) << 4 | (control & 8) << 4 : 0xB0
    let changed = (levels ^ registers.modemStatus) >> 4
    // RI counts where it ends.
    let deltas = changed & 0xB | (changed & 4 != 0 && levels & 0x40 == 0 ? 4 : 0)
    registers.modemStatus = levels | registers.modemStatus & 15 | deltas
  }
}
