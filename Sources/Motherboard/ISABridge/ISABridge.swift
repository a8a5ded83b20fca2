/// The ISA bridge of the 82371SB (PIIX3; Intel 290550), function 0: leads PCI's four interrupt links to ISA interrupt requests, and
/// holds the reset control register (port 0xcf9).
public final class ISABridge: BoardDevice, PortHandler {
  public let name = "isa-bridge"
  public let function: PCIFunction
  /// PIRQA# to PIRQD#, for `PCIBus`.
  public private(set) var links: [InterruptLine] = []

  public struct State: Codable, Equatable {
    public var configuration: PCIFunction.Registers
    /// RCR: bit 1, what kind of reset the next is to be.
    public var resetControl: UInt8
  }
  public var state: State {
    get { State(configuration: function.registers, resetControl: resetControl) }
    set {
      function.restore(newValue.configuration)
      resetControl = newValue.resetControl & 2
      route()
    }
  }

  private unowned let board: Board
  private let interrupts: [InterruptLine]
  private var resetControl: UInt8 = 0
  /// The requests driven now, a bit each.
  private var driven: UInt16 = 0

  /// Configuration registers that are not 0 at reset, PIRQRC[A:D] (0x60: routing off) among them.
  private static let bytesAtReset: [Int: UInt8] = [
    0x07: 0x02, 0x0E: 0x80, 0x4C: 0x4D, 0x4E: 0x03, 0x60: 0x80, 0x61: 0x80, 0x62: 0x80, 0x63: 0x80, 0x69: 0x02, 0x70: 0x80, 0x76: 0x0C,
    0x77: 0x0C, 0x78: 0x02, 0xA0: 0x08, 0xA8: 0x0F,
  ]
  private static let routes = 0x60
  /// The requests a link may be led to: 3 to 7, 9 to 12, 14, 15.
  private static let routable: UInt16 = 0xDEF8

  /// - Parameter interrupts: ISA requests 0 to 15. Level-triggered; where others drive the same request, lines of a `WiredInterrupt`.
  public init(board: Board, interrupts: [InterruptLine]) {
    self.board = board
    self.interrupts = interrupts
    function = PCIFunction(board: board, identity: (0x8086, 0x7000), classCode: 0x060100, revision: 0, bytes: Self.bytesAtReset)
    for offset in 0x40...0xFF { function.allowWrites(offset, 0xFF) }
    for offset in Self.routes..<Self.routes + 4 { function.allowWrites(offset, 0x8F) }
    links = (0..<4).map { _ in InterruptLine { [unowned self] _ in route() } }
    function.configWritten = { [unowned self] offset, size in
      if offset < Self.routes + 4, offset + size > Self.routes { route() }
    }
    board.claimPorts(0xCF9...0xCF9, width: 1, by: self)
  }

  public func reset() {
    function.reset()
    resetControl = 0
    route()
  }

  private func route() {
    var wanted: UInt16 = 0
    for link in links.indices where links[link].isRaised {
      let register = function.registers.bytes[Self.routes + link]
      if register & 0x80 == 0 { wanted |= 1 << UInt16(register & 0xF) }
    }
    wanted &= Self.routable
    var changed = wanted ^ driven
    driven = wanted
    while changed != 0 {
      let request = changed.trailingZeroBitCount
      changed &= changed - 1
      if interrupts.indices.contains(request) { interrupts[request].set(wanted >> UInt16(request) & 1 != 0) }
    }
  }

  // MARK: - Reset control

  public func readPort(_ port: UInt16, size: Int) -> UInt32 { UInt32(resetControl) }

  /// Bit 2 going from 0 to 1 resets: it reads as 0 ever after, so any write of it does. A reset of the processor alone (bit 1 clear)
  /// is one of the whole system here.
  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    resetControl = UInt8(truncatingIfNeeded: value) & 2
    if value & 4 != 0 { board.outside.reset() }
  }
}
