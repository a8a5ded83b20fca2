import CHost
import X86

// PUSH, POP and what is made of them, on a stack that is not flat: SP or ESP by SS.B, offsets checked against the limit. Nothing moves
// if an access faults.

/// `size` of the operation is the operand size, 2 or 4.
func lowerSegmentedStack(_ i: Instruction, _ kind: SegmentedKind, _ op: inout pv_op) {
  let operand = i.operands.0
  // Those of segment registers look at the stack by themselves.
  if operand.kind == .segment { return }
  op.size = i.operandSize == 2 ? 2 : 4
  switch kind {
  case .push:
    switch operand.kind {
    case .general: op.handler = { push($0, $1, $0.get($1.pointee.dst, UInt64.self)) }
    case .immediate: op.handler = { push($0, $1, UInt64(bitPattern: $1.pointee.imm)) }
    default: op.handler = pushM
    }
  case .pop: op.handler = operand.kind == .memory ? popM : pop
  case .pushAll: op.handler = pushAll
  case .popAll: op.handler = popAll
  case .pushFlags: op.handler = pushFlags
  case .popFlags: op.handler = popFlags
  case .enter: op.handler = enterFrame
  default: op.handler = leaveFrame
  }
}

private func push(_ cpu: CPU, _ op: Operation, _ value: UInt64) -> Operation? {
  let size = Int(op.pointee.size)
  guard writeStack(cpu, op, Int64(-size), value, size) else { return raise(cpu, op) }
  cpu.moveStackPointer(Int64(-size))
  return next(cpu, op)
}

private func pushM(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let value = readSized(cpu, op, cpu.effectiveAddress(op), Int(op.pointee.size)) else { return raise(cpu, op) }
  return push(cpu, op, value)
}

private func setGeneral(_ cpu: CPU, _ offset: UInt16, _ value: UInt64, _ size: Int) {
  if size == 2 {
    cpu.set(offset, UInt16(truncatingIfNeeded: value))
  } else {
    cpu.set(offset, UInt32(truncatingIfNeeded: value))
  }
}

private func pop(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  guard let value = readStack(cpu, op, 0, size) else { return raise(cpu, op) }
  cpu.moveStackPointer(Int64(size))
  // After the stack pointer: POP SP gets the value.
  setGeneral(cpu, op.pointee.dst, value, size)
  return next(cpu, op)
}

/// The destination's address is computed with the stack pointer already moved.
private func popM(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let old = cpu.rsp
  guard let value = readStack(cpu, op, 0, size) else { return raise(cpu, op) }
  cpu.moveStackPointer(Int64(size))
  guard segmentAllows(cpu, op.pointee.segbase, cpu.effectiveOffset(op), UInt64(size), write: true) else {
    cpu.rsp = old
    return raiseSegment(cpu, op, op.pointee.segbase)
  }
  guard writeSized(cpu, op, cpu.effectiveAddress(op), value, size) else {
    cpu.rsp = old
    return raise(cpu, op)
  }
  return next(cpu, op)
}

private func pushAll(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let step = Int64(size)
  for register in 0..<8 {
    guard writeStack(cpu, op, -step &* Int64(register &+ 1), cpu.general(register), size) else { return raise(cpu, op) }
  }
  cpu.moveStackPointer(-8 &* step)
  return next(cpu, op)
}

private func popAll(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let step = Int64(size)
  // Twice: first that nothing faults, so that no register has changed if something does.
  for pass in 0..<2 {
    for register in 0..<8 {
      guard let value = readStack(cpu, op, step &* Int64(7 &- register), size) else { return raise(cpu, op) }
      if pass == 1 && register != 4 { setGeneral(cpu, StateOffset.general(register), value, size) }
    }
  }
  cpu.moveStackPointer(8 &* step)
  return next(cpu, op)
}

/// Virtual-8086 mode needs IOPL 3 to see the flags, or CR4.VME for the low half of them.
private func flagsAreHidden(_ cpu: CPU, _ op: Operation) -> Bool {
  cpu.isConfined && !(cpu.hasVirtualExtensions && op.pointee.size == 2)
}

private func pushFlags(_ cpu: CPU, _ op: Operation) -> Operation? {
  if flagsAreHidden(cpu, op) { return raise(cpu, op, .gp, 0) }
  return push(cpu, op, cpu.isConfined ? cpu.virtualFlags : cpu.rflags & ~(Flag.vm | Flag.rf))
}

/// SDM volume 2, POPF: IOPL changes at CPL 0 only (never in virtual-8086 mode), IF where CPL ≤ IOPL; VM, VIF and VIP never; RF is cleared.
private func popFlags(_ cpu: CPU, _ op: Operation) -> Operation? {
  if flagsAreHidden(cpu, op) { return raise(cpu, op, .gp, 0) }
  let size = Int(op.pointee.size)
  guard let image = readStack(cpu, op, 0, size) else { return raise(cpu, op) }
  if cpu.isConfined {
    guard cpu.setVirtualFlags(image) else { return raise(cpu, op, .gp, 0) }
    cpu.moveStackPointer(Int64(size))
    return leave(cpu, cpu.ripAfter(op))
  }
  cpu.moveStackPointer(Int64(size))
  let old = cpu.rflags
  var changes = Flag.arithmetic | Flag.tf | Flag.df | Flag.nt
  if size > 2 { changes |= Flag.ac | Flag.id }
  if cpu.pointee.cpl == 0 { changes |= Flag.iopl }
  if cpu.ioAllowed { changes |= Flag.if }
  cpu.rflags = (old & ~changes | image & changes) & ~Flag.rf
  cpu.accessMayHaveChanged(from: old)
  return leave(cpu, cpu.ripAfter(op))
}

private func leaveFrame(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let old = cpu.rsp
  cpu.setStackPointer(cpu.rbp)
  guard let saved = readStack(cpu, op, 0, size) else {
    cpu.rsp = old
    return raise(cpu, op)
  }
  cpu.moveStackPointer(Int64(size))
  setGeneral(cpu, StateOffset.general(5), saved, size)
  return next(cpu, op)
}

private func enterFrame(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let step = Int64(size)
  let level = Int(op.pointee.extra)
  let old = cpu.rsp
  /// Pushes; false, with the stack pointer as it was before the instruction, if that faults.
  func pushed(_ value: UInt64) -> Bool {
    guard writeStack(cpu, op, -step, value, size) else {
      cpu.rsp = old
      return false
    }
    cpu.moveStackPointer(-step)
    return true
  }
  // All of ESP goes down, even where the stack pointer is SP alone and wraps.
  let newFrame = (old &- UInt64(bitPattern: step)) & 0xFFFF_FFFF
  guard pushed(cpu.rbp) else { return raise(cpu, op) }
  if level > 0 {
    for n in 1..<max(level, 1) {
      // The frames before this one, by the old BP.
      let distance = Int64(bitPattern: cpu.rbp &- cpu.rsp) &- step &* Int64(n)
      guard let value = readStack(cpu, op, distance, size) else {
        cpu.rsp = old
        return raise(cpu, op)
      }
      guard pushed(value) else { return raise(cpu, op) }
    }
    guard pushed(newFrame) else { return raise(cpu, op) }
  }
  cpu.moveStackPointer(0 &- op.pointee.imm)
  // The last thing checked is that the new top of the stack could be written.
  guard stackHas(cpu, 0, size), readForWrite(cpu, op, cpu.stackLinear(0), UInt8.self) != nil else {
    cpu.rsp = old
    return raise(cpu, op)
  }
  setGeneral(cpu, StateOffset.general(5), newFrame, size)
  return next(cpu, op)
}
