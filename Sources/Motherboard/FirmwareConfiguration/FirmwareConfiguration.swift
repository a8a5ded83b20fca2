import GuestMemory

/// The firmware configuration interface by which firmware and boot ROMs ask the machine what it is made of: a selector at port 0x510,
/// a byte at a time from 0x511, and DMA by the address written to 0x514 (QEMU's docs/specs/fw_cfg.rst).
public final class FirmwareConfiguration: BoardDevice, PortHandler {
  public let name = "fw-cfg"

  public struct State: Codable, Equatable {
    /// The item chosen, and how far it has been read.
    public var selector: UInt16 = 0
    public var offset: UInt32 = 0
    /// The high half of the next DMA request's address.
    public var addressHigh: UInt32 = 0
  }
  public var state = State()

  public struct Metrics: Equatable {
    public var transfers: UInt64 = 0
    public var bytes: UInt64 = 0
  }
  public private(set) var metrics = Metrics()

  private unowned let board: Board
  private let items: [UInt16: [UInt8]]

  private enum Port {
    static let selector: UInt16 = 0x510
    static let data: UInt16 = 0x511
    static let addressHigh: UInt16 = 0x514
    static let addressLow: UInt16 = 0x518
  }
  /// Bits of a DMA request's control word.
  private enum Control {
    static let error: UInt32 = 1
    static let read: UInt32 = 2
    static let skip: UInt32 = 4
    static let select: UInt32 = 8
    static let write: UInt32 = 16
  }

  public init(board: Board, items: FirmwareItems) {
    self.board = board
    self.items = items.resolved
    board.claimPorts(Port.selector...Port.data, width: 2, by: self)
    board.claimPorts(Port.addressHigh...Port.addressLow + 3, width: 4, by: self)
  }

  public func reset() { state = State() }

  // MARK: - Ports

  public func readPort(_ port: UInt16, size: Int) -> UInt32 {
    switch port {
    case Port.data where size == 1: return UInt32(nextByte())
    case Port.addressHigh...Port.addressLow + 3:
      // "QEMU CFG" in the order of the ports.
      let signature: UInt64 = 0x4746_4320_554D_4551
      return UInt32(truncatingIfNeeded: signature >> UInt64(Int(port - Port.addressHigh) * 8))
    default: return .max
    }
  }

  public func writePort(_ port: UInt16, size: Int, value: UInt32) {
    switch (port, size) {
    case (Port.selector, 2): select(UInt16(truncatingIfNeeded: value))
    case (Port.addressHigh, 4): state.addressHigh = value.byteSwapped
    case (Port.addressLow, 4):
      let address = UInt64(state.addressHigh) << 32 | UInt64(value.byteSwapped)
      state.addressHigh = 0
      transfer(address)
    default: break
    }
  }

  public func readPort(_ port: UInt16, size: Int, into elements: UnsafeMutableRawBufferPointer) -> Int {
    guard port == Port.data, size == 1 else { return 0 }
    read(into: elements)
    return elements.count
  }

  private func select(_ key: UInt16) {
    state.selector = key
    state.offset = 0
  }

  private func nextByte() -> UInt8 {
    // A dictionary of arrays: the array is not copied.
    guard let item = items[state.selector], Int(state.offset) < item.count else { return 0 }
    let byte = item[Int(state.offset)]
    state.offset &+= 1
    return byte
  }

  /// What is left of the item, then zeros.
  private func read(into buffer: UnsafeMutableRawBufferPointer) {
    let item = items[state.selector] ?? []
    let start = min(Int(state.offset), item.count)
    let count = min(buffer.count, item.count - start)
    item.withUnsafeBytes { bytes in
      if count > 0 { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])) }
    }
    if count < buffer.count { UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0) }
    state.offset = UInt32(clamping: start + count)
    metrics.bytes &+= UInt64(count)
  }

  // MARK: - DMA

  /// Does the request in memory at `address`: control, length (4 bytes each) and address (8), big-endian. Its control word becomes 0
  /// when it is done, 1 if it failed.
  private func transfer(_ address: UInt64) {
    metrics.transfers &+= 1
    let memory = board.memory
    guard let control = memory.load(address, as: UInt32.self)?.bigEndian,
      let length = memory.load(address &+ 4, as: UInt32.self)?.bigEndian,
      let place = memory.load(address &+ 8, as: UInt64.self)?.bigEndian
    else { return }
    if control & Control.select != 0 { select(UInt16(truncatingIfNeeded: control >> 16)) }
    var failed = false
    if control & Control.read != 0 {
      if let buffer = memory.writable(place, Int(length)) { read(into: buffer) } else { failed = true }
    } else if control & Control.write != 0 {
      // No item can be written.
      failed = true
    } else if control & Control.skip != 0 {
      let count = items[state.selector]?.count ?? 0
      state.offset = UInt32(clamping: min(Int(state.offset) + Int(length), count))
    }
    memory.store((failed ? Control.error : 0).bigEndian, at: address)
  }
}
