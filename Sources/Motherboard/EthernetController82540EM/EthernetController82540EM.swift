import Devices
import GuestMemory
import HostLinks

/// Intel's 82540EM gigabit Ethernet controller (PCI 8086:100E), which Linux's e1000 drives.
///
/// Source: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual. What a frame costs is its accesses: both
/// rings are worked on in the cycle in which the tail is written or a frame comes. The received frame check sequence is four zeros.
/// Not here: wake-up, flow control, IP address filters, loopback in the transceiver.
///
/// Invariants of the unsafe part: `words` has `EthernetRegister.end / 4` words and lives as long as the object.
public final class EthernetController82540EM: BoardDevice, MemoryHandler, PortHandler, EventHandler {
  public struct State: Codable {
    var function: PCIFunction.Registers
    var words: [UInt32]
    var eeprom: SerialEEPROM
    var phy: EthernetPHY
    var eepromRead: UInt32
    var mdiControl: UInt32
    var cause: UInt32
    var mask: UInt32
    var ioAddress: UInt32
    var timing: Timing
    var transmit: TransmitState
    var arrived: [[UInt8]]
    var isLinkUp: Bool
  }

  /// When interrupts may come.
  struct Timing: Codable, Equatable {
    /// The throttle's interval ends then.
    var notBefore: Cycles = 0
    var throttleScheduled = false
    /// Sent descriptors that a delayed interrupt is to report.
    var transmitDelayed = false
    var transmitScheduled = false
    var linkScheduled = false
  }

  enum Event: UInt64 { case throttle, transmit, link }

  public let name: String
  public let function: PCIFunction
  public internal(set) var statistics: NetworkStatistics
  let board: Board
  let link: any NetworkLink
  let mac: [UInt8]
  let eepromWords: [UInt16]
  private var eventTarget: EventQueue.Target = 0
  let words: UnsafeMutablePointer<UInt32>
  var eeprom = SerialEEPROM()
  var phy = EthernetPHY(isLinkUp: true)
  var eepromRead: UInt32 = 0
  var mdiControl: UInt32 = 0
  var cause: UInt32 = 0
  var mask: UInt32 = 0
  private var ioAddress: UInt32 = 0
  var timing = Timing()
  var transmit = TransmitState()
  /// The packet that the descriptors so far make.
  var packet: [UInt8] = []
  /// Frames that wait for the guest's buffers, from `arrivedFirst` on.
  var arrived: [[UInt8]] = []
  var arrivedFirst = 0
  /// Frames are coming in a row: the interrupt comes after the last.
  var isGathering = false
  /// Cycles of the throttle's unit (256 ns) and of the delays' (1.024 us).
  private let cyclesPer256: Cycles
  private let cyclesPer1024: Cycles

  /// Frames that wait at most.
  public static let queueLimit = 1024
  /// Guest time of a negotiation between both ends of the cable.
  static let negotiationNanoseconds: UInt64 = 1_000_000

  /// Whether the cable is plugged in.
  public var isLinkUp = true {
    didSet {
      guard isLinkUp != oldValue else { return }
      if isLinkUp { negotiate() } else { setLink(false) }
    }
  }

  /// - Parameters:
  ///   - name: in `--stats`: `eth0`.
  ///   - mac: 6 bytes.
  ///   - optionROM: for booting from the network.
  public init(board: Board, name: String, mac: [UInt8], link: any NetworkLink, optionROM: [UInt8]? = nil) {
    self.board = board
    self.name = name
    self.link = link
    self.mac = mac
    statistics = NetworkStatistics(dev: name)
    eepromWords = SerialEEPROM.words(mac: mac)
    words = .allocate(capacity: EthernetRegister.end / 4)
    words.initialize(repeating: 0, count: EthernetRegister.end / 4)
    cyclesPer256 = max(board.cycles(ofTicks: 256, at: 1_000_000_000), 1)
    cyclesPer1024 = max(board.cycles(ofTicks: 1024, at: 1_000_000_000), 1)
    function = PCIFunction(board: board, identity: (0x8086, 0x100E), classCode: 0x020000, revision: 3, bytes: [0x3D: 1])
    function.setWindow(0, .memory(size: 0x20000, isPrefetchable: false, handler: self))
    function.setWindow(1, .ports(size: 64, width: 4, handler: self))
    if let optionROM { function.setWindow(6, .rom(bytes: optionROM)) }
    eventTarget = board.register(self)
    resetController()
    link.receive = { [weak self] in self?.frameArrived($0) }
  }

  deinit { words.deallocate() }

  /// A register that is storage.
  @inline(__always) subscript(register: Int) -> UInt32 {
    get { words[register >> 2] }
    set { words[register >> 2] = newValue }
  }

  // MARK: - Reset

  /// CTRL.RST: all but PCI configuration and the transceiver.
  func resetController() {
    words.update(repeating: 0, count: EthernetRegister.end / 4)
    self[EthernetRegister.control] = 0x0014_0240
    self[EthernetRegister.vlanType] = 0x8100
    self[EthernetRegister.packetBuffer] = 0x0010_0030
    self[EthernetRegister.transmitGap] = 0x0060_2008
    self[EthernetRegister.ledControl] = 0x0706_8302
    let bytes = (0..<6).map { UInt32($0 < mac.count ? mac[$0] : 0) }
    self[EthernetRegister.receiveAddress] = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24
    self[EthernetRegister.receiveAddress + 4] = bytes[4] | bytes[5] << 8 | 1 << 31
    eeprom = SerialEEPROM()
    eepromRead = 0
    mdiControl = 0
    cause = 0
    mask = 0
    transmit = TransmitState()
    packet = []
    arrived = []
    arrivedFirst = 0
    timing.notBefore = 0
    timing.transmitDelayed = false
    updateInterrupt()
  }

