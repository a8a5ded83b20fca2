/// PCI bus 0: configuration mechanism 1 (ports 0xcf8 and 0xcfc; PCI Local Bus Specification 2.1, section 3.7.4.1) and the wires from
/// the functions' interrupt pins to the four links.
public final class PCIBus: BoardDevice, PortHandler {
  public let name = "pci"

  public struct State: Codable, Equatable {
    /// CONFADD: enable in bit 31, bus, device, function, register.
    public var address: UInt32 = 0
  }
  public var state = State()

  public struct Metrics: Equatable {
    public var configReads: UInt64 = 0
    public var configWrites: UInt64 = 0
  }
  public private(set) var metrics = Metrics()

  /// By device and function number.
  private var functions: [PCIFunction?] = Array(repeating: nil, count: 256)
  /// Whether a function pulls its link now.
  private var driven = [Bool](repeating: false, count: 256)
  private let links: [InterruptLine]
  private var raised = [0, 0, 0, 0]

  /// - Parameter links: PIRQA# to PIRQD#, as from `ISABridge.links`.
  public init(board: Board, links: [InterruptLine]) {
    self.links = links
    board.claimPorts(0xCF8...0xCF8, width: 4, by: self)
    board.claimPorts(0xCFC...0xCFF, width: 4, by: self)
  }

  /// Puts a function into a slot and connects its interrupt pin.
  ///
  /// - Parameters:
  ///   - slot: 0 to 31.
  ///   - number: 0 to 7; others than 0 are looked for only if function 0's header type has bit 7.
  public func attach(_ function: PCIFunction, slot: Int, number: Int = 0) {
    guard (0..<32).contains(slot), (0..<8).contains(number) else { return }
    let index = slot << 3 | number
    functions[index] = function
    function.interrupt = InterruptLine { [unowned self] _ in updatePin(index) }
    function.commandChanged = { [unowned self] in updatePin(index) }
  }

  /// What is in a slot.
  public func function(slot: Int, number: Int = 0) -> PCIFunction? {
    (0..<32).contains(slot) && (0..<8).contains(number) ? functions[slot << 3 | number] : nil
  }

  public func reset() { state = State() }

  // MARK: - Configuration

  /// The function and the first byte that an access to 0xcfc...0xcff reaches.
  private func target(_ port: UInt16) -> (function: PCIFunction, offset: Int)? {
    // Enabled, and bus 0.
    guard state.address & 0x80FF_0000 == 0x8000_0000, let function = functions[Int(state.address >> 8 & 0xFF)] else { return nil }
    return (function, Int(state.address & 0xFC) | Int(port & 3))
  }

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    if port < 0xCFC { return size == 4 ? state.address : .max }
    metrics.configReads &+= 1
    guard let (function, offset) = target(port) else { return .max }
    let count = min(size, 4 - Int(port & 3))
    let value = function.read(offset, size: count)
    return count == 4 ? value : value | .max << UInt32(count * 8)
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    if port < 0xCFC {
      if size == 4 { state.address = value & 0x80FF_FFFC }
      return
    }
    metrics.configWrites &+= 1
    guard let (function, offset) = target(port) else { return }
    function.write(offset, size: min(size, 4 - Int(port & 3)), value)
  }

  // MARK: - Interrupts

  /// A slot's pin A goes to PIRQD#, A, B, C for slots 0 to 3 and so on around; each further pin to the next one.
  public static func link(slot: Int, pin: Int) -> Int { (slot + pin + 3) & 3 }

  private func updatePin(_ index: Int) {
    guard let function = functions[index] else { return }
    let pin = Int(function.registers.bytes[0x3D])
    let level = function.interrupt.isRaised && !function.isInterruptDisabled && (1...4).contains(pin)
    guard level != driven[index] else { return }
    driven[index] = level
    let link = Self.link(slot: index >> 3, pin: pin &- 1)
    raised[link] += level ? 1 : -1
    if links.indices.contains(link) { links[link].set(raised[link] > 0) }
  }
}
