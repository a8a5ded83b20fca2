/// The interrupt controllers of a PC and the wires between them: an ISA interrupt request drives an input of the 8259s and a pin of
/// the I/O APIC at once (request 0 pin 2), the 8259's output is the local APIC's LINT0.
public final class InterruptSystem {
  public let pic: InterruptController8259
  public let localAPIC: LocalAPIC
  public let ioAPIC: IOAPIC

  /// An interrupt is pending for the processor, or no more.
  public var outputChanged: (Bool) -> Void = { _ in }
  /// A non-maskable interrupt for the processor.
  public var nonMaskable: () -> Void = {}
  /// Whether the guest masked the NMI pin (port 70, bit 7).
  public var isNonMaskableMasked: () -> Bool = { false }
  /// Whether an interrupt is pending now.
  public private(set) var isPending = false

  /// The wire of each ISA request and each pin, for any number of drivers.
  private var requests: [WiredInterrupt] = []
  private var pins: [WiredInterrupt] = []
  /// The timer's and the clock's own connections to requests 0 and 8, which the HPET can take over.
  private var legacyDrivers: [InterruptLine] = []
  private var legacyLevels = [false, false]

  public struct Metrics: Equatable {
    /// Interrupts that the processor took from the local APIC, and from the 8259s.
    public var local: UInt64 = 0
    public var external: UInt64 = 0
    public var messages: UInt64 = 0
  }
  public private(set) var metrics = Metrics()

  public init(board: Board, configuration: LocalAPIC.Configuration = .init()) {
    pic = InterruptController8259(board: board)
    localAPIC = LocalAPIC(board: board, configuration: configuration)
    ioAPIC = IOAPIC(board: board, localAPIC: localAPIC)
    pins = (0..<IOAPIC.pinCount).map { [ioAPIC] pin in WiredInterrupt(InterruptLine { ioAPIC.setPin(pin, $0) }) }
    requests = (0..<16).map { [pic] number in
      let pin = pins[number == 0 ? 2 : number].driver()
      return WiredInterrupt(
        InterruptLine { level in
          pic.setInput(number, level)
          pin.set(level)
        })
    }
    legacyDrivers = [requests[0].driver(), requests[8].driver()]
    pic.outputChanged = { [unowned self] level in
      localAPIC.setLine0(level)
      update()
    }
    localAPIC.changed = { [unowned self] in update() }
    localAPIC.nonMaskable = { [unowned self] in nonMaskable() }
    localAPIC.ended = { [unowned ioAPIC] in ioAPIC.end($0) }
    localAPIC.acceptanceChanged = { [unowned ioAPIC] in ioAPIC.serveWaitingLevels() }
  }

  /// A system reset of the three.
  public func reset() {
    pic.reset()
    ioAPIC.reset()
    localAPIC.reset()
  }

  private func update() {
    let level = localAPIC.isPending || pic.isRequesting && localAPIC.passesExternal
    guard level != isPending else { return }
    isPending = level
    outputChanged(level)
  }

  // MARK: - Wires

  /// A connection of one more device to an ISA interrupt request.
  ///
  /// - Parameter number: 0 to 15, not 2 (where the second 8259 is).
  public func line(isa number: Int) -> InterruptLine {
    guard requests.indices.contains(number), number != 2 else { return InterruptLine { _ in } }
    guard number == 0 || number == 8 else { return requests[number].driver() }
    let index = number >> 3
    return InterruptLine { [unowned self] level in
      legacyLevels[index] = level
      legacyDrivers[index].set(level && !isLegacyReplaced)
    }
  }

  /// A connection of one more device to a pin of the I/O APIC alone.
  ///
  /// - Parameter number: 0 to 23.
  public func gsiLine(_ number: Int) -> InterruptLine {
    pins.indices.contains(number) ? pins[number].driver() : InterruptLine { _ in }
  }

  /// The HPET's legacy replacement: requests 0 and 8 are its, and the 8254's and the clock's lead nowhere.
  var isLegacyReplaced = false {
    didSet {
      guard isLegacyReplaced != oldValue else { return }
      for index in 0..<2 { legacyDrivers[index].set(legacyLevels[index] && !isLegacyReplaced) }
    }
  }

  /// The HPET's connections to requests 0 and 8.
  func replacementLine(_ number: Int) -> InterruptLine { requests[number & 8].driver() }

  /// A device's store to 0xfee…..: a message-signalled interrupt.
  public func message(address: UInt64, data: UInt32) {
    metrics.messages &+= 1
    _ = localAPIC.receive(InterruptMessage(address: address, data: data))
  }

  /// The NMI pin.
  public func raiseNonMaskable() {
    if !isNonMaskableMasked() { localAPIC.pulseLine1() }
  }

  // MARK: - The processor

  /// The processor takes the interrupt that is pending.
  ///
  /// - Returns: its vector: the local APIC's, otherwise the 8259's; nil if nothing is pending.
  public func acknowledge() -> UInt8? {
    if let vector = localAPIC.acknowledge() {
      metrics.local &+= 1
      return vector
    }
    guard pic.isRequesting, localAPIC.passesExternal else { return nil }
    metrics.external &+= 1
    return pic.acknowledge()
  }

  /// CR8: the class of priority, 0 to 15, up to which interrupts wait.
  public var taskPriority: UInt8 { localAPIC.priorityClass }
  public func setTaskPriority(_ priority: UInt8) { localAPIC.priorityClass = priority & 15 }

  /// RDMSR of IA32_APIC_BASE (1B), the x2APIC's registers (800 to 8FF) and IA32_TSC_DEADLINE (6E0); nil for a general-protection fault.
  public func readMSR(_ number: UInt32) -> UInt64? { localAPIC.readMSR(number) }

  /// WRMSR of the same; false for a general-protection fault.
  public func writeMSR(_ number: UInt32, _ value: UInt64) -> Bool { localAPIC.writeMSR(number, value) }

  /// What the guest's time-stamp counter is ahead of the board's cycles, modulo 2^64; the deadline timer is set in it.
  public var timeStampOffset: UInt64 {
    get { localAPIC.timeStampOffset }
    set { localAPIC.timeStampOffset = newValue }
  }
}
