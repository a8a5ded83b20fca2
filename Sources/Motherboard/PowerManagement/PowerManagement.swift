import Devices

/// The power management function of the 82371AB (PIIX4; Intel 290562), function 3: ACPI's fixed registers with the power management
/// timer, soft-off, the power button, the APM ports, general-purpose events, and the SMBus host.
///
/// There is no system management mode: an APM command raises no SMI, and the two commands that hand ACPI over (`acpiEnable`,
/// `acpiDisable`) are done here.
public final class PowerManagement: BoardDevice, PortHandler, EventHandler {
  public let name = "pm"
  public let function: PCIFunction

  /// The timer's clock, Hz.
  public static let timerFrequency: UInt64 = 3_579_545
  /// Written to port 0xb2 (FADT: ACPI_ENABLE, ACPI_DISABLE).
  public static let acpiEnable: UInt8 = 0xF1
  public static let acpiDisable: UInt8 = 0xF0
  public static let apmPorts: ClosedRange<UInt16> = 0xB2...0xB3
  /// GPE0: two bytes of status, two of enables.
  public static let eventPorts: ClosedRange<UInt16> = 0xAFE0...0xAFE3

  public struct State: Codable, Equatable {
    public var configuration: PCIFunction.Registers
    /// PM1_STS without the timer's bit.
    public var status: UInt16 = 0
    /// PM1_EN.
    public var enables: UInt16 = 0
    /// PM1_CNT: SCI_EN and the sleep type.
    public var control: UInt16 = 0
    /// How often the timer's bit 23 had changed when its status was last cleared.
    public var timerChangesSeen: UInt64 = 0
    /// The event of its next change, while it may interrupt.
    public var timerEvent: UInt64?
    public var eventStatus: UInt16 = 0
    public var eventEnables: UInt16 = 0
    public var apmControl: UInt8 = 0
    public var apmStatus: UInt8 = 0
    public var smbus = SMBusHost()
  }
  private var registers: State
  public var state: State {
    get {
      var state = registers
      state.configuration = function.registers
      return state
    }
    set {
      registers = newValue
      function.restore(newValue.configuration)
      openPorts()
      updateInterrupt()
    }
  }

  public struct Metrics: Equatable {
    public var timerReads: UInt64 = 0
    public var interrupts: UInt64 = 0
  }
  public private(set) var metrics = Metrics()

  private unowned let board: Board
  private let interrupt: InterruptLine
  private var target: EventQueue.Target = 0
  private var powerPorts: ClosedRange<UInt16>?
  private var smbusPorts: ClosedRange<UInt16>?

  /// Bits of PM1_STS and PM1_EN.
  private enum Fixed {
    static let timer: UInt16 = 1 << 0
    static let powerButton: UInt16 = 1 << 8
    /// What can be cleared: timer, bus master, global lock, power button, RTC, wake.
    static let clearable: UInt16 = 0x8531
    /// What can be enabled: timer, global lock, power button, RTC.
    static let enables: UInt16 = 0x0521
  }
  private enum Control {
    static let sciEnable: UInt16 = 1
    static let sleepType: UInt16 = 0x1C00
    static let sleepEnable: UInt16 = 1 << 13
  }
  private enum Configuration {
    static let powerBase = 0x40
    static let powerEnable = 0x80
    static let smbusBase = 0x90
    static let smbusControl = 0xD2
  }

