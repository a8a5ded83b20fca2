/// The PC's two 8259A controllers, the second cascaded on the first one's input 2: ports 20, 21, A0, A1, and 4D0, 4D1 for edge or
/// level (Intel 8259A data sheet; 82371SB data sheet, order number 290550, sections 2.5.3 and 2.5.4).
public final class InterruptController8259: BoardDevice, PortHandler {
  public struct State: Codable, Equatable {
    var primary = PriorityController(cascade: 4)
    var secondary = PriorityController(cascade: 0)
  }

  public let name = "pic"
  private var registers = State()
  /// The wire to the processor (INTR).
  public private(set) var isRequesting = false
  /// The wire to the processor changed.
  public var outputChanged: (Bool) -> Void = { _ in }

  public init(board: Board) {
    board.claimPorts(0x20...0x21, width: 1, by: self)
    board.claimPorts(0xA0...0xA1, width: 1, by: self)
    board.claimPorts(0x4D0...0x4D1, width: 1, by: self)
  }

  public var state: State {
    get { registers }
    set {
      registers = newValue
      update()
    }
  }

  public func reset() {
    registers.primary.reset()
    registers.secondary.reset()
    update()
  }

  /// Drives an input.
  ///
  /// - Parameter number: 0 to 15; 2 is the second controller's own and nobody else's.
  public func setInput(_ number: Int, _ level: Bool) {
    guard (0..<16).contains(number), number != 2 else { return }
    if number < 8 { registers.primary.setInput(number, level) } else { registers.secondary.setInput(number, level) }
    update()
  }

  /// The processor takes the interrupt (both INTA cycles).
  ///
  /// - Returns: the vector; that of input 7 if the request is gone.
  public func acknowledge() -> UInt8 {
    defer { update() }
    guard let number = registers.primary.acknowledge() else { return registers.primary.base | 7 }
    guard number == 2 else { return registers.primary.base | number }
    return registers.secondary.base | (registers.secondary.acknowledge() ?? 7)
  }

  private func update() {
    registers.primary.setInput(2, registers.secondary.pending != nil)
    let level = registers.primary.pending != nil
    guard level != isRequesting else { return }
    isRequesting = level
    outputChanged(level)
  }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    let value: UInt8
    switch port {
    case 0x20, 0x21: value = registers.primary.read(isData: port & 1 != 0)
    case 0xA0, 0xA1: value = registers.secondary.read(isData: port & 1 != 0)
    case 0x4D0: return UInt32(registers.primary.levels)
    case 0x4D1: return UInt32(registers.secondary.levels)
    default: return 0xFF
    }
    update()
    return UInt32(value)
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    let byte = UInt8(truncatingIfNeeded: value)
    switch port {
    case 0x20, 0x21: registers.primary.write(isData: port & 1 != 0, byte)
    case 0xA0, 0xA1: registers.secondary.write(isData: port & 1 != 0, byte)
    // Timer, keyboard, cascade, clock and coprocessor are always edges.
    case 0x4D0: registers.primary.levels = byte & 0xF8
    case 0x4D1: registers.secondary.levels = byte & 0xDE
    default: return
    }
    update()
  }
}
