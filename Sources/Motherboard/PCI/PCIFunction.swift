/// One function of a PCI device: its configuration space, and the windows its base address registers open on the board
/// (PCI Local Bus Specification 2.1, chapter 6).
///
/// A device owns its function, fills in identity and base address registers when it is made, and is called at `configWritten`
/// for registers of its own.
public final class PCIFunction {
  /// A base address register's window.
  public enum Window {
    /// I/O ports; `size` a power of two from 4.
    case ports(size: Int, width: Int, handler: any PortHandler)
    /// Memory; `size` a power of two from 16.
    case memory(size: UInt64, isPrefetchable: Bool, handler: any MemoryHandler)
    /// The expansion ROM, its bytes; the size is theirs rounded up to a power of two.
    case rom(bytes: [UInt8])
  }

  /// What is saved: the bytes of configuration space.
  public struct Registers: Codable, Equatable {
    public var bytes: [UInt8]
  }

  public private(set) var registers: Registers
  /// The bits of each byte that software may change.
  private var writable = [UInt8](repeating: 0, count: 256)
  private let atReset: [UInt8]
  private unowned let board: Board
  /// By register: 0 to 5, and 6 for the expansion ROM.
  private var windows: [Window?] = Array(repeating: nil, count: 7)
  /// What is claimed on the board now.
  private var open: [Claim?] = Array(repeating: nil, count: 7)
  private enum Claim: Equatable {
    case ports(ClosedRange<UInt16>)
    case memory(Range<UInt64>)
  }
  private var romHandler: ROMWindow?
  /// The function's interrupt pin (INTA# for most). The bus connects it to its router; before that it leads nowhere.
  public var interrupt = InterruptLine { _ in }
  /// Called after software wrote `size` bytes at `offset`, with the bytes already in place.
  public var configWritten: (_ offset: Int, _ size: Int) -> Void = { _, _ in }
  /// Called when the command register may have changed; the bus looks at its interrupt-disable bit.
  var commandChanged: () -> Void = {}

  /// - Parameters:
  ///   - identity: vendor and device, as in the first two words.
  ///   - classCode: base class, subclass, interface: 0xBBSSII.
  ///   - bytes: others that are not 0 at reset, by offset (PC-style subsystem 1af4:1100 is there already).
  public init(board: Board, identity: (vendor: UInt16, device: UInt16), classCode: UInt32, revision: UInt8, bytes: [Int: UInt8] = [:]) {
    self.board = board
    var config = [UInt8](repeating: 0, count: 256)
    func put(_ offset: Int, _ value: UInt32, _ count: Int) {
      for index in 0..<count { config[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(index * 8)) }
    }
    put(0, UInt32(identity.vendor) | UInt32(identity.device) << 16, 4)
    put(8, UInt32(revision) | classCode << 8, 4)
    put(0x2C, 0x1100_1AF4, 4)
    for (offset, value) in bytes where offset >= 0 && offset < 256 { config[offset] = value }
    atReset = config
    registers = Registers(bytes: config)
    // Command: I/O, memory, bus master, SERR, INTx disable; cache line, latency and interrupt line are storage.
    allowWrites(4, 0x07)
    allowWrites(5, 0x05)
    allowWrites(0x0C, 0xFF)
    allowWrites(0x3C, 0xFF)
  }

  /// Lets software change bits of a byte.
  public func allowWrites(_ offset: Int, _ mask: UInt8) {
    if writable.indices.contains(offset) { writable[offset] = mask }
  }

  /// Gives base address register `index` (6: expansion ROM) a window.
  public func setWindow(_ index: Int, _ window: Window) {
    guard windows.indices.contains(index) else { return }
    windows[index] = window
    let (flags, mask): (UInt8, UInt32)
    switch window {
    case .ports(let size, _, _): (flags, mask) = (1, ~UInt32(truncatingIfNeeded: size - 1))
    case .memory(let size, let isPrefetchable, _): (flags, mask) = (isPrefetchable ? 8 : 0, ~UInt32(truncatingIfNeeded: size - 1))
    case .rom(let bytes):
      romHandler = ROMWindow(bytes)
      (flags, mask) = (0, ~UInt32(truncatingIfNeeded: Self.powerOfTwo(bytes.count) - 1) | 1)
    }
    let offset = Self.offset(of: index)
    registers.bytes[offset] |= flags
    for byte in 0..<4 { writable[offset + byte] = UInt8(truncatingIfNeeded: mask >> UInt32(byte * 8)) }
    if index < 6 { writable[offset] &= flags & 1 != 0 ? 0xFC : 0xF0 }
  }

