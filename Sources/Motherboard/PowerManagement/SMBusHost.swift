/// The SMBus host controller's registers (82371AB, section 11.2). There is nobody on the bus: every transfer ends with a device
/// error at once.
public struct SMBusHost: Codable, Equatable, Sendable {
  /// SMBHSTSTS: busy 0, interrupt 1, device error 2, bus error 3, failed 4.
  public var hostStatus: UInt8 = 0
  /// SMBHSTCNT, CMD, ADD, DAT0, DAT1, SMBSLVCNT, SMBSHDWCMD, event and data words, at their offsets.
  public var storage = [UInt8](repeating: 0, count: 16)

  private enum Register {
    static let hostStatus = 0
    static let slaveStatus = 1
    static let hostControl = 2
    static let blockData = 7
  }
  private static let deviceError: UInt8 = 1 << 2
  private static let failed: UInt8 = 1 << 4
  private static let clearable: UInt8 = 0x1E

  /// Whether the host controller asks for its interrupt.
  public var isInterrupting: Bool { hostStatus & Self.clearable != 0 && byte(Register.hostControl) & 1 != 0 }

  private func byte(_ offset: Int) -> UInt8 { storage.indices.contains(offset) ? storage[offset] : 0xFF }

  public func read(_ offset: Int) -> UInt8 {
    switch offset {
    case Register.hostStatus: hostStatus
    case Register.slaveStatus, Register.blockData: 0
    default: byte(offset)
    }
  }

  public mutating func write(_ offset: Int, _ value: UInt8) {
    switch offset {
    case Register.hostStatus: hostStatus &= ~(value & Self.clearable)
    case Register.slaveStatus, Register.blockData: break
    case Register.hostControl:
      // Start reads as 0. Kill ends a transfer, of which there never is one under way.
      storage[offset] = value & 0x1F
      if value & 2 != 0 {
        hostStatus |= Self.failed
      } else if value & 0x40 != 0 {
        hostStatus |= Self.deviceError
      }
    default: if storage.indices.contains(offset) { storage[offset] = value }
    }
  }
}
