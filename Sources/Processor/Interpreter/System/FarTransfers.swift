import CHost
import X86

// Far jumps, calls and returns, and IRET (SDM volume 2, and volume 3, 5.8). Gates and tasks are those of a processor that stands for
// itself (`Gates`, `TaskSwitch`); for any other a system descriptor raises #GP(selector).

func registerFarTransfers(_ table: inout LoweringTable) {
  func transfer(_ name: String, _ immediate: @escaping pv_handler, _ memory: @escaping pv_handler) {
    table.register(name) { i, op in
      op.size = i.operandSize
      op.flags |= UInt16(PV_OP_ENDS_BLOCK)
      switch i.operands.0.kind {
      case .far:
        op.imm = i.immediate
        op.data = UInt64(truncatingIfNeeded: i.immediate2)
        op.handler = immediate
      case .memory: op.handler = memory
      default: return false
      }
      return true
    }
  }
  transfer("jmpf", jumpFar, jumpFarMemory)
  transfer("callf", callFar, callFarMemory)
  table.register("retf") { i, op in
    op.size = i.operandSize
    op.imm = i.operandCount > 0 ? i.immediate & 0xFFFF : 0
    op.flags |= UInt16(PV_OP_ENDS_BLOCK | PV_OP_STACK_SEGMENT)
    op.handler = returnFar
    return true
  }
  for (name, size) in [("iretw", 2), ("iretd", 4), ("iretq", 8)] {
    table.register(name) { _, op in
      op.size = UInt8(size)
      op.flags |= UInt16(PV_OP_ENDS_BLOCK | PV_OP_STACK_SEGMENT)
      op.handler = interruptReturn
      return true
    }
  }
}

func truncated(_ value: UInt64, _ size: Int) -> UInt64 {
  size == 8 ? value : size == 4 ? value & 0xFFFF_FFFF : value & 0xFFFF
}

extension VCPU {
  /// The checks of a far jump or call to a code segment at the same privilege level.
  private func codeDescriptor(jumpingTo selector: UInt16) throws(SegmentFault) -> Descriptor {
    if selector & 0xFFFC == 0 { throw SegmentFault(.gp, 0) }
    let cpl = cpu.pointee.cpl
    guard let d = try descriptor(selector), d.isCode, !(cpu.longMode && d.isLong && d.isBig) else {
      throw SegmentFault(.gp, selector: selector)
    }
    let allowed = d.isConforming ? d.dpl <= cpl : d.dpl == cpl && UInt32(selector & 3) <= cpl
    if !allowed { throw SegmentFault(.gp, selector: selector) }
    if !d.isPresent { throw SegmentFault(.np, selector: selector) }
    return d
  }

  /// The checks of a far return or IRET to a code segment; its RPL is the new privilege level.
  private func codeDescriptor(returningTo selector: UInt16) throws(SegmentFault) -> Descriptor {
    if selector & 0xFFFC == 0 { throw SegmentFault(.gp, 0) }
    let rpl = UInt32(selector & 3)
    guard rpl >= cpu.pointee.cpl, let d = try descriptor(selector), d.isCode, !(cpu.longMode && d.isLong && d.isBig) else {
      throw SegmentFault(.gp, selector: selector)
    }
    let allowed = d.isConforming ? d.dpl <= rpl : d.dpl == rpl
    if !allowed { throw SegmentFault(.gp, selector: selector) }
    if !d.isPresent { throw SegmentFault(.np, selector: selector) }
    return d
  }

  /// #GP(0) where `offset` is not in the code segment.
  private func check(_ offset: UInt64, in d: Descriptor) throws(SegmentFault) {
    if cpu.longMode && d.isLong {
      if !isCanonical(offset) { throw SegmentFault(.gp, 0) }
    } else if offset > UInt64(d.limit) {
      throw SegmentFault(.gp, 0)
    }
  }

