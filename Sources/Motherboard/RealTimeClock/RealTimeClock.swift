import Devices

/// The MC146818A real-time clock with 128 bytes of CMOS RAM at ports 70 and 71 (Motorola MC146818A data sheet, ADI1027R1; 82371SB
/// data sheet for the ports). Byte 32 is the century, as PCs have it.
///
/// The time of day is worked out from the board's start and clock; the one event is the next interrupt that is enabled.
public final class RealTimeClock: BoardDevice, PortHandler, EventHandler {
  /// The crystal, ticks a second.
  public static let frequency: UInt64 = 32768

  /// What a PC's firmware looks up in CMOS.
  public struct Configuration: Sendable {
    /// Bytes of RAM.
    public var memory: MemoryMap
    public var processorCount: Int
    /// Where to boot from, in order, three at most: 1 floppy, 2 disk, 3 CD, 4 network.
    public var bootOrder: [UInt8]
    public init(memory: MemoryMap, processorCount: Int = 1, bootOrder: [UInt8] = [2, 3]) {
      (self.memory, self.processorCount, self.bootOrder) = (memory, processorCount, bootOrder)
    }
  }

  public struct State: Codable, Equatable {
    /// The registers and RAM; those of the time hold it only while the clock stands.
    var bytes: [UInt8]
    var index: UInt8 = 0
    /// Clock ticks since 1970 less the board's ticks: what the guest set, too.
    var offset: Int64
    /// How far the guest set the day of the week from the date's.
    var weekdayOffset: Int64 = 0
    /// The time stands: SET, or the divider is held.
    var isStopped = false
    /// Flags of register C, as far as they were worked out, to clock tick `flagsUntil`.
    var flags: UInt8 = 0
    var flagsUntil: Int64
    var interrupt = Appointment()
  }

  enum Register {
    static let seconds = 0, secondsAlarm = 1, minutes = 2, minutesAlarm = 3, hours = 4, hoursAlarm = 5
    static let weekday = 6, day = 7, month = 8, year = 9
    static let a = 10, b = 11, c = 12, d = 13
    static let century = 0x32
  }
  /// Bits of register B and, for the interrupts, C.
  enum Bit {
    static let set: UInt8 = 0x80, periodic: UInt8 = 0x40, alarm: UInt8 = 0x20, update: UInt8 = 0x10
    static let squareWave: UInt8 = 8, binary: UInt8 = 4, hours24: UInt8 = 2
  }

  public let name = "rtc"
  var registers: State
  unowned let board: Board
  private let line: InterruptLine
  private var target: EventQueue.Target = 0

  /// - Parameter line: IRQ 8.
  public init(board: Board, line: InterruptLine, configuration: Configuration) {
    self.board = board
    self.line = line
    let product = board.startTime.multipliedFullWidth(by: Self.frequency)
    // A product of 79 bits at most, so a quotient of 50.
    let start = UInt64(1_000_000_000).dividingFullWidth(product).quotient
    registers = State(bytes: Self.contents(configuration), offset: Int64(truncatingIfNeeded: start), flagsUntil: 0)
    registers.flagsUntil = tick
    target = board.register(self)
    board.claimPorts(0x70...0x71, width: 1, by: self)
  }

  public var state: State {
    get { registers }
    set {
      guard newValue.bytes.count == 128 else { return }
      registers = newValue
      line.set(registers.flags & 0x80 != 0)
    }
  }

  /// The RESET pin; RAM and time have a battery.
  public func reset() {
    catchUpFlags()
    registers.bytes[Register.b] &= ~(Bit.periodic | Bit.alarm | Bit.update | Bit.squareWave)
    registers.flags = 0
    registers.index = 0
    line.set(false)
    appoint()
  }

  /// Bit 7 of port 70: the guest keeps non-maskable interrupts from the processor.
  public var isNonMaskableMasked: Bool { registers.index & 0x80 != 0 }

