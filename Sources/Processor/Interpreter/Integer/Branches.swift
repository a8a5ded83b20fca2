import CHost
import X86

// CALL, JMP and RET within the segment, JCXZ, LOOP.

func registerBranches(_ table: inout LoweringTable) {
  table.register("jmp") { lowerJump($0, &$1) }
  table.register("call") { lowerCall($0, &$1) }
  table.register("ret") { i, op in
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if i.operands.0.kind != .immediate { op.imm = 0 }
    op.imm &= 0xFFFF
    if op.isCode64 { return op.takeLast(ret64) }
    return op.takeLast(
      i.operandSize == 2, { returnNear($0, $1, UInt16.self, code64: false) }, { returnNear($0, $1, UInt32.self, code64: false) })
  }
  for name in ["jcxz", "jecxz", "jrcxz"] { table.register(name) { i, op in lowerCount(i, &op, jumpIfCountIsZero) } }
  table.register("loop") { i, op in lowerCount(i, &op, loop) }
  table.register("loope") { i, op in lowerCount(i, &op, loopWhileEqual) }
  table.register("loopne") { i, op in lowerCount(i, &op, loopWhileNotEqual) }
}

@inline(__always) private func jump(_ c: CPU, _ o: Operation) -> Operation? { branchTaken(c, o) }

private func lowerJump(_ i: Instruction, _ op: inout pv_op) -> Bool {
  switch i.operands.0.kind {
  case .relative:
    return op.takeLast(isNarrowBranch(i, op), { branchNarrow($0, $1) }, jump)
  case .general:
    if op.isCode64 { return op.takeLast { jumpIndirect($0, $1, $0.get($1.pointee.dst, UInt64.self)) } }
    return op.takeLast(
      i.operandSize == 2, { jumpIndirect($0, $1, UInt64($0.get($1.pointee.dst, UInt16.self))) },
      { jumpIndirect($0, $1, UInt64($0.get($1.pointee.dst, UInt32.self))) })
  case .memory:
    if op.isCode64 { return op.takeLast { jumpM($0, $1, UInt64.self) } }
    return op.takeLast(i.operandSize == 2, { jumpM($0, $1, UInt16.self) }, { jumpM($0, $1, UInt32.self) })
  default: return false
  }
}

@inline(__always) private func jumpM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let target = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return jumpIndirect(cpu, op, UInt64(truncatingIfNeeded: target))
}

// MARK: - CALL

private func lowerCall(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let narrow = isNarrowBranch(i, op)
  switch i.operands.0.kind {
  case .relative:
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if op.isCode64 { return op.takeLast(call64) }
    return op.takeLast(narrow, { callDirect16($0, $1) }, { callDirect($0, $1, UInt32.self, code64: false) })
  case .general:
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if op.isCode64 { return op.takeLast { callIndirect($0, $1, $0.get($1.pointee.dst, UInt64.self), code64: true) } }
    return op.takeLast(
      narrow, { callIndirect($0, $1, $0.get($1.pointee.dst, UInt16.self), code64: false) },
      { callIndirect($0, $1, $0.get($1.pointee.dst, UInt32.self), code64: false) })
  case .memory:
    if op.isCode64 { return op.takeLast { callM($0, $1, UInt64.self, code64: true) } }
    return op.takeLast(narrow, { callM($0, $1, UInt16.self, code64: false) }, { callM($0, $1, UInt32.self, code64: false) })
  default: return false
  }
}

@inline(__always) private func call64(_ c: CPU, _ o: Operation) -> Operation? { callDirect(c, o, UInt64.self, code64: true) }

@inline(__always) private func callDirect<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  let (linear, pointer) = stackBelow(cpu, code64, T.self)
  guard let p = writable(cpu, linear, T.self) else { return callDirectSlow(cpu, op, T.self, code64: code64) }
  p.storeBytes(of: T(truncatingIfNeeded: cpu.ripAfter(op)), as: T.self)
  cpu.rsp = pointer
  return branchTaken(cpu, op)
}

@inline(never) private func callDirectSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  let (linear, pointer) = stackBelow(cpu, code64, T.self)
  guard write(cpu, op, linear, T(truncatingIfNeeded: cpu.ripAfter(op))) else { return raise(cpu, op) }
  cpu.rsp = pointer
  return branchTaken(cpu, op)
}

