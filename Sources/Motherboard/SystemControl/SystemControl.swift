/// What a PC's bus has besides its chips: port 92 (A20 and reset; 82371SB data sheet, order number 290550, section 2.5.6.2), the DMA
/// controllers' registers with the page registers (80, where delays and POST codes are written, among them), and two ports of
/// virtual machines: the debug console at 402 and the exit port at 501.
///
/// The A20 gate is one switch for port 92 and the keyboard controller: the last to set it wins, and both read what it is.
public final class SystemControl: BoardDevice, PortHandler {
  public struct State: Codable, Equatable {
    var isAddressLine20Open = true
    /// Port 92 as written.
    var control: UInt8 = 0
    var dma = DMAController()
  }

  public let name = "system"
  private var registers = State()
  private unowned let board: Board
  private let console: OutputBatch?

  /// - Parameters:
  ///   - console: takes what firmware writes to the debug console, in batches; without it the port is not there, and firmware
  ///     writes nothing.
  ///   - hasExitPort: whether a byte written to port 501 ends the run with that status.
  public init(board: Board, hasExitPort: Bool = false, console: (([UInt8]) -> Void)? = nil) {
    self.board = board
    self.console = console.map { OutputBatch(board: board, output: $0) }
    board.claimPorts(0x00...0x0F, width: 1, by: self)
    board.claimPorts(0x80...0x8F, width: 1, by: self)
    board.claimPorts(0x92...0x92, width: 1, by: self)
    board.claimPorts(0xC0...0xDF, width: 1, by: self)
    if console != nil { board.claimPorts(0x402...0x402, width: 1, by: self) }
    if hasExitPort { board.claimPorts(0x501...0x501, width: 4, by: self) }
  }

  /// The registers; what the console has still to say is said first.
  public var state: State {
    get {
      console?.flush()
      return registers
    }
    set {
      registers = newValue
      board.outside.addressLine20(registers.isAddressLine20Open)
    }
  }

  public func reset() {
    registers = State()
    board.outside.addressLine20(true)
  }

  /// Hands the host what the console said; for the end of a run.
  public func flush() { console?.flush() }

  /// Whether addresses with bit 20 are what they say; otherwise the processor's bit 20 is 0.
  public var isAddressLine20Open: Bool { registers.isAddressLine20Open }

  public func setAddressLine20(_ isOpen: Bool) {
    guard isOpen != registers.isAddressLine20Open else { return }
    registers.isAddressLine20Open = isOpen
    board.outside.addressLine20(isOpen)
  }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    switch port {
    case 0x00...0x0F: return UInt32(registers.dma.read(0, Int(port)))
    case 0x80...0x8F: return UInt32(registers.dma.page(Int(port & 15)))
    case 0x92: return UInt32(registers.control & 0xFC | (registers.isAddressLine20Open ? 2 : 0))
    case 0xC0...0xDF: return UInt32(registers.dma.read(1, Int(port >> 1 & 15)))
    // What tells firmware that there is a console.
    case 0x402: return 0xE9
    default: return .max
    }
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    let byte = UInt8(truncatingIfNeeded: value)
    switch port {
    case 0x00...0x0F: registers.dma.write(0, Int(port), byte)
    case 0x80...0x8F: registers.dma.setPage(Int(port & 15), byte)
    case 0x92:
      let isResetWanted = byte & ~registers.control & 1 != 0
      registers.control = byte
      setAddressLine20(byte & 2 != 0)
      if isResetWanted { board.outside.reset() }
    case 0xC0...0xDF: registers.dma.write(1, Int(port >> 1 & 15), byte)
    case 0x402: console?.append(byte)
    case 0x501: board.outside.exit(byte)
    default: break
    }
  }

  public func writePort(_ port: UInt16, size: Int, from elements: UnsafeRawBufferPointer) -> Int {
    guard port == 0x402, size == 1, let console else { return 0 }
    for byte in elements { console.append(byte) }
    return elements.count
  }
}
