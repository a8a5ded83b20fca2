import CHost

// Exceptions, software interrupts and interrupts, carried out by the processor (SDM volume 3, chapter 6): the choice of what is
// delivered when delivery itself fails. How one is delivered is in `DeliveryReal`, `DeliveryProtected` and `DeliveryLong`.

/// Something that is to be delivered through the interrupt table.
struct Delivery {
  enum Kind {
    case exception
    /// INT n, and INT3 and INTO: the gate's DPL counts.
    case software
    /// From outside, a non-maskable one included.
    case external
  }
  var vector: UInt8
  var errorCode: UInt32?
  var kind: Kind
  /// Linear address of the instruction to return to.
  var rip: UInt64

  /// Bit 0 of the error code of what goes wrong on the way.
  var external: UInt32 { kind == .software ? 0 : 1 }

  /// #DE, #TS, #NP, #SS, #GP: a second one is a double fault.
  var isContributory: Bool { [0, 10, 11, 12, 13].contains(vector) }
}

extension VCPU {
  /// Carries out what ended the run, if it is the processor's: nil with the run to go on, an exit that the platform is to see, or
  /// `notOwn` for an exit that is the platform's anyway.
  enum CarriedOut {
    case goOn
    case exit(Exit)
    case notOwn
  }

  @inline(never) func carryOut() -> CarriedOut {
    switch cpu.pointee.exit {
    case UInt32(PV_EXIT_EXCEPTION):
      let vector = UInt8(truncatingIfNeeded: cpu.pointee.vector)
      // These two are instructions, whose own address is in `next_rip`.
      let software = vector == UInt8(Vector.bp.rawValue) || vector == UInt8(Vector.of.rawValue)
      let event = Delivery(
        vector: vector, errorCode: cpu.pointee.has_error_code != 0 ? cpu.pointee.error_code : nil, kind: software ? .software : .exception,
        rip: cpu.pointee.rip)
      return carriedOut(deliver(event, instruction: software ? cpu.pointee.next_rip : cpu.pointee.rip))
    case UInt32(PV_EXIT_INTERRUPT): return carriedOut(softwareInterrupt())
    case UInt32(PV_EXIT_SYSCALL):
      systemCall()
      return carriedOut(nil)
    case UInt32(PV_EXIT_SYSENTER):
      systemEnter()
      return carriedOut(nil)
    default: return .notOwn
    }
  }

  private func carriedOut(_ exit: Exit?) -> CarriedOut {
    if let exit { return .exit(exit) }
    cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    return .goOn
  }

  private func softwareInterrupt() -> Exit? {
    let instruction = cpu.pointee.rip
    let vector = UInt8(truncatingIfNeeded: cpu.pointee.vector)
    if cpu.hasVirtualExtensions {
      do throws(SegmentFault) {
        if try redirectInterrupt(vector, back: cpu.pointee.next_rip) {
          advance(cycles: 1)
          return nil
        }
      } catch {
        if let linear = error.linear { cpu.pointee.cr2 = linear }
        return deliverFault(error.vector, error.errorCode)
      }
    }
    if cpu.isConfined { return deliverFault(.gp, 0) }
    return deliver(
      Delivery(vector: vector, errorCode: nil, kind: .software, rip: cpu.pointee.next_rip), instruction: instruction)
  }

  /// Delivers a fault of the instruction at RIP.
  func deliverFault(_ vector: Vector, _ errorCode: UInt32?) -> Exit? {
    cpu.pointee.rflags |= Flag.rf
    return deliver(
      Delivery(vector: UInt8(vector.rawValue), errorCode: errorCode, kind: .exception, rip: cpu.pointee.rip))
  }

  func deliver(_ event: Delivery) -> Exit? { deliver(event, instruction: event.rip) }

  /// Delivers an event, or what comes of trying: another exception, a double fault, and at last `Exit.tripleFault`.
  ///
  /// - Parameter instruction: where an exception of the delivery itself returns to.
  func deliver(_ first: Delivery, instruction: UInt64) -> Exit? {
    var event = first
    while true {
      // A cycle that is no instruction's: handlers that fault at their first instruction must not stop the clock.
      advance(cycles: 1)
      let cpl = cpu.pointee.cpl
      // The tables and most handlers' stacks are the supervisor's.
      setPrivilege(cpl == 3 ? 0 : cpl)
      do throws(SegmentFault) {
        if !cpu.isProtected {
          try deliverReal(event)
        } else if cpu.longMode {
          if !deliverLongQuickly(event, from: cpl) { try deliverLong(event, from: cpl) }
        } else {
          try deliverProtected(event, from: cpl)
        }
        cpu.pointee.interrupt_shadow = 0
        return nil
      } catch {
        // A task switch that failed half-way has left the new task's state behind: its fault is the new task's.
        if !error.isOfNewTask { setPrivilege(cpl) }
        if let linear = error.linear { cpu.pointee.cr2 = linear }
        let isException = event.kind == .exception
        if isException && event.vector == UInt8(Vector.df.rawValue) {
          cpu.pointee.rip = instruction
          return .tripleFault
        }
        let vector = UInt8(error.vector.rawValue)
        var next = Delivery(
          vector: vector, errorCode: error.errorCode, kind: .exception, rip: error.isOfNewTask ? cpu.pointee.rip : instruction)
        let page = UInt8(Vector.pf.rawValue)
        if isException
          && ((event.isContributory && next.isContributory) || (event.vector == page && (next.isContributory || vector == page)))
        {
          next.vector = UInt8(Vector.df.rawValue)
          next.errorCode = 0
        }
        cpu.pointee.rflags |= Flag.rf
        event = next
      }
    }
  }
}