  /// - Parameter interrupt: the system control interrupt: ISA request 9, level-triggered.
  public init(board: Board, interrupt: InterruptLine) {
    self.board = board
    self.interrupt = interrupt
    // 0x5b: APMC_EN is set from the start, which tells SeaBIOS that there is no system management mode to set up.
    function = PCIFunction(
      board: board, identity: (0x8086, 0x7113), classCode: 0x068000, revision: 3,
      bytes: [
        0x06: 0x80, 0x07: 0x02, 0x3D: 0x01, 0x40: 0x01, 0x5B: 0x02, 0x5F: 0x90, 0x63: 0x60, 0x67: 0x08, 0x90: 0x01, 0x91: 0xB1,
        0xD2: 0x09, 0xD6: 0x00,
      ])
    registers = State(configuration: function.registers)
    for offset in 0x44...0xFF where offset != 0xD6 { function.allowWrites(offset, 0xFF) }
    for (offset, mask) in [(0x40, 0xC0), (0x41, 0xFF), (0x42, 0), (0x43, 0), (0x90, 0xF0), (0x91, 0xFF), (0x92, 0), (0x93, 0)] {
      function.allowWrites(offset, UInt8(mask))
    }
    target = board.register(self)
    function.configWritten = { [unowned self] offset, _ in
      if offset >= 0x40 - 3 { openPorts() }
      if offset >= Configuration.smbusControl - 3 { updateInterrupt() }
    }
    board.claimPorts(Self.apmPorts, width: 1, by: self)
    board.claimPorts(Self.eventPorts, width: 2, by: self)
    openPorts()
  }

  public func reset() {
    if let event = registers.timerEvent { board.cancel(event) }
    function.reset()
    registers = State(configuration: function.registers)
    registers.timerChangesSeen = timerChanges
    openPorts()
    updateInterrupt()
  }

  /// The outside asks the guest to switch itself off.
  public func pressPowerButton() {
    registers.status |= Fixed.powerButton
    updateInterrupt()
  }

  // MARK: - Timer

  private var timer: UInt64 { board.ticks(ofCycles: board.now, at: Self.timerFrequency) }
  private var timerChanges: UInt64 { timer >> 23 }
  private var status: UInt16 { registers.status | (timerChanges > registers.timerChangesSeen ? Fixed.timer : 0) }

  public func event(_ payload: UInt64, at cycle: Cycles) {
    registers.timerEvent = nil
    updateInterrupt()
  }

  // MARK: - Interrupt

  private func updateInterrupt() {
    let status = status
    var level = registers.control & Control.sciEnable != 0 && (status & registers.enables & Fixed.enables != 0 || generalEvent)
    // SMBus' interrupt is the SCI's line too if its host configuration says so (INTRSEL 100, HST_EN).
    if function.registers.bytes[Configuration.smbusControl] & 0x0F == 0x09, registers.smbus.isInterrupting { level = true }
    if level, !interrupt.isRaised { metrics.interrupts &+= 1 }
    interrupt.set(level)
    let wanted = registers.enables & Fixed.timer != 0 && status & Fixed.timer == 0
    if wanted, registers.timerEvent == nil {
      let due = board.cycles(ofTicks: (timerChanges &+ 1) << 23, at: Self.timerFrequency)
      registers.timerEvent = board.schedule(at: due, target: target)
    } else if !wanted, let event = registers.timerEvent {
      board.cancel(event)
      registers.timerEvent = nil
    }
  }

  private var generalEvent: Bool { registers.eventStatus & registers.eventEnables != 0 }

  // MARK: - Ports

  private func openPorts() {
    let bytes = function.registers.bytes
    let power = UInt16(bytes[Configuration.powerBase] & 0xC0) | UInt16(bytes[Configuration.powerBase + 1]) << 8
    let smbus = UInt16(bytes[Configuration.smbusBase] & 0xF0) | UInt16(bytes[Configuration.smbusBase + 1]) << 8
    move(&powerPorts, to: bytes[Configuration.powerEnable] & 1 != 0 && power != 0 ? power...power + 63 : nil, width: 4)
    move(&smbusPorts, to: bytes[Configuration.smbusControl] & 1 != 0 && smbus != 0 ? smbus...smbus + 15 : nil, width: 1)
  }