  /// A far jump or call; `size` is the operand size.
  fileprivate func transfer(_ op: Operation, _ selector: UInt16, _ target: UInt64, _ size: Int, call: Bool) throws(SegmentFault)
    -> Operation?
  {
    let offset = truncated(target, size)
    if cpu.hasParagraphs {
      if offset > UInt64(cpu.pointee.seg.1.limit) { throw SegmentFault(.gp, 0) }
      if call {
        guard pushReturn(op, size) else { return raisePush(op, size) }
      }
      return leaveToParagraph(selector, offset)
    }
    if cpu.isArchitectural, let done = try transferThroughSystem(op, selector, call: call) { return done.leaving }
    let d = try codeDescriptor(jumpingTo: selector)
    try check(offset, in: d)
    // Before the stack, so that nothing has moved if it faults.
    try markAccessed(selector, d)
    if call {
      guard pushReturn(op, size) else { return raisePush(op, size) }
    }
    setSegment(Int(PV_CS), selector: selector & 0xFFFC | UInt16(truncatingIfNeeded: cpu.pointee.cpl), descriptor: d.raw)
    return leave(cpu, cpu.codeLinear(offset))
  }

  /// Goes on in a code segment of real or virtual-8086 mode.
  fileprivate func leaveToParagraph(_ selector: UInt16, _ offset: UInt64) -> Operation? {
    setParagraph(Int(PV_CS), selector)
    if cpu.isArchitectural { updateMode() }
    return leave(cpu, cpu.codeLinear(offset))
  }

  func pushReturn(_ op: Operation, _ size: Int) -> Bool {
    let step = Int64(size)
    let base = cpu.pointee.mode == 0 ? 0 : cpu.pointee.seg.1.base
    let back = cpu.ripAfter(op) &- base
    // Both slots are probed before either is written.
    guard stackHas(cpu, -step, size), readForWrite(cpu, op, cpu.stackLinear(-step), UInt8.self) != nil,
      writeStack(cpu, op, -2 * step, back, size), writeStack(cpu, op, -step, UInt64(cpu.pointee.seg.1.selector), size)
    else { return false }
    cpu.moveStackPointer(-2 * step)
    return true
  }

  /// Raises what `pushReturn` recorded. The instruction's own memory operand may be of any segment, so that its flag says nothing about
  /// the stack, where a non-canonical address is #SS.
  func raisePush(_ op: Operation, _ size: Int) -> Operation? {
    let places = [cpu.stackLinear(Int64(-size)), cpu.stackLinear(Int64(-2 * size))]
    return places.allSatisfy(isCanonical) ? raise(cpu, op) : raise(cpu, op, .ss, 0)
  }

  /// A far return or IRET with what it popped; `pointer` and `stack` are there where SS:RSP were (or are to be) popped.
  fileprivate func comeBack(
    selector: UInt16, target: UInt64, size: Int, stack: (selector: UInt16, pointer: UInt64)?, release: UInt64, flags: UInt64?
  ) throws(SegmentFault) {
    let d = try codeDescriptor(returningTo: selector)
    let cpl = UInt32(selector & 3)
    let outer = cpl > cpu.pointee.cpl
    let offset = truncated(target, size)
    var stackDescriptor: Descriptor?
    if let stack {
      stackDescriptor = try self.stackDescriptor(stack.selector, cpl: cpl, long: cpu.longMode && d.isLong)
    }
    try check(offset, in: d)
    try markAccessed(selector, d)
    if let stack, let stackDescriptor { try markAccessed(stack.selector, stackDescriptor) }

    if let flags { loadFlags(flags, size: size) }
    setSegment(Int(PV_CS), selector: selector, descriptor: d.raw)
    if let stack {
      if let stackDescriptor {
        setSegment(Int(PV_SS), selector: stack.selector, descriptor: stackDescriptor.raw)
      } else {
        setNullSegment(Int(PV_SS), selector: stack.selector)
      }
      cpu.setStackPointer(truncated(stack.pointer, size) &+ release)
    }
    if outer {
      cpu.pointee.cpl = cpl
      dropInnerSegments()
      selectTranslations()
      system.controlWritten?(-1)
    }
    cpu.pointee.rip = cpu.codeLinear(offset)
    cpu.pointee.exit = UInt32(PV_EXIT_NONE)
  }

