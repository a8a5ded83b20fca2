import CHost
import GuestMemory
import Processor

/// HYPERVISOR_iret (23): leaves a trap, from a frame of 72 bytes at RSP: RAX, R11, RCX, flags, RIP, CS, RFLAGS, RSP, SS
/// (Xen's arch-x86/xen-x86_64.h, struct iret_context).
enum IretHypercall {
  /// VGCF_in_syscall: RCX and R11 are not restored.
  private static let inSyscall: UInt64 = 0x100

  static func run(_ domain: Domain, _ v: PVCPU) {
    let cpu = v.cpu
    typealias Frame = (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    var frame: Frame = (0, 0, 0, 0, 0, 0, 0, 0, 0)
    let stack = cpu.pointee.gpr.4
    if let place = v.vcpu.readableNow(stack, 72) {
      frame = place.loadUnaligned(as: Frame.self)
    } else if !withUnsafeMutableBytes(of: &frame, { v.vcpu.readGuest(stack, into: $0) }) {
      return domain.crash("iret: the frame at \(hexadecimal(stack)) cannot be read")
    }
    let codeSelector = UInt16(truncatingIfNeeded: frame.5)
    let toUser = codeSelector & 3 == 3
    if toUser {
      guard v.kernelMode, v.userTable != 0 else {
        return domain.crash(v.kernelMode ? "iret to user mode without a user page table" : "iret to user mode from user mode")
      }
      v.toggleMode()
    }
    if domain.assists & Assist.architecturalIOPL != 0 { v.iopl = UInt8(truncatingIfNeeded: frame.6 >> 12 & 3) }
    let rflags = frame.6 & ~(Flag.iopl | Flag.vm | Flag.vif | Flag.vip) & 0x3F_FFFF | Flag.if | 2
    cpu.rflags = rflags
    cpu.pointee.gpr.4 = frame.7
    if frame.3 & inSyscall == 0 {
      cpu.pointee.gpr.11 = frame.1
      cpu.pointee.gpr.1 = frame.2
    } else {
      cpu.pointee.gpr.11 = rflags
      cpu.pointee.gpr.1 = frame.4
    }
    cpu.pointee.gpr.0 = frame.0
    v.nmiInProgress = false
    v.upcallMask = frame.6 & Flag.if == 0 ? 1 : 0
    enter(domain, v, rip: frame.4, cs: codeSelector | 3, ss: UInt16(truncatingIfNeeded: frame.8) | 3, rsp: frame.7, rflags: rflags)
  }

  /// Loads CS:RIP and SS; what the processor's own IRET would refuse becomes a #GP of the target context.
  @inline(__always)
  private static func enter(_ domain: Domain, _ v: PVCPU, rip: UInt64, cs: UInt16, ss: UInt16, rsp: UInt64, rflags: UInt64) {
    let cpu = v.cpu
    let code: pv_segment?
    let mode: UInt32
    if cs == FlatSegments.codeSelector {
      code = FlatSegments.code64
      mode = 0
    } else if cs == v.hot.pointee.iretCode.segment.selector, v.ownDescriptor(cs) == v.hot.pointee.iretCode.raw {
      code = v.hot.pointee.iretCode.segment
      mode = SegmentDescriptor(v.hot.pointee.iretCode.raw).codeMode
    } else {
      let descriptor = domain.descriptor(v, cs)
      code = cs & 0xFFFC == 0 ? nil : descriptor?.codeRegister(selector: cs)
      mode = descriptor?.codeMode ?? 0
      if let code, let descriptor { v.hot.pointee.iretCode = LoadedSegment(raw: descriptor.raw, segment: code) }
    }
    let context = InterruptedContext(rip: rip, cs: cs, rflags: rflags, rsp: rsp, ss: ss)
    guard let code else { return domain.reflect(v, 13, errorCode: UInt32(cs & ~3), from: context) }
    let stack: pv_segment?
    if ss == FlatSegments.stackSelector {
      stack = FlatSegments.stack
    } else if ss == v.hot.pointee.iretStack.segment.selector, v.ownDescriptor(ss) == v.hot.pointee.iretStack.raw {
      stack = v.hot.pointee.iretStack.segment
    } else {
      // A null SS is selector 3 here: ring 3 may not have it.
      stack = ss & 0xFFFC == 0 ? nil : domain.descriptor(v, ss)?.stackRegister(selector: ss)
      if let stack, let raw = v.ownDescriptor(ss) { v.hot.pointee.iretStack = LoadedSegment(raw: raw, segment: stack) }
    }
    guard let stack else { return domain.reflect(v, 13, errorCode: UInt32(ss & ~3), from: context) }
    if mode == 0 {
      guard isCanonical(rip) else { return domain.reflect(v, 13, errorCode: 0, from: context) }
      cpu.pointee.rip = rip
    } else {
      cpu.pointee.rip = (rip & 0xFFFF_FFFF) &+ code.base
      cpu.pointee.gpr.4 = rsp & 0xFFFF_FFFF
    }
    cpu.pointee.seg.1 = code
    cpu.pointee.seg.2 = stack
    cpu.pointee.mode = mode
    if mode != 0 { v.vcpu.updateMode() }
  }
}
