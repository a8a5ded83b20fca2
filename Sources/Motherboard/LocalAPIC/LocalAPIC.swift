import Devices

/// The processor's local APIC: xAPIC registers at FEE00000, x2APIC registers as MSRs (Intel SDM volume 3, chapter 11; section
/// numbers in comments are of that chapter).
///
/// Counts are worked out from the clock when they are read; the one event is the timer's next interrupt. A periodic timer whose
/// interrupt still waits has no event: another would change nothing.
public final class LocalAPIC: BoardDevice, MemoryHandler, EventHandler {
  public struct Configuration: Sendable {
    /// The timer's clock before its divider, ticks a second: what CPUID leaf 15h gives as crystal.
    public var frequency: UInt64
    public var hasX2APIC: Bool
    public var hasDeadlineTimer: Bool
    public var identifier: UInt32 = 0
    public init(frequency: UInt64 = 1_000_000_000, hasX2APIC: Bool = true, hasDeadlineTimer: Bool = true) {
      (self.frequency, self.hasX2APIC, self.hasDeadlineTimer) = (max(1, frequency), hasX2APIC, hasDeadlineTimer)
    }
  }

  public struct State: Codable, Equatable {
    /// IA32_APIC_BASE: enabled, bootstrap processor.
    var base: UInt64 = 0xFEE0_0900
    var identifier: UInt32
    var taskPriority: UInt8 = 0
    var logicalDestination: UInt32 = 0
    var destinationFormat: UInt32 = .max
    /// SVR: bit 8 is the software's switch.
    var spurious: UInt32 = 0xFF
    var errors: UInt32 = 0
    /// Errors since the last write to the error status register.
    var newErrors: UInt32 = 0
    var command: UInt64 = 0
    /// Local vector table: timer, thermal, performance counters, LINT0, LINT1, error. LINT0 passes the 8259's interrupts on, as
    /// firmware on every PC sets it.
    var vectors: [UInt32] = [0x10000, 0x10000, 0x10000, 0x700, 0x10000, 0x10000]
    var requests = VectorSet()
    var inService = VectorSet()
    /// Vectors that came by a level.
    var levels = VectorSet()
    var isLine0High = false
    /// What the guest's time-stamp counter is ahead of the board's cycles.
    var timeStampOffset: UInt64 = 0
    var timer = LocalTimer()
    var interrupt = Appointment()
  }

  public let name = "lapic"
  var registers: State
  public let configuration: Configuration
  unowned let board: Board
  var target: EventQueue.Target = 0
  private var window: Range<UInt64>?

  /// An interrupt may be pending now, or no more, or LINT0 passes or holds back the 8259's: to be looked at.
  var changed: () -> Void = {}
  /// A non-maskable interrupt for the processor.
  var nonMaskable: () -> Void = {}
  /// The end of a level-triggered interrupt, for the I/O APIC.
  var ended: (UInt8) -> Void = { _ in }
  /// Messages that nobody took may be taken now.
  var acceptanceChanged: () -> Void = {}
  /// INIT and start-up messages that reached this processor. It is the only one and runs: they change nothing.
  public private(set) var startMessages = 0

  init(board: Board, configuration: Configuration) {
    self.board = board
    self.configuration = configuration
    registers = State(identifier: configuration.identifier)
    target = board.register(self)
    placeWindow()
  }

  public var state: State {
    get { registers }
    set {
      guard newValue.vectors.count == 6 else { return }
      registers = newValue
      placeWindow()
      changed()
    }
  }

  public func reset() {
    clear()
    placeWindow()
    changed()
  }

  /// Registers as after power-up; the wires and the time are not the APIC's.
  private func clear() {
    registers.interrupt.move(to: nil, on: board, target: target)
    let (level, offset) = (registers.isLine0High, registers.timeStampOffset)
    registers = State(identifier: configuration.identifier)
    (registers.isLine0High, registers.timeStampOffset) = (level, offset)
  }

  /// Where the registers are in memory: nowhere when the APIC is off or its registers are MSRs.
  private func placeWindow() {
    let start = registers.base & 0xF_FFFF_FFFF_F000
    let wanted = registers.base & 0xC00 == 0x800 ? start..<start + 0x1000 : nil
    guard wanted != window else { return }
    if let window { board.releaseMemory(window, by: self) }
    if let wanted { board.claimMemory(wanted, by: self) }
    window = wanted
  }

  var timeStampOffset: UInt64 {
    get { registers.timeStampOffset }
    set {
      guard newValue != registers.timeStampOffset else { return }
      registers.timeStampOffset = newValue
      appoint()
    }
  }

  // MARK: - Switches

  /// IA32_APIC_BASE bit 11: otherwise there is no APIC, and LINT0 and LINT1 are the processor's INTR and NMI.
  public var isOn: Bool { registers.base & 0x800 != 0 }
  var isX2APIC: Bool { registers.base & 0x400 != 0 }
  /// Takes interrupts.
  var isEnabled: Bool { isOn && registers.spurious & 0x100 != 0 }

  /// The 8259's interrupts reach the processor (its output is LINT0).
  var passesExternal: Bool { !isOn || registers.vectors[3] & 0x10700 == 0x700 }

  // MARK: - Priority