  /// After a return to an outer level, data segments that it may not use become null.
  func dropInnerSegments() {
    for register in [0, 3, 4, 5] {
      let segment = segment(register)
      let attributes = segment.attributes
      // A null one is as it should be, and FS and GS may still have a base.
      if cpu.isArchitectural && segment.selector & 0xFFFC == 0 { continue }
      let conforming = attributes & 0xC == 0xC
      if !conforming && UInt32(attributes >> 5 & 3) < cpu.pointee.cpl { setNullSegment(register, selector: 0) }
    }
  }

  /// What IRET does to RFLAGS (SDM volume 2, IRET): IF needs CPL <= IOPL; IOPL, VIF and VIP need CPL 0; VM stays.
  private func loadFlags(_ image: UInt64, size: Int) {
    var mask = Flag.arithmetic | Flag.tf | Flag.df | Flag.nt
    if size > 2 { mask |= Flag.rf | Flag.ac | Flag.id }
    if cpu.ioAllowed { mask |= Flag.if }
    if cpu.pointee.cpl == 0 {
      mask |= Flag.iopl
      if size > 2 { mask |= Flag.vif | Flag.vip }
    }
    let old = cpu.rflags
    cpu.rflags = old & ~mask | image & mask
    cpu.accessMayHaveChanged(from: old)
  }
}

private func jumpFar(_ cpu: CPU, _ op: Operation) -> Operation? {
  go(cpu, op, UInt16(truncatingIfNeeded: op.pointee.data), UInt64(bitPattern: op.pointee.imm), call: false)
}

private func callFar(_ cpu: CPU, _ op: Operation) -> Operation? {
  go(cpu, op, UInt16(truncatingIfNeeded: op.pointee.data), UInt64(bitPattern: op.pointee.imm), call: true)
}

private func jumpFarMemory(_ cpu: CPU, _ op: Operation) -> Operation? { goThroughMemory(cpu, op, call: false) }
private func callFarMemory(_ cpu: CPU, _ op: Operation) -> Operation? { goThroughMemory(cpu, op, call: true) }

private func goThroughMemory(_ cpu: CPU, _ op: Operation, call: Bool) -> Operation? {
  let size = Int(op.pointee.size)
  let address = cpu.effectiveAddress(op)
  guard let offset = readSized(cpu, op, address, size), let selector = read(cpu, op, address &+ UInt64(size), UInt16.self) else {
    return raise(cpu, op)
  }
  return go(cpu, op, selector, offset, call: call)
}

private func go(_ cpu: CPU, _ op: Operation, _ selector: UInt16, _ target: UInt64, call: Bool) -> Operation? {
  do throws(SegmentFault) {
    return try VCPU.of(cpu).transfer(op, selector, target, Int(op.pointee.size), call: call)
  } catch {
    return raise(cpu, op, error)
  }
}

private func returnFar(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let step = Int64(size)
  let release = UInt64(bitPattern: op.pointee.imm)
  guard let target = readStack(cpu, op, 0, size), let cs = readStack(cpu, op, step, size) else {
    return raise(cpu, op)
  }
  let selector = UInt16(truncatingIfNeeded: cs)
  if cpu.hasParagraphs {
    let offset = truncated(target, size)
    if offset > UInt64(cpu.pointee.seg.1.limit) { return raiseGP(cpu, op) }
    cpu.moveStackPointer(2 * step &+ op.pointee.imm)
    return VCPU.of(cpu).leaveToParagraph(selector, offset)
  }
  var stack: (selector: UInt16, pointer: UInt64)?
  if UInt32(selector & 3) > cpu.pointee.cpl {
    let above = 2 * step &+ op.pointee.imm
    guard let pointer = readStack(cpu, op, above, size),
      let ss = readStack(cpu, op, above &+ step, size)
    else { return raise(cpu, op) }
    stack = (UInt16(truncatingIfNeeded: ss), pointer)
  }
  // Popping is by the old stack's size; a return to the same level keeps SS.
  let mask = cpu.stackMask
  let pointer = cpu.pointee.gpr.4 &+ UInt64(bitPattern: 2 * step) &+ release
  do throws(SegmentFault) {
    try VCPU.of(cpu).comeBack(selector: selector, target: target, size: size, stack: stack, release: release, flags: nil)
  } catch {
    return raise(cpu, op, error)
  }
  if stack == nil { cpu.pointee.gpr.4 = mask == 0xFFFF ? cpu.pointee.gpr.4 & ~mask | pointer & mask : pointer & mask }
  return nil
}

