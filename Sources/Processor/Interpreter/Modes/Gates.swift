import CHost

// Far transfers to system descriptors: call gates, task gates and task states (SDM volume 3, 5.8.3 to 5.8.5), and the two ways of IRET
// that only legacy protected mode has.

/// What a far transfer's handler returns.
struct Transferred {
  var leaving: Operation?
}

extension VCPU {
  /// A far JMP or CALL to a system descriptor; nil if the selector is of none, with nothing done.
  func transferThroughSystem(_ op: Operation, _ selector: UInt16, call: Bool) throws(SegmentFault) -> Transferred? {
    if selector & 0xFFFC == 0 { return nil }
    guard let d = try descriptor(selector), d.isSystem else { return nil }
    let types: [UInt8] = cpu.longMode ? [12] : [1, 4, 5, 9, 12]
    guard types.contains(d.type), d.dpl >= cpu.pointee.cpl, d.dpl >= UInt32(selector & 3) else {
      throw SegmentFault(.gp, selector: selector)
    }
    switch d.type {
    case 1, 9: return try changeTask(op, selector, call ? .call : .jump)
    case 5:
      if !d.isPresent { throw SegmentFault(.np, selector: selector) }
      return try changeTask(op, UInt16(truncatingIfNeeded: d.raw >> 16), call ? .call : .jump)
    default:
      if !d.isPresent { throw SegmentFault(.np, selector: selector) }
      return Transferred(leaving: try transferThroughGate(op, selector, d.raw, call: call))
    }
  }

  private func changeTask(_ op: Operation, _ selector: UInt16, _ kind: TaskSwitch) throws(SegmentFault) -> Transferred {
    do throws(SegmentFault) {
      try switchTask(selector, kind, back: cpu.ripAfter(op), external: 0)
    } catch {
      guard error.isOfNewTask else { throw error }
      return Transferred(leaving: raiseInNewTask(cpu, error))
    }
    return Transferred(leaving: leave(cpu, cpu.pointee.rip))
  }

  private func transferThroughGate(_ op: Operation, _ gateSelector: UInt16, _ gate: UInt64, call: Bool) throws(SegmentFault) -> Operation? {
    let long = cpu.longMode
    let size = long ? 8 : gate >> 40 & 8 != 0 ? 4 : 2
    let selector = UInt16(truncatingIfNeeded: gate >> 16)
    var target = gate & 0xFFFF | (size > 2 ? gate >> 32 & 0xFFFF_0000 : 0)
    if long {
      let high = try upperHalf(gateSelector)
      if high >> 40 & 0x1F != 0 { throw SegmentFault(.gp, selector: gateSelector) }
      target |= high << 32
    }
    if selector & 0xFFFC == 0 { throw SegmentFault(.gp, 0) }
    let cpl = cpu.pointee.cpl
    guard let code = try descriptor(selector), code.isCode, code.dpl <= cpl, call || code.isConforming || code.dpl == cpl,
      !long || (code.isLong && !code.isBig)
    else { throw SegmentFault(.gp, selector: selector) }
    if !code.isPresent { throw SegmentFault(.np, selector: selector) }
    if long ? !isCanonical(target) : target > UInt64(code.limit) { throw SegmentFault(.gp, 0) }
    let newCPL = code.isConforming ? cpl : code.dpl
    // Before the stack, so that nothing has moved if it faults.
    try markAccessed(selector, code)
    if newCPL < cpl {
      if long {
        try callInnerLong(op, code, selector, newCPL)
      } else {
        try callInner(op, code, selector, newCPL, size, Int(gate >> 32 & 0x1F))
      }
    } else if call {
      guard pushReturn(op, size) else { return raisePush(op, size) }
    }
    setSegment(Int(PV_CS), selector: selector & 0xFFFC | UInt16(truncatingIfNeeded: newCPL), descriptor: code.raw | 1 << 40)
    return leave(cpu, cpu.codeLinear(target))
  }

