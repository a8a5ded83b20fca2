import CHost
import GuestMemory
import Processor

// What Xen does with each way out of the processor.

extension Domain {
  /// Handles an exit of the processor. The machine's loop calls `deliverPendingUpcall` afterwards, and looks at `ended` and
  /// at `blocked` before it runs the vCPU again. Deadlines and stops are the loop's own.
  public func handle(_ exit: Exit, _ v: PVCPU) {
    switch exit {
    case .syscall:
      if v.kernelMode { hypercall(v) } else { userSystemCall(v) }
    case .exception(let vector, let errorCode): exception(v, vector, errorCode)
    case .interrupt(let vector): softwareInterrupt(v, vector)
    case .sysenter: sysenter(v)
    case .halt: reflectFault(v, 13, errorCode: 0)
    // The last two are of a processor that stands for itself.
    case .deadline, .stop, .interruptWindow, .tripleFault: break
    }
  }

  func exception(_ v: PVCPU, _ vector: UInt8, _ errorCode: UInt32?) {
    let cpu = v.cpu
    switch vector {
    case 14:
      hot.pointee.exits.exception &+= 1
      v.history.record(.exception, 14, cpu.pointee.rip)
      reflectPageFault(v, errorCode: errorCode ?? 0, address: cpu.pointee.cr2)
    case 13:
      if (errorCode ?? 0) == 0 && PrivilegedInstructions.emulate(self, v) {
        hot.pointee.exits.privileged &+= 1
        return
      }
      hot.pointee.exits.exception &+= 1
      v.history.record(.exception, 13, cpu.pointee.rip)
      reflectFault(v, 13, errorCode: errorCode)
    case 6:
      if PrivilegedInstructions.prefixedCPUID(self, v) {
        hot.pointee.exits.privileged &+= 1
        return
      }
      hot.pointee.exits.exception &+= 1
      v.history.record(.exception, 6, cpu.pointee.rip)
      reflectFault(v, 6, errorCode: nil)
    case 7:
      hot.pointee.exits.exception &+= 1
      v.history.record(.exception, 7, cpu.pointee.rip)
      v.setTaskSwitched(false)
      reflectFault(v, 7, errorCode: nil)
    case 1, 3, 4:
      hot.pointee.exits.exception &+= 1
      v.history.record(.exception, UInt64(vector), cpu.pointee.rip)
      reflectTrap(v, vector)
    default:
      hot.pointee.exits.exception &+= 1
      v.history.record(.exception, UInt64(vector), cpu.pointee.rip)
      reflectFault(v, vector, errorCode: errorCode)
    }
  }

  /// SYSCALL in user mode: to the callback of the code segment's kind.
  func userSystemCall(_ v: PVCPU) {
    hot.pointee.exits.syscall &+= 1
    let cpu = v.cpu
    v.history.record(.syscall, cpu.pointee.gpr.0, cpu.pointee.rip)
    let compatibility = cpu.pointee.mode != 0
    let callback = compatibility ? v.syscall32Callback : v.syscallCallback
    let rflags = cpu.rflags & ~Flag.rf
    let next = v.instructionPointer
    cpu.pointee.gpr.1 = next
    cpu.pointee.gpr.11 = rflags
    var context = InterruptedContext(
      rip: next, cs: compatibility ? FlatSegments.code32Selector : FlatSegments.codeSelector, rflags: rflags, rsp: cpu.pointee.gpr.4,
      ss: FlatSegments.stackSelector)
    if callback.address == 0 {
      context.rip = next &- 2
      context.rflags |= Flag.rf
      return reflect(v, 6, errorCode: nil, from: context)
    }
    bounce(v, to: callback.address, masks: callback.masksEvents, errorCode: nil, from: context, "a system call")
    // Unlike in an exception's handler, ID is clear here.
    cpu.pointee.rflags &= ~Flag.id
  }

  /// SYSENTER: nothing of the caller is known but its registers.
  private func sysenter(_ v: PVCPU) {
    hot.pointee.exits.syscall &+= 1
    v.history.record(.syscall, v.cpu.pointee.gpr.0, v.cpu.pointee.rip)
    let context = InterruptedContext(rip: 0, cs: 3, rflags: Flag.if | 2, rsp: 0, ss: FlatSegments.stackSelector)
    let callback = v.sysenterCallback
    if callback.address == 0 || v.kernelMode {
      // The guest kernel has no use for it; its own stack is still there for the frame.
      if v.kernelMode {
        v.cpu.pointee.rip &-= 2
        return reflectFault(v, 13, errorCode: 0)
      }
      return reflect(v, 13, errorCode: 0, from: context)
    }
    bounce(v, to: callback.address, masks: callback.masksEvents, errorCode: nil, from: context, "SYSENTER")
  }

  /// INT n. Vectors 3, 4 and 0x80 are delivered whatever their gate allows; others by the gate's DPL, where the guest kernel
  /// counts as ring 1. What is refused is a #GP at the instruction.
  private func softwareInterrupt(_ v: PVCPU, _ vector: UInt8) {
    let cpu = v.cpu
    v.history.record(.interrupt, UInt64(vector), cpu.pointee.rip)
    let gate = v.traps[Int(vector)]
    let next = cpu.pointee.next_rip
    if vector == 3 || vector == 4 || (vector == 0x80 && gate.address != 0) {
      hot.pointee.exits.syscall &+= 1
      cpu.pointee.rip = next
      var context = v.currentContext
      context.rflags &= ~Flag.rf
      guard gate.address != 0 else { return reflect(v, vector, errorCode: nil, from: context) }
      return bounce(v, to: gate.address, masks: gate.masksEvents, errorCode: nil, from: context, "INT n")
    }
    let ring: UInt8 = v.kernelMode ? 1 : 3
    guard vector != 0x80, gate.dpl >= ring else {
      hot.pointee.exits.exception &+= 1
      return reflectFault(v, 13, errorCode: UInt32(vector) << 3 | 2)
    }
    hot.pointee.exits.syscall &+= 1
    cpu.pointee.rip = next
    var context = v.currentContext
    context.rflags |= Flag.rf
    bounce(v, to: gate.address, masks: gate.masksEvents, errorCode: nil, from: context, "INT n")
  }
}