  private static func offset(of window: Int) -> Int { window == 6 ? 0x30 : 0x10 + window * 4 }
  private static func powerOfTwo(_ count: Int) -> Int {
    var size = 2048
    while size < count { size *= 2 }
    return size
  }

  // MARK: - Access

  public var isBusMaster: Bool { registers.bytes[4] & 4 != 0 }
  /// Whether the interrupt pin is held down by the command register's bit 10 (PCI 2.3).
  public var isInterruptDisabled: Bool { registers.bytes[5] & 4 != 0 }

  /// A field of 1, 2 or 4 bytes.
  public func read(_ offset: Int, size: Int) -> UInt32 {
    var value: UInt32 = 0
    for index in 0..<size where offset + index < 256 { value |= UInt32(registers.bytes[offset + index]) << UInt32(index * 8) }
    return value
  }

  /// What a device changes itself: no mask applies and nobody is told.
  public func set(_ offset: Int, size: Int, _ value: UInt32) {
    for index in 0..<size where offset + index < 256 {
      registers.bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(index * 8))
    }
  }

  /// A configuration write of software's.
  public func write(_ offset: Int, size: Int, _ value: UInt32) {
    for index in 0..<size where offset + index < 256 {
      let mask = writable[offset + index]
      let byte = UInt8(truncatingIfNeeded: value >> UInt32(index * 8))
      registers.bytes[offset + index] = registers.bytes[offset + index] & ~mask | byte & mask
    }
    if offset < 0x34 { openWindows() }
    if offset <= 5, offset + size > 4 { commandChanged() }
    configWritten(offset, size)
  }

  public func reset() {
    // The flag bits that windows added are constant.
    var bytes = atReset
    for index in windows.indices where windows[index] != nil {
      let offset = Self.offset(of: index)
      bytes[offset] |= registers.bytes[offset] & ~writable[offset]
    }
    registers.bytes = bytes
    openWindows()
    commandChanged()
    interrupt.set(false)
  }

  /// Puts a saved configuration space back.
  public func restore(_ saved: Registers) {
    guard saved.bytes.count == 256 else { return }
    registers = saved
    openWindows()
    commandChanged()
  }

  // MARK: - Windows

  /// Where a register's window is now; nil while it is closed.
  private func place(_ index: Int) -> Claim? {
    guard let window = windows[index] else { return nil }
    let value = read(Self.offset(of: index), size: 4)
    let command = registers.bytes[4]
    switch window {
    case .ports(let size, _, _):
      let base = value & ~3
      guard command & 1 != 0, base != 0, UInt64(base) + UInt64(size) <= 0x10000 else { return nil }
      return .ports(UInt16(base)...UInt16(Int(base) + size - 1))
    case .memory(let size, _, _):
      let base = UInt64(value & ~15)
      guard command & 2 != 0, base != 0, base + size <= 1 << 32 else { return nil }
      return .memory(base..<base + size)
    case .rom(let bytes):
      let base = UInt64(value & ~0x7FF)
      let size = UInt64(Self.powerOfTwo(bytes.count))
      guard command & 2 != 0, value & 1 != 0, base != 0, base + size <= 1 << 32 else { return nil }
      return .memory(base..<base + size)
    }
  }

  private func openWindows() {
    for index in windows.indices {
      let wanted = place(index)
      guard wanted != open[index], let window = windows[index] else { continue }
      switch (window, open[index]) {
      case (.ports(_, _, let handler), .ports(let range)): board.releasePorts(range, by: handler)
      case (.memory(_, _, let handler), .memory(let range)): board.releaseMemory(range, by: handler)
      case (.rom, .memory(let range)): if let romHandler { board.releaseMemory(range, by: romHandler) }
      default: break
      }
      switch (window, wanted) {
      case (.ports(_, let width, let handler), .ports(let range)): board.claimPorts(range, width: width, by: handler)
      case (.memory(_, _, let handler), .memory(let range)): board.claimMemory(range, by: handler)
      case (.rom, .memory(let range)): if let romHandler { board.claimMemory(range, by: romHandler) }
      default: break
      }
      open[index] = wanted
    }
  }
}

/// An expansion ROM's bytes; beyond them all ones.
private final class ROMWindow: MemoryHandler {
  private let bytes: [UInt8]
  init(_ bytes: [UInt8]) { self.bytes = bytes }
  func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<size {
      let at = Int(offset) + index
      value |= UInt64(at < bytes.count ? bytes[at] : 0xFF) << UInt64(index * 8)
    }
    return value
  }
  func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {}
}
