import CHost
import GuestMemory
import Processor

// Bounce frames: how a trap, a callback or an event enters the guest kernel. There is no IDT and no TSS; the stack is
// the current one in kernel mode and `kernelSP` in user mode. From high to low: SS, RSP, RFLAGS, CS (with the upcall mask
// in byte 4), RIP, the error code if there is one, R11, RCX.

/// The interrupted context, where it is not simply the current one.
struct InterruptedContext {
  var rip: UInt64
  var cs: UInt16
  /// RFLAGS as the processor has it; IF and IOPL are replaced by the virtual ones.
  var rflags: UInt64
  var rsp: UInt64
  var ss: UInt16
}

extension PVCPU {
  /// The context the guest is in now.
  @inline(__always) var currentContext: InterruptedContext {
    return InterruptedContext(
      rip: instructionPointer, cs: cpu.pointee.seg.1.selector, rflags: cpu.rflags, rsp: cpu.pointee.gpr.4,
      ss: cpu.pointee.seg.2.selector)
  }
}

extension Domain {
  /// Vectors whose frame has an error code.
  static func hasErrorCode(_ vector: UInt8) -> Bool {
    switch vector {
    case 8, 10, 11, 12, 13, 14, 17, 21: return true
    default: return false
    }
  }

  /// Builds a frame and enters the guest kernel at `handler`; crashes the domain where Xen would.
  func bounce(_ v: PVCPU, to handler: UInt64, masks: Bool, errorCode: UInt32?, from context: InterruptedContext, _ what: StaticString) {
    guard handler != 0 else { return crash("no handler registered for \(what)") }
    let cpu = v.cpu
    var cs = UInt64(context.cs)
    var stack: UInt64
    if v.kernelMode {
      stack = context.rsp
      cs &= ~3
    } else {
      v.toggleMode()
      stack = v.kernelSP
    }
    stack &= ~15
    let mask = v.upcallMask
    var rflags = context.rflags & ~(Flag.if | Flag.iopl | Flag.vm)
    if mask == 0 { rflags |= Flag.if }
    if assists & Assist.architecturalIOPL != 0 { rflags |= UInt64(v.iopl) << 12 }
    cs |= UInt64(mask) << 32
    let rcx = cpu.pointee.gpr.1
    let r11 = cpu.pointee.gpr.11
    let ss = UInt64(context.ss)
    let top = stack &- 1
    stack = stack &- (errorCode == nil ? 56 : 64)
    var built = !XenHole.contains(stack) && !XenHole.contains(top)
    if built {
      if let place = v.vcpu.writableNow(stack, errorCode == nil ? 56 : 64) {
        // The page is there and holds no code: nearly always.
        var at = place
        func push(_ value: UInt64) {
          at.storeBytes(of: value, as: UInt64.self)
          at += 8
        }
        push(rcx)
        push(r11)
        if let errorCode { push(UInt64(errorCode)) }
        push(context.rip)
        push(cs)
        push(rflags)
        push(context.rsp)
        push(ss)
      } else if let errorCode {
        var frame = (rcx, r11, UInt64(errorCode), context.rip, cs, rflags, context.rsp, ss)
        built = withUnsafeBytes(of: &frame) { v.vcpu.writeGuest(stack, from: $0) }
      } else {
        var frame = (rcx, r11, context.rip, cs, rflags, context.rsp, ss)
        built = withUnsafeBytes(of: &frame) { v.vcpu.writeGuest(stack, from: $0) }
      }
    }
    guard built else { return crash("the frame for \(what) cannot be written at \(hexadecimal(stack))") }
    if masks { v.upcallMask = 1 }
    cpu.pointee.rip = handler
    cpu.pointee.gpr.4 = stack
    v.loadFlatSegments()
    // The arithmetic flags, DF and ID pass through; AC, VM, RF, NT, TF and IOPL do not.
    cpu.pointee.rflags = cpu.pointee.rflags & (Flag.df | Flag.id) | Flag.if | 2
  }

  /// Reflects an exception to the guest's trap table. The saved context is the current one unless given.
  func reflect(_ v: PVCPU, _ vector: UInt8, errorCode: UInt32?, from context: InterruptedContext) {
    let gate = v.traps[Int(vector)]
    guard gate.address != 0 else {
      let code = errorCode.map { ", error code \(hexadecimal(UInt64($0)))" } ?? ""
      let address = vector == 14 ? ", address \(hexadecimal(v.cr2))" : ""
      return crash("exception \(vector)\(code)\(address) at RIP \(hexadecimal(context.rip)): the trap table has no handler for it")
    }
    let code = Self.hasErrorCode(vector) ? errorCode ?? 0 : nil
    bounce(v, to: gate.address, masks: gate.masksEvents, errorCode: code, from: context, "an exception")
  }

  /// Reflects a fault of the current instruction: its frame has RF set.
  func reflectFault(_ v: PVCPU, _ vector: UInt8, errorCode: UInt32?) {
    var context = v.currentContext
    context.rflags |= Flag.rf
    reflect(v, vector, errorCode: errorCode, from: context)
  }

  /// Reflects a trap after an instruction: its frame has RF clear.
  func reflectTrap(_ v: PVCPU, _ vector: UInt8) {
    var context = v.currentContext
    context.rflags &= ~Flag.rf
    reflect(v, vector, errorCode: nil, from: context)
  }

  /// Reflects a page fault: the address goes to vcpu_info, and the error code tells user from guest kernel.
  func reflectPageFault(_ v: PVCPU, errorCode: UInt32, address: UInt64) {
    v.cr2 = address
    v.setInfoCR2(address)
    reflectFault(v, 14, errorCode: errorCode & ~4 | (v.kernelMode ? 0 : 4))
  }

  /// Delivers what is due before the guest runs on: an NMI, else an event upcall. To be called after every handled exit
  /// and whenever an event may have been raised.
  public func deliverPendingUpcall(_ v: PVCPU) {
    if v.blocked || hot.pointee.ended { return }
    if v.nmiPending && !v.nmiInProgress { deliverNMI(v) }
    guard v.hasDeliverableEvent, !hot.pointee.ended else { return }
    hot.pointee.exits.event &+= 1
    v.history.record(.event, 0, v.cpu.pointee.rip)
    bounce(v, to: v.eventCallback.address, masks: true, errorCode: nil, from: v.currentContext, "an event upcall")
  }

  private func deliverNMI(_ v: PVCPU) {
    v.nmiPending = false
    v.nmiInProgress = true
    bounce(v, to: v.traps[2].address, masks: true, errorCode: nil, from: v.currentContext, "an NMI")
  }
}
