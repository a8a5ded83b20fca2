/// The I/O APIC at FEC00000 (Intel 82093AA data sheet, order number 290566): 24 inputs, each with a redirection entry. Register 40 is
/// that of later chips, for the end of an interrupt by vector. Inputs are what the board says, whatever their polarity bit.
public final class IOAPIC: BoardDevice, MemoryHandler {
  public static let pinCount = 24

  public struct State: Codable, Equatable {
    var select: UInt32 = 0
    var identifier: UInt32 = 0
    /// Redirection entries: all masked.
    var entries = [UInt64](repeating: 0x10000, count: IOAPIC.pinCount)
    /// Inputs, bit n for pin n.
    var inputs: UInt32 = 0
  }

  public let name = "ioapic"
  private var registers = State()
  private let localAPIC: LocalAPIC

  private static let remoteRequest: UInt64 = 0x4000, level: UInt64 = 0x8000, masked: UInt64 = 0x10000
  /// Delivery status and remote IRR are the chip's.
  private static let writable: UInt64 = 0xFF00_0000_0001_AFFF

  init(board: Board, localAPIC: LocalAPIC) {
    self.localAPIC = localAPIC
    board.claimMemory(0xFEC0_0000..<0xFEC0_1000, by: self)
  }

  public var state: State {
    get { registers }
    set { if newValue.entries.count == Self.pinCount { registers = newValue } }
  }

  public func reset() {
    let inputs = registers.inputs
    registers = State()
    registers.inputs = inputs
  }

  // MARK: - Inputs

  func setPin(_ pin: Int, _ isHigh: Bool) {
    guard registers.entries.indices.contains(pin) else { return }
    let bit: UInt32 = 1 << UInt32(pin)
    guard (registers.inputs & bit != 0) != isHigh else { return }
    registers.inputs ^= bit
    guard isHigh else { return }
    let entry = registers.entries[pin]
    if entry & Self.level != 0 {
      serveLevel(pin)
    } else if entry & Self.masked == 0 {
      // An edge while the entry is masked is lost.
      _ = localAPIC.receive(InterruptMessage(entry: entry))
    }
  }

  /// Sends a level's message, once until its end.
  private func serveLevel(_ pin: Int) {
    let entry = registers.entries[pin]
    guard registers.inputs & 1 << UInt32(pin) != 0, entry & (Self.masked | Self.remoteRequest | Self.level) == Self.level else { return }
    let message = InterruptMessage(entry: entry)
    guard localAPIC.receive(message) else { return }
    // Other modes are edges whatever the entry says.
    if message.mode == .fixed || message.mode == .lowestPriority { registers.entries[pin] |= Self.remoteRequest }
  }

  /// The local APIC takes messages that it did not take before.
  func serveWaitingLevels() {
    guard registers.inputs != 0 else { return }
    for pin in 0..<Self.pinCount { serveLevel(pin) }
  }

  /// The end of an interrupt with this vector; an input that is still high interrupts again.
  func end(_ vector: UInt8) {
    for pin in 0..<Self.pinCount {
      let entry = registers.entries[pin]
      guard entry & (Self.level | Self.remoteRequest) == Self.level | Self.remoteRequest, UInt8(truncatingIfNeeded: entry) == vector else {
        continue
      }
      registers.entries[pin] = entry & ~Self.remoteRequest
      serveLevel(pin)
    }
  }

  // MARK: - Registers

  public func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    switch offset {
    case 0x00: return UInt64(registers.select)
    case 0x10: return UInt64(read(registers.select))
    default: return 0
    }
  }

  public func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {
    let word = UInt32(truncatingIfNeeded: value)
    switch offset {
    case 0x00: registers.select = word & 0xFF
    case 0x10 where size >= 4: write(registers.select, word)
    case 0x40: end(UInt8(truncatingIfNeeded: word))
    default: break
    }
  }

  private func read(_ index: UInt32) -> UInt32 {
    switch index {
    case 0, 2: return registers.identifier
    // Version 20, 24 entries.
    case 1: return 0x0017_0020
    case 0x10..<0x40:
      let entry = registers.entries[Int(index - 0x10) / 2]
      return UInt32(truncatingIfNeeded: index & 1 == 0 ? entry : entry >> 32)
    default: return 0
    }
  }

  private func write(_ index: UInt32, _ word: UInt32) {
    switch index {
    case 0: registers.identifier = word & 0x0F00_0000
    case 0x10..<0x40:
      let pin = Int(index - 0x10) / 2
      let old = registers.entries[pin]
      let written = index & 1 == 0 ? old & 0xFFFF_FFFF_0000_0000 | UInt64(word) : old & 0xFFFF_FFFF | UInt64(word) << 32
      var entry = written & Self.writable | old & Self.remoteRequest
      // An edge has none, which is how software takes back a level's.
      if entry & Self.level == 0 { entry &= ~Self.remoteRequest }
      registers.entries[pin] = entry
      serveLevel(pin)
    default: break
    }
  }
}