  public func reset() {
    function.reset()
    ioAddress = 0
    phy = EthernetPHY(isLinkUp: isLinkUp)
    resetController()
  }

  public var state: State {
    get {
      State(
        function: function.registers, words: Array(UnsafeBufferPointer(start: words, count: EthernetRegister.end / 4)), eeprom: eeprom,
        phy: phy, eepromRead: eepromRead, mdiControl: mdiControl, cause: cause, mask: mask, ioAddress: ioAddress, timing: timing,
        transmit: transmit.saved(packet), arrived: Array(arrived[arrivedFirst...]), isLinkUp: isLinkUp)
    }
    set {
      function.restore(newValue.function)
      for (index, word) in newValue.words.prefix(EthernetRegister.end / 4).enumerated() { words[index] = word }
      isLinkUp = newValue.isLinkUp
      eeprom = newValue.eeprom
      phy = newValue.phy
      eepromRead = newValue.eepromRead
      mdiControl = newValue.mdiControl
      cause = newValue.cause
      mask = newValue.mask
      ioAddress = newValue.ioAddress
      timing = newValue.timing
      transmit = newValue.transmit
      packet = newValue.transmit.packet
      transmit.packet = []
      arrived = newValue.arrived.filter { $0.count >= 14 }
      arrivedFirst = 0
      function.interrupt.set(cause & mask != 0 && !timing.throttleScheduled)
    }
  }

  // MARK: - Windows

  public func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    let register = Int(truncatingIfNeeded: offset & 0x1FFFF)
    switch size {
    case 4 where register & 3 == 0: return UInt64(read(register))
    case 8 where register & 7 == 0: return UInt64(read(register)) | UInt64(read(register + 4)) << 32
    default:
      // Parts of a register, which the manual leaves undefined: of the aligned word, and no further.
      return UInt64(read(register & ~3)) >> UInt64((register & 3) * 8)
    }
  }

  public func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {
    let register = Int(truncatingIfNeeded: offset & 0x1FFFF)
    // Registers are written whole.
    guard register & 3 == 0, size >= 4 else { return }
    write(register, UInt32(truncatingIfNeeded: value))
    if size == 8 { write((register + 4) & 0x1FFFF, UInt32(truncatingIfNeeded: value >> 32)) }
  }

  /// IOADDR and IODATA.
  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    guard size == 4 else { return .max }
    switch port & 63 {
    case 0: return ioAddress
    case 4: return read(Int(ioAddress & 0x1FFFC))
    default: return 0
    }
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    guard size == 4 else { return }
    switch port & 63 {
    case 0: ioAddress = value
    case 4: write(Int(ioAddress & 0x1FFFC), value)
    default: break
    }
  }

  // MARK: - Events

  public func event(_ payload: UInt64, at cycle: Cycles) {
    switch Event(rawValue: payload) {
    case .throttle:
      timing.throttleScheduled = false
      updateInterrupt()
    case .transmit:
      timing.transmitScheduled = false
      reportDelayed()
      updateInterrupt()
    case .link:
      timing.linkScheduled = false
      if isLinkUp { setLink(true) }
    case nil: break
    }
  }

  private func schedule(_ event: Event, after cycles: Cycles) {
    board.schedule(at: board.now &+ cycles, target: eventTarget, payload: event.rawValue)
  }

  // MARK: - Link

  /// Both ends agree on a speed, which takes its time; until then there is no link.
  func negotiate() {
    phy.isLinkUp = false
    guard isLinkUp, !timing.linkScheduled else { return }
    timing.linkScheduled = true
    schedule(.link, after: board.cycles(ofTicks: Self.negotiationNanoseconds, at: 1_000_000_000))
  }

  private func setLink(_ isUp: Bool) {
    guard phy.isLinkUp != isUp else { return }
    phy.isLinkUp = isUp
    raise(EthernetCause.linkChange)
  }

  // MARK: - Interrupts

  func raise(_ causes: UInt32) {
    cause |= causes
    reportDelayed()
    if !isGathering { updateInterrupt() }
  }

  /// Any interrupt reports what waited for the delay.
  private func reportDelayed() {
    guard timing.transmitDelayed else { return }
    timing.transmitDelayed = false
    cause |= EthernetCause.descriptorWritten
  }

  /// TXDW after the delay of TIDV.
  func raiseDelayed() {
    timing.transmitDelayed = true
    guard !timing.transmitScheduled else { return }
    timing.transmitScheduled = true
    schedule(.transmit, after: Cycles(self[EthernetRegister.transmitDelay] & 0xFFFF) &* cyclesPer1024)
  }

  /// Drives the pin; from one interrupt to the next the throttle's interval passes at least.
  func updateInterrupt() {
    let line = function.interrupt
    guard cause & mask != 0 else { return line.set(false) }
    guard !line.isRaised else { return }
    let interval = Cycles(self[EthernetRegister.interruptThrottle] & 0xFFFF)
    guard interval > 0 else { return line.set(true) }
    let now = board.now
    if now >= timing.notBefore {
      timing.notBefore = now &+ interval &* cyclesPer256
      line.set(true)
    } else if !timing.throttleScheduled {
      timing.throttleScheduled = true
      schedule(.throttle, after: timing.notBefore &- now)
    }
  }
}