  private func callInner(
    _ op: Operation, _ code: Descriptor, _ selector: UInt16, _ level: UInt32, _ size: Int, _ parameters: Int
  ) throws(SegmentFault) {
    let (stackSelector, pointer) = try innerStack(level, 0)
    let stack = try innerStackDescriptor(stackSelector, level, 0)
    var frame = [UInt64(cpu.pointee.seg.2.selector), cpu.pointee.gpr.4]
    for n in (0..<parameters).reversed() {
      guard let value = readStack(cpu, op, Int64(n * size), size) else {
        throw SegmentFault(
          Vector(rawValue: cpu.pointee.vector) ?? .ss, cpu.pointee.error_code, linear: cpu.pointee.vector == 14 ? cpu.pointee.cr2 : nil)
      }
      frame.append(value)
    }
    frame += [UInt64(cpu.pointee.seg.1.selector), (cpu.ripAfter(op) &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF]
    let segment = pv_segment(base: stack.base, limit: stack.limit, selector: stackSelector, attributes: stack.attributes | 1)
    let cpl = cpu.pointee.cpl
    setPrivilege(level)
    let top: UInt64
    do throws(SegmentFault) {
      top = try pushInner(frame, size, segment, pointer, UInt32(stackSelector & 0xFFFC))
      try markAccessed(stackSelector, stack)
    } catch {
      setPrivilege(cpl)
      throw error
    }
    put(Int(PV_SS), segment)
    cpu.pointee.gpr.4 = segment.isBig ? top & 0xFFFF_FFFF : cpu.pointee.gpr.4 & ~0xFFFF | top & 0xFFFF
  }

  private func callInnerLong(_ op: Operation, _ code: Descriptor, _ selector: UInt16, _ level: UInt32) throws(SegmentFault) {
    let back = cpu.pointee.mode == 0 ? cpu.ripAfter(op) : (cpu.ripAfter(op) &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF
    let frame = [UInt64(cpu.pointee.seg.2.selector), cpu.pointee.gpr.4, UInt64(cpu.pointee.seg.1.selector), back]
    let cpl = cpu.pointee.cpl
    setPrivilege(level)
    do throws(SegmentFault) {
      var pointer = try longStackPointer(at: 4 &+ level &* 8, 0)
      for value in frame { pointer = try pushLong(pointer, value, 0) }
      cpu.pointee.gpr.4 = pointer
    } catch {
      setPrivilege(cpl)
      throw error
    }
    setNullSegment(Int(PV_SS), selector: UInt16(truncatingIfNeeded: level))
  }
}

/// A fault after a task switch: it belongs to the new task's first instruction.
func raiseInNewTask(_ cpu: CPU, _ fault: SegmentFault) -> Operation? {
  if let linear = fault.linear { cpu.pointee.cr2 = linear }
  cpu.pointee.vector = fault.vector.rawValue
  cpu.pointee.error_code = fault.errorCode
  cpu.pointee.has_error_code = 1
  cpu.pointee.rflags |= Flag.rf
  cpu.pointee.fault_op = nil
  cpu.pointee.exit = UInt32(PV_EXIT_EXCEPTION)
  return nil
}

/// IRET with NT: back to the task that called this one.
func returnToTask(_ cpu: CPU, _ op: Operation) -> Operation? {
  let v = VCPU.of(cpu)
  do throws(SegmentFault) {
    let link: UInt16 = try v.readSystem(cpu.pointee.tr.base)
    try v.switchTask(link, .interruptReturn, back: cpu.ripAfter(op), external: 0)
  } catch {
    return error.isOfNewTask ? raiseInNewTask(cpu, error) : raise(cpu, op, error)
  }
  cpu.pointee.nonmaskable_blocked = 0
  return leave(cpu, cpu.pointee.rip)
}

/// IRET at level 0 with VM in the flags it pops.
func returnToVirtual8086(_ cpu: CPU, _ op: Operation, _ target: UInt64, _ selector: UInt16, _ flags: UInt64) -> Operation? {
  var popped: [UInt64] = []
  for n in Int64(3)..<9 {
    guard let value = readStack(cpu, op, n * 4, 4) else { return raise(cpu, op) }
    popped.append(value)
  }
  if target > 0xFFFF { return raiseGP(cpu, op) }
  let v = VCPU.of(cpu)
  cpu.rflags = flags & 0x3F_7FD7 & ~Flag.rf | flags & Flag.rf
  v.setPrivilege(3)
  let selectors = [popped[2], UInt64(selector), popped[1], popped[3], popped[4], popped[5]]
  for (register, value) in selectors.enumerated() { v.setParagraph(register, UInt16(truncatingIfNeeded: value)) }
  cpu.pointee.gpr.4 = popped[0]
  cpu.pointee.nonmaskable_blocked = 0
  v.updateMode()
  return leave(cpu, cpu.codeLinear(target))
}