  private func move(_ ports: inout ClosedRange<UInt16>?, to wanted: ClosedRange<UInt16>?, width: Int) {
    guard ports != wanted else { return }
    if let ports { board.releasePorts(ports, by: self) }
    if let wanted { board.claimPorts(wanted, width: width, by: self) }
    ports = wanted
  }

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    if let powerPorts, powerPorts.contains(port) {
      let offset = Int(port - powerPorts.lowerBound)
      if offset == 8, size == 4 {
        metrics.timerReads &+= 1
        return UInt32(timer & 0xFF_FFFF)
      }
      // One look at the clock for all bytes of an access.
      let (status, timer) = (status, UInt32(timer & 0xFF_FFFF))
      var value: UInt32 = 0
      for index in 0..<size { value |= UInt32(powerByte(offset + index, status, timer)) << UInt32(index * 8) }
      return value
    }
    if let smbusPorts, smbusPorts.contains(port) { return UInt32(registers.smbus.read(Int(port - smbusPorts.lowerBound))) }
    var value: UInt32 = 0
    for index in 0..<size { value |= UInt32(fixedByte(port &+ UInt16(index))) << UInt32(index * 8) }
    return value
  }

  private func powerByte(_ offset: Int, _ status: UInt16, _ timer: UInt32) -> UInt8 {
    func half(_ value: UInt16) -> UInt8 { UInt8(truncatingIfNeeded: value >> UInt16(offset % 2 * 8)) }
    switch offset {
    case 0, 1: return half(status)
    case 2, 3: return half(registers.enables)
    case 4, 5: return half(registers.control)
    case 8...11: return UInt8(truncatingIfNeeded: timer >> UInt32((offset - 8) * 8))
    default: return 0xFF
    }
  }

  private func fixedByte(_ port: UInt16) -> UInt8 {
    switch port {
    case 0xB2: registers.apmControl
    case 0xB3: registers.apmStatus
    case 0xAFE0: UInt8(truncatingIfNeeded: registers.eventStatus)
    case 0xAFE1: UInt8(truncatingIfNeeded: registers.eventStatus >> 8)
    case 0xAFE2: UInt8(truncatingIfNeeded: registers.eventEnables)
    case 0xAFE3: UInt8(truncatingIfNeeded: registers.eventEnables >> 8)
    default: 0xFF
    }
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    var sleeps = false
    for index in 0..<size {
      let byte = UInt8(truncatingIfNeeded: value >> UInt32(index * 8))
      let at = port &+ UInt16(index)
      if let powerPorts, powerPorts.contains(at) {
        let offset = Int(at - powerPorts.lowerBound)
        writePower(offset, byte)
        if offset == 5 { sleeps = UInt16(byte) << 8 & Control.sleepEnable != 0 }
      } else if let smbusPorts, smbusPorts.contains(at) {
        registers.smbus.write(Int(at - smbusPorts.lowerBound), byte)
      } else {
        writeFixed(at, byte)
      }
    }
    updateInterrupt()
    if sleeps { sleep(type: registers.control >> 10 & 7) }
  }

  private func writePower(_ offset: Int, _ byte: UInt8) {
    let shift = UInt16(offset % 2 * 8)
    let word = UInt16(byte) << shift
    let mask = UInt16(0xFF) << shift
    switch offset {
    case 0, 1:
      registers.status &= ~(word & Fixed.clearable)
      if word & Fixed.timer != 0 { registers.timerChangesSeen = timerChanges }
    case 2, 3: registers.enables = registers.enables & ~mask | word & Fixed.enables
    case 4, 5: registers.control = registers.control & ~mask | word & (Control.sciEnable | Control.sleepType)
    default: break
    }
  }

  private func writeFixed(_ port: UInt16, _ byte: UInt8) {
    switch port {
    case 0xB2:
      registers.apmControl = byte
      if byte == Self.acpiEnable { registers.control |= Control.sciEnable }
      if byte == Self.acpiDisable { registers.control &= ~Control.sciEnable }
    case 0xB3: registers.apmStatus = byte
    case 0xAFE0: registers.eventStatus &= ~UInt16(byte)
    case 0xAFE1: registers.eventStatus &= ~(UInt16(byte) << 8)
    case 0xAFE2: registers.eventEnables = registers.eventEnables & 0xFF00 | UInt16(byte)
    case 0xAFE3: registers.eventEnables = registers.eventEnables & 0xFF | UInt16(byte) << 8
    default: break
    }
  }

  /// Type 0 is soft-off. No other sleeping state is offered in the DSDT; asking for one changes nothing.
  private func sleep(type: UInt16) {
    guard type == 0 else { return board.outside.log("the guest asked for sleeping state type \(type), which this machine does not have") }
    board.outside.powerOff()
  }
}
