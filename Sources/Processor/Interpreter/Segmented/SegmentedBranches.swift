import CHost
import X86

// Near branches in a code segment that is not flat: targets are offsets, checked against its limit. They go on through the run loop.

/// An offset in the code segment as the operand size cuts it.
private func cut(_ offset: UInt64, _ size: UInt8) -> UInt64 { offset & (size == 2 ? 0xFFFF : 0xFFFF_FFFF) }

/// The offset of a relative branch's target.
private func relativeTarget(_ cpu: CPU, _ op: Operation, _ size: UInt8) -> UInt64 {
  cut(cpu.pointee.block_rip &+ UInt64(bitPattern: op.pointee.imm) &- cpu.pointee.seg.1.base, size)
}

/// The offset of the next instruction.
private func offsetAfter(_ cpu: CPU, _ op: Operation) -> UInt64 { (cpu.ripAfter(op) &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF }

private func go(_ cpu: CPU, _ op: Operation, to offset: UInt64) -> Operation? {
  let code = cpu.pointee.seg.1
  if offset > UInt64(code.limit) { return raise(cpu, op, .gp, 0) }
  return leave(cpu, (code.base &+ offset) & 0xFFFF_FFFF)
}

private func goRelative(_ cpu: CPU, _ op: Operation) -> Operation? { go(cpu, op, to: relativeTarget(cpu, op, op.pointee.size)) }

private func goOn(_ cpu: CPU, _ op: Operation) -> Operation? { leave(cpu, cpu.ripAfter(op)) }

/// `size` of the operation is the operand size, 2 or 4; `extra` a condition, or the address size of what counts.
func lowerSegmentedBranch(_ i: Instruction, _ kind: SegmentedKind, _ op: inout pv_op) {
  op.size = i.operandSize == 2 ? 2 : 4
  op.flags |= UInt16(PV_OP_ENDS_BLOCK)
  op.flags &= ~UInt16(PV_OP_CONDITIONAL)
  switch kind {
  case .conditional: op.handler = { $0.holds($1.pointee.extra) ? goRelative($0, $1) : goOn($0, $1) }
  case .count:
    op.extra = op.size
    op.size = i.addressSize
    switch i.mnemonic.name {
    case "loop": op.handler = { countDown($0, $1) { _ in true } }
    case "loope": op.handler = { countDown($0, $1) { $0.zf } }
    case "loopne": op.handler = { countDown($0, $1) { !$0.zf } }
    default: op.handler = jumpIfZero
    }
  case .ret: op.handler = returnNear
  case .jump:
    switch i.operands.0.kind {
    case .relative: op.handler = goRelative
    case .general: op.handler = { go($0, $1, to: cut($0.get($1.pointee.dst, UInt64.self), $1.pointee.size)) }
    default: op.handler = jumpM
    }
  default:
    switch i.operands.0.kind {
    case .relative: op.handler = { call($0, $1, relativeTarget($0, $1, $1.pointee.size)) }
    case .general: op.handler = { call($0, $1, cut($0.get($1.pointee.dst, UInt64.self), $1.pointee.size)) }
    default: op.handler = callM
    }
  }
}

private func jumpIfZero(_ cpu: CPU, _ op: Operation) -> Operation? {
  let mask: UInt64 = op.pointee.size == 2 ? 0xFFFF : 0xFFFF_FFFF
  return cpu.rcx & mask == 0 ? go(cpu, op, to: relativeTarget(cpu, op, op.pointee.extra)) : goOn(cpu, op)
}

/// LOOP; where the target is outside, nothing has been counted.
@inline(__always) private func countDown(_ cpu: CPU, _ op: Operation, _ condition: (CPU) -> Bool) -> Operation? {
  let before = cpu.rcx
  if !(decremented(cpu, op) && condition(cpu)) { return goOn(cpu, op) }
  let offset = relativeTarget(cpu, op, op.pointee.extra)
  if offset > UInt64(cpu.pointee.seg.1.limit) { cpu.rcx = before }
  return go(cpu, op, to: offset)
}

private func jumpM(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let target = readSized(cpu, op, cpu.effectiveAddress(op), Int(op.pointee.size)) else { return raise(cpu, op) }
  return go(cpu, op, to: target)
}

private func callM(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let target = readSized(cpu, op, cpu.effectiveAddress(op), Int(op.pointee.size)) else { return raise(cpu, op) }
  return call(cpu, op, target)
}

private func call(_ cpu: CPU, _ op: Operation, _ target: UInt64) -> Operation? {
  let size = Int(op.pointee.size)
  if target > UInt64(cpu.pointee.seg.1.limit) { return raise(cpu, op, .gp, 0) }
  guard writeStack(cpu, op, Int64(-size), offsetAfter(cpu, op), size) else { return raise(cpu, op) }
  cpu.moveStackPointer(Int64(-size))
  return go(cpu, op, to: target)
}

private func returnNear(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  guard let target = readStack(cpu, op, 0, size) else { return raise(cpu, op) }
  if target > UInt64(cpu.pointee.seg.1.limit) { return raise(cpu, op, .gp, 0) }
  cpu.moveStackPointer(Int64(size) &+ op.pointee.imm)
  return go(cpu, op, to: target)
}