  /// A byte of CMOS RAM, not through the ports.
  public subscript(index: Int) -> UInt8 {
    get { read(index & 127) }
    set { if (index & 127) > Register.d { registers.bytes[index & 127] = newValue } }
  }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    port == 0x71 ? UInt32(read(Int(registers.index & 127))) : 0xFF
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    let byte = UInt8(truncatingIfNeeded: value)
    if port == 0x70 { registers.index = byte } else { write(Int(registers.index & 127), byte) }
  }

  private func read(_ index: Int) -> UInt8 {
    switch index {
    case Register.seconds, Register.minutes, Register.hours, Register.weekday...Register.year, Register.century:
      return registers.isStopped ? registers.bytes[index] : timeByte(index)
    case Register.a:
      // Update in progress: from 244 microseconds, 8 ticks, before the second.
      let isUpdating = !registers.isStopped && (tick & 0x7FFF) >= 0x8000 - 8
      return registers.bytes[Register.a] & 0x7F | (isUpdating ? 0x80 : 0)
    case Register.c:
      catchUpFlags()
      let flags = registers.flags
      registers.flags = 0
      line.set(false)
      appoint()
      return flags
    case Register.d: return 0x80
    default: return registers.bytes[index]
    }
  }

  private func write(_ index: Int, _ byte: UInt8) {
    catchUpFlags()
    switch index {
    case Register.seconds, Register.minutes, Register.hours, Register.weekday...Register.year, Register.century:
      if registers.isStopped {
        registers.bytes[index] = byte
      } else {
        // Not what software should do, but it works on most clocks: the other bytes go on.
        stop()
        registers.bytes[index] = byte
        start()
      }
    case Register.a:
      let wasHeld = isDividerHeld
      registers.bytes[Register.a] = byte & 0x7F
      changeStanding()
      // From a held divider the first second is half a second long.
      if wasHeld, !isDividerHeld { registers.offset = registers.offset &+ (0x4000 &- (tick & 0x7FFF)) }
    case Register.b:
      // SET also clears the update interrupt's enable.
      registers.bytes[Register.b] = byte & Bit.set != 0 ? byte & ~Bit.update : byte
      changeStanding()
    case Register.c, Register.d: return
    default: registers.bytes[index] = byte
    }
    registers.flagsUntil = tick
    if index < Register.c || index == Register.century { enabledChanged() }
  }

  // MARK: - Time

  /// Ticks of the crystal since 1970, as the guest set it; seconds are its bits from 15.
  var tick: Int64 { Int64(truncatingIfNeeded: board.ticks(ofCycles: board.now, at: Self.frequency)) &+ registers.offset }

  private var isDividerHeld: Bool { registers.bytes[Register.a] & 0x60 == 0x60 }

  private func changeStanding() {
    let stands = isDividerHeld || registers.bytes[Register.b] & Bit.set != 0
    if stands, !registers.isStopped { stop() }
    if !stands, registers.isStopped { start() }
  }

  private func stop() {
    for index in [0, 2, 4, 6, 7, 8, 9, Register.century] { registers.bytes[index] = timeByte(index) }
    registers.isStopped = true
  }

  /// The time goes on from what the registers say; what no clock shows is taken for the nearest that one does.
  private func start() {
    func field(_ index: Int) -> Int64 { Int64(decoded(registers.bytes[index])) }
    func within(_ value: Int64, _ range: ClosedRange<Int64>) -> Int64 { min(max(value, range.lowerBound), range.upperBound) }
    var hour = Int64(decoded(registers.bytes[Register.hours] & 0x7F))
    if registers.bytes[Register.b] & Bit.hours24 == 0 {
      hour = hour % 12 + (registers.bytes[Register.hours] & 0x80 != 0 ? 12 : 0)
    }
    let time = CalendarTime(
      year: within(field(Register.century), 0...99) * 100 + within(field(Register.year), 0...99),
      month: within(field(Register.month), 1...12),
      day: within(field(Register.day), 1...31), hour: within(hour, 0...23), minute: within(field(Register.minutes), 0...59),
      second: within(field(Register.seconds), 0...59))
    let seconds = time.seconds
    registers.weekdayOffset = (within(field(Register.weekday), 1...7) - CalendarTime(seconds: seconds).weekday + 7) % 7
    registers.offset = registers.offset &+ (seconds &- tick >> 15) << 15
    registers.isStopped = false
  }

  private func timeByte(_ index: Int) -> UInt8 {
    let time = CalendarTime(seconds: tick >> 15)
    switch index {
    case Register.seconds: return encoded(time.second)
    case Register.minutes: return encoded(time.minute)
    case Register.hours: return hourByte(time.hour)
    case Register.weekday: return encoded((time.weekday - 1 + registers.weekdayOffset % 7) % 7 + 1)
    case Register.day: return encoded(time.day)
    case Register.month: return encoded(time.month)
    case Register.year: return encoded((time.year % 100 + 100) % 100)
    default: return encoded((time.year / 100 % 100 + 100) % 100)
    }
  }

  func hourByte(_ hour: Int64) -> UInt8 {
    if registers.bytes[Register.b] & Bit.hours24 != 0 { return encoded(hour) }
    return encoded((hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0)
  }

  /// 0 to 99 as the registers have it, binary or BCD.
  func encoded(_ value: Int64) -> UInt8 {
    let byte = UInt8(truncatingIfNeeded: value)
    return registers.bytes[Register.b] & Bit.binary != 0 ? byte : (byte / 10) << 4 | byte % 10
  }

  private func decoded(_ byte: UInt8) -> UInt8 {
    registers.bytes[Register.b] & Bit.binary != 0 ? byte : (byte >> 4) &* 10 &+ (byte & 15)
  }

  // MARK: - Interrupts

  private func enabledChanged() {
    updateLine()
    appoint()
  }

  /// IRQF: a flag and its enable, whichever came first.
  private func updateLine() {
    let isRequesting = registers.flags & registers.bytes[Register.b] & 0x70 != 0
    registers.flags = registers.flags & 0x7F | (isRequesting ? 0x80 : 0)
    line.set(isRequesting)
  }

  /// The next interrupt's event; none while one is waiting to be taken, so nothing floods.
  private func appoint() {
    let wanted = registers.bytes[Register.b] & 0x70
    let due: Int64? = wanted == 0 || registers.flags & 0x80 != 0 ? nil : nextFlag(of: wanted, after: registers.flagsUntil)
    registers.interrupt.move(
      to: due.map { board.cycles(ofTicks: UInt64(truncatingIfNeeded: max(0, $0 &- registers.offset)), at: Self.frequency) },
      on: board, target: target)
  }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    registers.interrupt.kept()
    catchUpFlags()
    updateLine()
    appoint()
  }
}
