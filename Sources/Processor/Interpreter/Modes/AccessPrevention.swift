import CHost

// RFLAGS.AC. At level 0 it excuses a supervisor from SMAP (SDM volume 3, 4.6), but for the processor's own accesses to descriptor tables
// and task states (`OwnAccess`): the walk looks at it, and translations found with it set are kept apart from the others, so that STAC and CLAC choose between two sets and forget nothing. At level 3 with CR0.AM, accesses have
// to be aligned (SDM volume 3, 6.15, interrupt 17): these have a set of their own too, which never holds any data, so that every access
// comes to the slow paths, which look; nothing else costs anything.

enum AccessPrevention {
  /// CR4.SMAP
  static let controlFour: UInt64 = 1 << 21
  /// CR0.AM
  static let alignment: UInt64 = 1 << 18
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// RFLAGS was what is said here: chooses the translations by RFLAGS.AC as it is now.
  @inline(__always) func accessMayHaveChanged(from old: UInt64) {
    if (old ^ pointee.rflags) & Flag.ac != 0 && pointee.own_paging != 0 { VCPU.of(self).selectTranslations() }
  }

  /// RFLAGS.AC excuses the supervisor from SMAP, which it does not where the processor looks into its own tables.
  @inline(__always) var isExcused: Bool {
    pointee.rflags & Flag.ac != 0 && pointee.cr4 & AccessPrevention.controlFour != 0 && pointee.cpl != 3 && pointee.own_paging != 0
  }

  /// Accesses have to be aligned.
  @inline(__always) var checksAlignment: Bool {
    pointee.rflags & Flag.ac != 0 && pointee.cpl == 3 && pointee.cr0 & AccessPrevention.alignment != 0 && pointee.own_paging != 0
  }

  /// Whether an access is to raise #AC(0), which it records: operands of 2 and 4 bytes are to be so aligned, longer ones to 8 bytes, and
  /// x87's environments as their elements are.
  @inline(__always) func isMisaligned(_ linear: UInt64, _ count: Int) -> Bool { checksAlignment && recordsMisaligned(linear, count) }

  @inline(never) private func recordsMisaligned(_ linear: UInt64, _ count: Int) -> Bool {
    let alignment: UInt64
    switch count {
    case 1: return false
    case 2, 14, 94: alignment = 2
    case 4, 6, 28, 108: alignment = 4
    default: alignment = 8
    }
    // Where no such address is, that comes first.
    guard linear & (alignment &- 1) != 0, pointee.mode != 0 || isCanonical(linear) else { return false }
    pointee.vector = Vector.ac.rawValue
    pointee.error_code = 0
    pointee.has_error_code = 1
    return true
  }
}

/// STAC
func setAccess(_ cpu: CPU, _ op: Operation) -> Operation? { changeAccess(cpu, op, Flag.ac) }
/// CLAC
func clearAccess(_ cpu: CPU, _ op: Operation) -> Operation? { changeAccess(cpu, op, 0) }

private func changeAccess(_ cpu: CPU, _ op: Operation, _ value: UInt64) -> Operation? {
  guard cpu.isArchitectural, cpu.pointee.cpl == 0, !cpu.isVirtual8086, VCPU.of(cpu).hasAccessPrevention else { return raise(cpu, op, .ud) }
  let old = cpu.pointee.rflags
  cpu.pointee.rflags = old & ~Flag.ac | value
  cpu.accessMayHaveChanged(from: old)
  return leave(cpu, cpu.ripAfter(op))
}
