import CHost

// SYSCALL, SYSRET, SYSENTER and SYSEXIT of a processor that stands for itself (SDM volume 2). SYSCALL is also taken in compatibility
// mode, as AMD's processors do.

private let flatCode: UInt16 = 0xC9B
private let flatData: UInt16 = 0xC93
private let longCode: UInt16 = 0xA9B

extension VCPU {
  private func flat(_ selector: UInt64, _ attributes: UInt16, level: UInt16) -> pv_segment {
    pv_segment(
      base: 0, limit: .max, selector: UInt16(truncatingIfNeeded: selector) & 0xFFFC | level, attributes: attributes | level << 5)
  }

  /// RIP is the next instruction's.
  func systemCall() {
    let flags = cpu.rflags & ~Flag.rf
    cpu.pointee.gpr.1 = instructionPointer
    cpu.pointee.gpr.11 = flags
    let target = cpu.pointee.mode == 0 ? cpu.pointee.lstar : cpu.pointee.cstar
    let selector = cpu.pointee.star >> 32 & 0xFFFC
    setPrivilege(0)
    cpu.pointee.seg.1 = flat(selector, longCode, level: 0)
    cpu.pointee.seg.2 = flat(selector &+ 8, flatData, level: 0)
    cpu.rflags = flags & ~cpu.pointee.sfmask
    cpu.accessMayHaveChanged(from: flags)
    updateMode()
    cpu.pointee.rip = target
  }

  /// RIP is the next instruction's, and not kept anywhere.
  func systemEnter() {
    let selector = cpu.pointee.sysenter_cs
    let long = cpu.isLongModeActive
    setPrivilege(0)
    cpu.pointee.rflags &= ~(Flag.vm | Flag.if | Flag.rf)
    cpu.pointee.seg.1 = flat(selector, long ? longCode : flatCode, level: 0)
    cpu.pointee.seg.2 = flat((selector & 0xFFFC) &+ 8, flatData, level: 0)
    cpu.pointee.gpr.4 = long ? cpu.pointee.sysenter_esp : cpu.pointee.sysenter_esp & 0xFFFF_FFFF
    updateMode()
    cpu.pointee.rip = long ? cpu.pointee.sysenter_eip : cpu.pointee.sysenter_eip & 0xFFFF_FFFF
  }

  /// SYSRET to 64-bit or 32-bit code; false for #GP(0).
  func systemReturn(wide: Bool) -> Bool {
    let target = cpu.pointee.gpr.1
    if cpu.pointee.cpl != 0 || (wide && !isCanonical(target)) { return false }
    let base = cpu.pointee.star >> 48
    let mask: UInt64 = 0x3C_7FD7
    cpu.rflags = cpu.pointee.gpr.11 & mask | 2
    cpu.pointee.seg.1 = flat(wide ? base &+ 16 : base, wide ? longCode : flatCode, level: 3)
    cpu.pointee.seg.2 = flat(base &+ 8, flatData, level: 3)
    setPrivilege(3)
    updateMode()
    cpu.pointee.rip = wide ? target : target & 0xFFFF_FFFF
    return true
  }

  /// SYSEXIT; false for #GP(0).
  func systemExit(wide: Bool) -> Bool {
    let selector = cpu.pointee.sysenter_cs & 0xFFFC
    let (target, stack) = (cpu.pointee.gpr.2, cpu.pointee.gpr.1)
    if cpu.pointee.cpl != 0 || selector == 0 || !cpu.isProtected || (wide && !(isCanonical(target) && isCanonical(stack))) { return false }
    cpu.pointee.seg.1 = flat(selector &+ (wide ? 32 : 16), wide ? longCode : flatCode, level: 3)
    cpu.pointee.seg.2 = flat(selector &+ (wide ? 40 : 24), flatData, level: 3)
    setPrivilege(3)
    updateMode()
    cpu.pointee.gpr.4 = wide ? stack : stack & 0xFFFF_FFFF
    cpu.pointee.rip = wide ? target : target & 0xFFFF_FFFF
    return true
  }
}