private func interruptReturn(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  if size == 8 && VCPU.with(cpu, { $0.returnLongQuickly() }) { return nil }
  let step = Int64(size)
  let confined = cpu.isConfined
  if confined && !(cpu.hasVirtualExtensions && size == 2) { return raiseGP(cpu, op) }
  // NT asks for a task switch, which IA-32e mode does not have.
  if cpu.isProtected && !cpu.isVirtual8086 && cpu.pointee.rflags & Flag.nt != 0 {
    return cpu.isArchitectural && !cpu.longMode ? returnToTask(cpu, op) : raiseGP(cpu, op)
  }
  guard let target = readStack(cpu, op, 0, size), let cs = readStack(cpu, op, step, size),
    let flags = readStack(cpu, op, 2 * step, size)
  else { return raise(cpu, op) }
  let selector = UInt16(truncatingIfNeeded: cs)
  if cpu.hasParagraphs {
    let offset = truncated(target, size)
    if offset > UInt64(cpu.pointee.seg.1.limit) { return raiseGP(cpu, op) }
    if confined {
      guard cpu.setVirtualFlags(flags) else { return raiseGP(cpu, op) }
      cpu.moveStackPointer(3 * step)
      cpu.pointee.nonmaskable_blocked = 0
      return VCPU.of(cpu).leaveToParagraph(selector, offset)
    }
    var mask: UInt64 = Flag.arithmetic | Flag.tf | Flag.if | Flag.df | Flag.nt | (size > 2 ? Flag.rf | Flag.ac | Flag.id : 0)
    if !cpu.isVirtual8086 { mask |= Flag.iopl }
    let old = cpu.rflags
    cpu.rflags = old & ~mask | flags & mask
    cpu.accessMayHaveChanged(from: old)
    cpu.moveStackPointer(3 * step)
    cpu.pointee.nonmaskable_blocked = 0
    return VCPU.of(cpu).leaveToParagraph(selector, offset)
  }
  if cpu.isArchitectural && !cpu.longMode && size == 4 && flags & Flag.vm != 0 && cpu.pointee.cpl == 0 {
    return returnToVirtual8086(cpu, op, target, selector, flags)
  }
  var stack: (selector: UInt16, pointer: UInt64)?
  if cpu.pointee.mode == 0 || UInt32(selector & 3) > cpu.pointee.cpl {
    guard let pointer = readStack(cpu, op, 3 * step, size),
      let ss = readStack(cpu, op, 4 * step, size)
    else { return raise(cpu, op) }
    stack = (UInt16(truncatingIfNeeded: ss), pointer)
  }
  let mask = cpu.stackMask
  let pointer = cpu.pointee.gpr.4 &+ UInt64(bitPattern: 3 * step)
  do throws(SegmentFault) {
    try VCPU.of(cpu).comeBack(selector: selector, target: target, size: size, stack: stack, release: 0, flags: flags)
  } catch {
    return raise(cpu, op, error)
  }
  cpu.pointee.nonmaskable_blocked = 0
  if stack == nil { cpu.pointee.gpr.4 = mask == 0xFFFF ? cpu.pointee.gpr.4 & ~mask | pointer & mask : pointer & mask }
  return nil
}