  /// PPR (11.8.3.1): what a vector's class must exceed.
  var processorPriority: UInt8 {
    let served = UInt8(truncatingIfNeeded: max(0, registers.inService.highest))
    return registers.taskPriority >> 4 >= served >> 4 ? registers.taskPriority : served & 0xF0
  }

  /// Whether the processor is to be interrupted.
  var isPending: Bool {
    let vector = registers.requests.highest
    return vector >= 0 && isOn && UInt8(truncatingIfNeeded: vector) >> 4 > processorPriority >> 4
  }

  /// The processor takes the interrupt.
  func acknowledge() -> UInt8? {
    guard isPending else { return nil }
    let vector = UInt8(truncatingIfNeeded: registers.requests.highest)
    registers.requests.set(vector, false)
    registers.inService.set(vector, true)
    if registers.timer.isParked, vector == timerVector { appoint() }
    changed()
    return vector
  }

  /// The class below which interrupts wait, 0 to 15: CR8.
  public var priorityClass: UInt8 {
    get { registers.taskPriority >> 4 }
    set { setTaskPriority(newValue << 4) }
  }

  func setTaskPriority(_ priority: UInt8) {
    guard priority != registers.taskPriority else { return }
    registers.taskPriority = priority
    changed()
  }

  func endOfInterrupt() {
    let vector = registers.inService.highest
    guard vector >= 0 else { return }
    let ended = UInt8(truncatingIfNeeded: vector)
    registers.inService.set(ended, false)
    if registers.levels.contains(ended) { self.ended(ended) }
    changed()
  }

  // MARK: - What arrives

  /// A vector for IRR; whether it was taken.
  @discardableResult func accept(_ vector: UInt8, isLevel: Bool = false) -> Bool {
    guard isEnabled else { return false }
    guard vector >= 16 else {
      note(.receivedIllegalVector)
      return true
    }
    registers.requests.set(vector, true)
    registers.levels.set(vector, isLevel)
    changed()
    return true
  }

  /// A message from the bus; whether this APIC took it.
  func receive(_ message: InterruptMessage) -> Bool {
    guard isOn, isDestination(message.destination, isLogical: message.isLogical) else { return false }
    switch message.mode {
    case .fixed, .lowestPriority: return accept(message.vector, isLevel: message.isLevel)
    case .nonMaskable: nonMaskable()
    case .initialize, .startUp: startMessages &+= 1
    // No system management mode, and the 8259's output goes to LINT0 only.
    case .systemManagement, .external, .reserved: break
    }
    return true
  }

  private func isDestination(_ destination: UInt32, isLogical: Bool) -> Bool {
    let broadcast: UInt32 = 0xFF
    if !isLogical { return destination == registers.identifier || destination == broadcast || destination == .max }
    if isX2APIC {
      let own = logicalX2APIC
      return destination == .max || destination >> 16 == own >> 16 && destination & own & 0xFFFF != 0
    }
    let own = registers.logicalDestination >> 24
    // Flat, or clusters of four (11.6.2.2).
    if registers.destinationFormat >> 28 == 15 { return destination & own != 0 }
    return (destination >> 4 == own >> 4 || destination >> 4 == 15) && destination & own & 15 != 0
  }

  var logicalX2APIC: UInt32 { (registers.identifier >> 4) << 16 | 1 << (registers.identifier & 15) }

  /// LINT0, the 8259's output.
  func setLine0(_ level: Bool) {
    guard level != registers.isLine0High else { return }
    registers.isLine0High = level
    if level, isOn { deliverLocally(registers.vectors[3]) }
    changed()
  }

  /// LINT1, an edge.
  func pulseLine1() {
    if isOn { deliverLocally(registers.vectors[4]) } else { nonMaskable() }
  }

  private func deliverLocally(_ entry: UInt32) {
    guard entry & 0x10000 == 0 else { return }
    switch entry >> 8 & 7 {
    case 0: accept(UInt8(truncatingIfNeeded: entry))
    case 4: nonMaskable()
    default: break
    }
  }

  // MARK: - Errors

  /// Bits of the error status register (11.5.3).
  enum Fault: UInt32 {
    case sentIllegalVector = 0x20
    case receivedIllegalVector = 0x40
    case illegalRegister = 0x80
  }

  func note(_ fault: Fault) {
    let isNew = registers.newErrors & fault.rawValue == 0
    registers.newErrors |= fault.rawValue
    let entry = registers.vectors[5]
    // An error vector that is illegal itself is not an error again.
    if isNew, entry & 0x10000 == 0, entry & 0xF0 != 0 { accept(UInt8(truncatingIfNeeded: entry)) }
  }

  // MARK: - IA32_APIC_BASE

  /// - Returns: false for a general-protection fault (11.12.1: which changes of mode are allowed).
  func writeBase(_ value: UInt64) -> Bool {
    let known: UInt64 = 0xF_FFFF_FFFF_F900 | (configuration.hasX2APIC ? 0x400 : 0)
    guard value & ~known == 0 else { return false }
    let (old, new) = (registers.base >> 10 & 3, value >> 10 & 3)
    // Bit 1 is on, bit 0 is x2APIC, which goes with on and is left only by switching off, and entered only from on.
    if new == 1 || old == 3 && new == 2 || old == 0 && new == 3 { return false }
    if new == 0, old != 0 { clear() }
    if new == 3 { registers.identifier = configuration.identifier }
    registers.base = value
    placeWindow()
    acceptanceChanged()
    changed()
    return true
  }
}
