import CHost
import Processor

/// MOV to and from control registers, in guest kernel mode.
enum ControlRegisters {
  /// Bits of CR4 that a guest may set: TSD, DE, FSGSBASE, OSXSAVE. Others are ignored.
  private static let guestCR4: UInt64 = 1 << 2 | 1 << 3 | 1 << 16 | 1 << 18
  /// What it reads besides: PAE, MCE, OSFXSR, OSXMMEXCPT.
  private static let fixedCR4: UInt64 = 0x660

  static func read(_ v: PVCPU, _ number: UInt8) -> UInt64? {
    switch number {
    case 0: return v.cpu.pointee.cr0
    case 2: return v.cr2
    case 3: return (v.kernelMode ? v.kernelTable : v.userTable) &<< 12
    case 4: return v.cr4 | fixedCR4
    default: return nil
    }
  }

  /// False: #GP.
  static func write(_ domain: Domain, _ v: PVCPU, _ number: UInt8, _ value: UInt64) -> Bool {
    switch number {
    case 0:
      // Only TS is the guest's.
      guard (value ^ v.cpu.pointee.cr0) & ~8 == 0 else { return false }
      v.setTaskSwitched(value & 8 != 0)
    case 2: v.cr2 = value
    case 3: return domain.pageTables.writeCR3(v, value)
    case 4:
      var bits = value & guestCR4
      if !domain.policy.has(.fsgsbase) { bits &= ~(1 << 16) }
      if !domain.policy.has(.xsave) { bits &= ~(1 << 18) }
      v.setCR4(bits)
    default: return false
    }
    return true
  }
}
