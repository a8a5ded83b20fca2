import CHost

// Interrupts from outside. The platform says that it wants one taken; the run loop leaves at the first instruction boundary where the
// architecture takes it, and the platform, which then knows the vector, has it delivered.
//
// Whatever opens the window (STI, POPF, IRET, MOV SS, a port or register of the platform's) ends its block, so that the run loop sees
// it; so does an instruction with an access to a device's memory after which there is one (`VCPU.inMidOperation`).

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// `interrupt_shadow`, `interrupt_requested`, `nonmaskable_requested` and `debugging`, one byte each.
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

  /// An interrupt that is asked for can be taken before the next instruction, but for the shadow of STI and MOV SS.
  var interruptIsWanted: Bool {
    (cpu.pointee.interrupt_requested != 0 && cpu.pointee.rflags & Flag.if != 0)
      || (cpu.pointee.nonmaskable_requested != 0 && cpu.pointee.nonmaskable_blocked == 0)
  }

  /// What is wanted of the run loop before the next instruction.
  enum Attention {
    case none
    /// Run one instruction and look again.
    case one
    /// An exception came before it, so there is another next instruction.
    case again
    case leave(Exit)
  }

  /// Looks at `attention`, which is not 0, before an instruction that will run now.
  @inline(never) func attend() -> Attention {
    guard cpu.isArchitectural else { return .none }
    let wanted = interruptIsWanted
    if cpu.pointee.interrupt_shadow != 0 {
      // The shadow lies over this one instruction, which may cast its own.
      cpu.pointee.interrupt_shadow = 0
      return wanted || cpu.pointee.debugging != 0 ? .one : .none
    }
    cpu.pointee.debug_hits = 0
    if cpu.pointee.debugging & UInt8(PV_DEBUGGING_TASK) != 0 {
      cpu.pointee.debugging &= ~UInt8(PV_DEBUGGING_TASK)
      return deliverDebug(DebugStatus.task).map { .leave($0) } ?? .again
    }
    if wanted { return .leave(.interruptWindow) }
    if cpu.pointee.debugging == 0 { return .none }
    let hit = codeBreakpoints()
    if hit != 0 { return deliverDebug(hit).map { .leave($0) } ?? .again }
    return .one
  }
}
