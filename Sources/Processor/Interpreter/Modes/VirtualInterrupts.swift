import CHost

// The virtual interrupt flag (SDM volume 3, 21.3 and 21.4): with CR4.VME, programs of virtual-8086 mode with IOPL below 3 have VIF in the
// place of IF, and INT n goes to the program's own handlers where the TSS says so; with CR4.PVI, CLI and STI of level 3 change VIF.

private enum CR4 {
  static let vme: UInt64 = 1
  static let pvi: UInt64 = 2
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// CR4.VME in virtual-8086 mode.
  @inline(__always) var hasVirtualExtensions: Bool { isVirtual8086 && pointee.cr4 & CR4.vme != 0 }

  /// CLI and STI, which IOPL refuses, change VIF.
  var hasVirtualInterruptFlag: Bool {
    guard isArchitectural, isProtected, pointee.cpl == 3 else { return false }
    return pointee.cr4 & (isVirtual8086 ? CR4.vme : CR4.pvi) != 0
  }

  /// Virtual-8086 mode with an IOPL that refuses PUSHF, POPF and IRET the flags.
  @inline(__always) var isConfined: Bool { isVirtual8086 && pointee.rflags & Flag.iopl != Flag.iopl }

  /// FLAGS as a confined program sees them: VIF is IF, and IOPL is 3.
  var virtualFlags: UInt64 { rflags & ~(Flag.if | Flag.vm | Flag.rf) | Flag.iopl | (pointee.rflags & Flag.vif != 0 ? Flag.if : 0) }

  /// What a confined program's POPF and IRET make of FLAGS; false for #GP(0): the monitor has to see TF, and IF while VIP is set.
  func setVirtualFlags(_ image: UInt64) -> Bool {
    if image & Flag.tf != 0 || (image & Flag.if != 0 && pointee.rflags & Flag.vip != 0) { return false }
    let changes = Flag.arithmetic | Flag.tf | Flag.df | Flag.nt
    rflags = rflags & ~(changes | Flag.vif | Flag.rf) | image & changes | (image & Flag.if != 0 ? Flag.vif : 0)
    return true
  }
}

extension VCPU {
  /// INT n in virtual-8086 mode with CR4.VME: whether the TSS's map, 32 bytes before that of the ports, has a 0 for it.
  private func redirects(_ vector: UInt8) throws(SegmentFault) -> Bool {
    let task = cpu.pointee.tr
    guard task.attributes & 8 != 0, task.limit >= 0x67 else { throw SegmentFault(.gp, 0) }
    let map: UInt16 = try readSystem(task.base &+ 0x66)
    let place = UInt32(map) &- 32 &+ UInt32(vector >> 3)
    guard map >= 32, place <= task.limit else { throw SegmentFault(.gp, 0) }
    let bits: UInt8 = try readSystem(task.base &+ UInt64(place))
    return bits >> (vector & 7) & 1 == 0
  }

  /// Carries INT n out through the program's own table at 0, if it is to be; false if not.
  ///
  /// - Parameter back: linear address of the next instruction.
  func redirectInterrupt(_ vector: UInt8, back: UInt64) throws(SegmentFault) -> Bool {
    guard try redirects(vector) else { return false }
    let pointer: UInt32 = try systemRead(UInt64(vector) &* 4)
    let confined = cpu.isConfined
    let image = confined ? cpu.virtualFlags : cpu.rflags
    try pushFrame([image, UInt64(cpu.pointee.seg.1.selector), (back &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF], size: 2)
    cpu.pointee.rflags &= ~(Flag.tf | Flag.rf | (confined ? Flag.vif : Flag.if))
    setParagraph(Int(PV_CS), UInt16(truncatingIfNeeded: pointer >> 16))
    cpu.pointee.rip = cpu.codeLinear(UInt64(pointer & 0xFFFF))
    cpu.pointee.interrupt_shadow = 0
    return true
  }
}