private func callDirect16(_ cpu: CPU, _ op: Operation) -> Operation? {
  let target = (cpu.pointee.block_rip &+ UInt64(bitPattern: op.pointee.imm)) & 0xFFFF
  return callIndirect(cpu, op, UInt16(truncatingIfNeeded: target), code64: false)
}

/// The return address is stored before the target is checked; RSP changes only where both are right.
@inline(__always) private func callIndirect<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ target: T, code64: Bool) -> Operation? {
  let target = UInt64(truncatingIfNeeded: target)
  let (linear, pointer) = stackBelow(cpu, code64, T.self)
  guard write(cpu, op, linear, T(truncatingIfNeeded: cpu.ripAfter(op))) else { return stackFault(cpu, op, linear) }
  if code64 && !isCanonical(target) { return raise(cpu, op, .gp, 0) }
  cpu.rsp = pointer
  return jumpIndirect(cpu, op, target)
}

@inline(__always) private func callM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let target = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return callIndirect(cpu, op, target, code64: code64)
}

// MARK: - RET

@inline(__always) private func ret64(_ c: CPU, _ o: Operation) -> Operation? { returnNear(c, o, UInt64.self, code64: true) }

@inline(__always) private func returnNear<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let p = readable(cpu, stackLinear(cpu, code64, cpu.rsp), T.self) else { return returnSlow(cpu, op, T.self, code64: code64) }
  return returnNear(cpu, op, to: p.loadUnaligned(as: T.self), code64: code64)
}

@inline(never) private func returnSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let target = read(cpu, op, stackLinear(cpu, code64, cpu.rsp), T.self) else { return raise(cpu, op) }
  return returnNear(cpu, op, to: target, code64: code64)
}

@inline(__always) private func returnNear<T: MachineWord>(_ cpu: CPU, _ op: Operation, to target: T, code64: Bool) -> Operation? {
  let target = UInt64(truncatingIfNeeded: target)
  if code64 && !isCanonical(target) { return raise(cpu, op, .gp, 0) }
  cpu.rsp = stackAbove(cpu, code64, UInt64(MemoryLayout<T>.size) &+ UInt64(bitPattern: op.pointee.imm))
  return jumpIndirect(cpu, op, target)
}

// MARK: - By count

private func lowerCount(_ i: Instruction, _ op: inout pv_op, _ handler: @escaping pv_handler) -> Bool {
  op.size = i.addressSize
  op.extra = isNarrowBranch(i, op) ? 1 : 0
  return op.takeLast(handler)
}

@inline(__always) func decremented(_ cpu: CPU, _ op: Operation) -> Bool {
  switch op.pointee.size {
  case 2:
    let count = UInt16(truncatingIfNeeded: cpu.rcx) &- 1
    cpu.set(StateOffset.general(1), count)
    return count != 0
  case 4:
    let count = UInt32(truncatingIfNeeded: cpu.rcx) &- 1
    cpu.set(StateOffset.general(1), count)
    return count != 0
  default:
    cpu.rcx = cpu.rcx &- 1
    return cpu.rcx != 0
  }
}

@inline(__always) private func branch(_ cpu: CPU, _ op: Operation, if taken: Bool) -> Operation? {
  if !taken { return branchNotTaken(cpu, op) }
  return op.pointee.extra != 0 ? branchNarrow(cpu, op) : branchTaken(cpu, op)
}

private func jumpIfCountIsZero(_ cpu: CPU, _ op: Operation) -> Operation? {
  let mask: UInt64 = op.pointee.size == 8 ? ~0 : op.pointee.size == 4 ? 0xFFFF_FFFF : 0xFFFF
  return branch(cpu, op, if: cpu.rcx & mask == 0)
}
private func loop(_ cpu: CPU, _ op: Operation) -> Operation? { branch(cpu, op, if: decremented(cpu, op)) }
private func loopWhileEqual(_ cpu: CPU, _ op: Operation) -> Operation? {
  let more = decremented(cpu, op)
  return branch(cpu, op, if: more && cpu.zf)
}
private func loopWhileNotEqual(_ cpu: CPU, _ op: Operation) -> Operation? {
  let more = decremented(cpu, op)
  return branch(cpu, op, if: more && !cpu.zf)
}
