import CHost
import Processor

// The virtual debug registers, by hypercall (8, 9) and by emulated MOV. The processor's own are the guest's.

enum DebugRegisters {
  private static let dr6Fixed: UInt64 = 0xFFFF_0FF0
  private static let dr6Writable: UInt64 = 0xE00F
  private static let dr7Fixed: UInt64 = 0x400
  private static let dr7Reserved: UInt64 = 0xD800
  private static let cr4DE: UInt64 = 8

  /// Sets a register; 4 and 5 are 6 and 7 while CR4.DE is clear.
  static func set(_ v: PVCPU, _ number: UInt64, _ value: UInt64) -> Int64 {
    let cpu = v.cpu
    switch number {
    case 0...3:
      guard isCanonical(value), !XenHole.contains(value) else { return XenError.perm.result }
      switch number {
      case 0: cpu.pointee.dr.0 = value
      case 1: cpu.pointee.dr.1 = value
      case 2: cpu.pointee.dr.2 = value
      default: cpu.pointee.dr.3 = value
      }
      return 0
    case 4, 6:
      if number == 4 && v.cr4 & cr4DE != 0 { return XenError.noDevice.result }
      guard value >> 32 == 0 else { return XenError.invalid.result }
      cpu.pointee.dr.6 = value & dr6Writable | dr6Fixed
      return 0
    case 5, 7:
      if number == 5 && v.cr4 & cr4DE != 0 { return XenError.noDevice.result }
      return setControl(v, value)
    default: return XenError.noDevice.result
    }
  }

  private static func setControl(_ v: PVCPU, _ value: UInt64) -> Int64 {
    guard value >> 32 == 0 else { return XenError.invalid.result }
    let kept = value & ~dr7Reserved | dr7Fixed
    // DR7.GD would hide the registers from their owner.
    guard kept & (1 << 13) == 0 else { return XenError.perm.result }
    if v.cr4 & cr4DE == 0 {
      // Breakpoints on I/O do not exist without debugging extensions.
      for index in 0..<UInt64(4) where kept >> (16 + 4 * index) & 3 == 2 && kept >> (2 * index) & 3 != 0 { return XenError.perm.result }
    }
    v.cpu.pointee.dr.7 = kept
    v.cpu.pointee.debug_armed = kept & 0xFF != 0 ? 1 : 0
    return 0
  }

  /// Reads a register; nil where there is none.
  static func get(_ v: PVCPU, _ number: UInt64) -> UInt64? {
    let cpu = v.cpu
    switch number {
    case 0: return cpu.pointee.dr.0
    case 1: return cpu.pointee.dr.1
    case 2: return cpu.pointee.dr.2
    case 3: return cpu.pointee.dr.3
    case 4 where v.cr4 & cr4DE == 0: return cpu.pointee.dr.6
    case 6: return cpu.pointee.dr.6
    case 5 where v.cr4 & cr4DE == 0: return cpu.pointee.dr.7
    case 7: return cpu.pointee.dr.7
    default: return nil
    }
  }
}
