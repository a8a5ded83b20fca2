/// What travels to a local APIC: from the I/O APIC, from a device's store to 0xfee….., or from another local APIC.
public struct InterruptMessage: Equatable, Sendable {
  /// Delivery modes, as in redirection entries, messages and the interrupt command register.
  public enum Mode: UInt8, Sendable {
    case fixed, lowestPriority, systemManagement, reserved, nonMaskable, initialize, startUp, external
  }
  public var vector: UInt8
  public var mode: Mode
  /// An APIC's number, or a set of logical ones.
  public var destination: UInt32
  public var isLogical: Bool
  public var isLevel: Bool

  public init(vector: UInt8, mode: Mode, destination: UInt32, isLogical: Bool, isLevel: Bool) {
    (self.vector, self.mode, self.destination) = (vector, mode, destination)
    (self.isLogical, self.isLevel) = (isLogical, isLevel)
  }

  /// A message-signalled interrupt (Intel SDM volume 3, section 11.11).
  public init(address: UInt64, data: UInt32) {
    self.init(
      vector: UInt8(truncatingIfNeeded: data), mode: Mode(rawValue: UInt8(truncatingIfNeeded: data >> 8 & 7)) ?? .fixed,
      destination: UInt32(truncatingIfNeeded: address >> 12 & 0xFF), isLogical: address & 4 != 0, isLevel: data & 0x8000 != 0)
  }

  /// A redirection entry's message.
  init(entry: UInt64) {
    self.init(
      vector: UInt8(truncatingIfNeeded: entry), mode: Mode(rawValue: UInt8(truncatingIfNeeded: entry >> 8 & 7)) ?? .fixed,
      destination: UInt32(truncatingIfNeeded: entry >> 56), isLogical: entry & 0x800 != 0, isLevel: entry & 0x8000 != 0)
  }
}
