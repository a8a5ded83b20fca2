import CHost

// Interrupts from outside. The platform says that it wants one taken; the run loop leaves at the first instruction boundary where the
// architecture takes it, and the platform, which then knows the vector, has it delivered.
//
// Whatever opens the window (STI, POPF, IRET, MOV SS, a port or register of the platform's) ends its block, so that the run loop sees
// it. Only an access to a device's memory can be in the middle of a block: `endAfter` makes its instruction the last one.

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// `interrupt_shadow`, `interrupt_requested`, `nonmaskable_requested` and `held`, one byte each.
  @inline(__always) var attention: UInt32 { UnsafeRawPointer(self).load(fromByteOffset: Int(PV_AT_ATTENTION), as: UInt32.self) }
}

extension VCPU {
  /// An interrupt is waiting outside. May be set and cleared at any time, in the middle of an instruction too.
  public var interruptRequested: Bool {
    get { cpu.pointee.interrupt_requested != 0 }
    set { cpu.pointee.interrupt_requested = newValue ? 1 : 0 }
  }

  /// As `interruptRequested`, of a non-maskable interrupt.
  public var nonMaskableRequested: Bool {
    get { cpu.pointee.nonmaskable_requested != 0 }
    set { cpu.pointee.nonmaskable_requested = newValue ? 1 : 0 }
  }

  /// An interrupt would be taken before the next instruction.
  public var takesInterrupts: Bool { cpu.pointee.rflags & Flag.if != 0 && cpu.pointee.interrupt_shadow == 0 }

  /// As `takesInterrupts`, of a non-maskable interrupt.
  public var takesNonMaskable: Bool { cpu.pointee.nonmaskable_blocked == 0 && cpu.pointee.interrupt_shadow == 0 }

  /// Delivers an interrupt from outside, between runs: at `Exit.interruptWindow`, or whenever `takesInterrupts`. The request stays as it
  /// is. Returns `Exit.tripleFault` or nil.
  public func deliver(interrupt vector: UInt8) -> Exit? {
    deliver(Delivery(vector: vector, errorCode: nil, kind: .external, rip: cpu.pointee.rip))
  }

  /// Delivers a non-maskable interrupt; the next is held off until an IRET.
  public func deliverNonMaskable() -> Exit? {
    cpu.pointee.nonmaskable_blocked = 1
    return deliver(Delivery(vector: UInt8(Vector.nmi.rawValue), errorCode: nil, kind: .external, rip: cpu.pointee.rip))
  }

  /// What is wanted of the run loop before the next instruction.
  enum Attention {
    case none
    /// The window is open.
    case leave
    /// Run one instruction and look again.
    case one
  }

  /// Looks at `attention`, which is not 0, with nothing held, before an instruction that will run now.
  @inline(never) func attend() -> Attention {
    guard cpu.isArchitectural else { return .none }
    let wanted = cpu.pointee.interrupt_requested != 0 && cpu.pointee.rflags & Flag.if != 0
    let urgent = cpu.pointee.nonmaskable_requested != 0 && cpu.pointee.nonmaskable_blocked == 0
    guard cpu.pointee.interrupt_shadow == 0 else {
      // The shadow lies over this one instruction, which may cast its own.
      cpu.pointee.interrupt_shadow = 0
      return wanted || urgent ? .one : .none
    }
    return wanted || urgent ? .leave : .none
  }

  /// Undoes `endAfter`.
  @inline(never) func releaseHold() {
    guard cpu.pointee.held != 0 else { return }
    cpu.pointee.held = 0
    cpu.pointee.budget &+= cpu.pointee.held_budget
    cpu.pointee.deadline &+= UInt64(bitPattern: cpu.pointee.held_budget)
    if let op = cpu.pointee.held_op, let handler = cpu.pointee.held_handler { op.pointee.handler = handler }
    cpu.pointee.held_op = nil
  }
}

/// Call in the middle of an instruction after the platform did something that may have asked for an interrupt: if it can be taken after
/// this instruction, nothing else runs before the run loop has looked.
@inline(__always) func endAfter(_ cpu: CPU, _ op: Operation) {
  if cpu.attention & 0xFFFF00 != 0 { holdAfter(cpu, op) }
}

@inline(never) private func holdAfter(_ cpu: CPU, _ op: Operation) {
  guard cpu.isArchitectural, cpu.pointee.held == 0 else { return }
  let wanted = cpu.pointee.interrupt_requested != 0 && cpu.pointee.rflags & Flag.if != 0
  let urgent = cpu.pointee.nonmaskable_requested != 0 && cpu.pointee.nonmaskable_blocked == 0
  guard wanted || urgent else { return }
  cpu.pointee.held = 1
  // With no budget neither a branch nor a repetition goes on by itself; the cycle stays what it is.
  let budget = cpu.pointee.budget
  cpu.pointee.held_budget = budget
  cpu.pointee.deadline &-= UInt64(bitPattern: budget)
  cpu.pointee.budget = 0
  let following = op + 1
  cpu.pointee.held_op = following
  cpu.pointee.held_handler = following.pointee.handler
  following.pointee.handler = leaveHere
}
