import CHost
import X86

// A comparison and the conditional branch behind it as one operation: one dispatch less, and the condition comes from the operands.
// The flags are stored all the same. The branch stays in the block behind the fused operation, which reads its target and links
// from there; so whatever runs the comparison alone (a block cut at a deadline, a single step) has only to put the comparison's own
// handler back, which is kept in `data`.

extension pv_op {
  /// Notes what this operation is, by its size in bytes, for `fuse`.
  mutating func isFusible(_ size: UInt8, _ byte: Fusible, _ word: Fusible, _ double: Fusible, _ quad: Fusible) {
    src3 = (size == 1 ? byte : size == 2 ? word : size == 4 ? double : quad).rawValue
    flags |= UInt16(PV_OP_FUSIBLE)
  }

  /// The handler this operation had before it was fused with the next.
  mutating func unfuse() {
    guard flags & UInt16(PV_OP_FUSED) != 0 else { return }
    handler = unsafeBitCast(UInt(truncatingIfNeeded: data), to: pv_handler.self)
    flags &= ~UInt16(PV_OP_FUSED)
  }
}

/// Fuses the last two operations of a block, if they are a pair that there is a handler for.
func fuse(_ ops: Operation, _ count: Int) {
  guard count >= 2 else { return }
  let branch = ops + (count - 1)
  let compare = branch - 1
  guard branch.pointee.flags & UInt16(PV_OP_CONDITIONAL) != 0, compare.pointee.flags & UInt16(PV_OP_FUSIBLE) != 0 else { return }
  guard let kind = Fusible(rawValue: compare.pointee.src3), let handler = fusedHandler(kind, branch.pointee.extra) else { return }
  compare.pointee.data = UInt64(UInt(bitPattern: unsafeBitCast(compare.pointee.handler, to: UnsafeRawPointer.self)))
  compare.pointee.handler = handler
  compare.pointee.flags |= UInt16(PV_OP_FUSED)
}

extension Condition {
  /// Whether the condition holds after `O` made `result` of `a` and `b`.
  @inline(__always) static func holds<T: MachineWord, O: BinaryOperation>(_ a: T, _ b: T, _ result: T, _: O.Type) -> Bool {
    let top = T.bitWidth &- 1
    let sign: T = 1 << top
    // A logic operation leaves CF and OF 0, so that "less" is the sign.
    let below = O.self == Compare.self ? a < b : false
    let less = O.self == Compare.self ? (a ^ sign) < (b ^ sign) : result >> top != 0
    if Self.self == Below.self { return below }
    if Self.self == AboveOrEqual.self { return !below }
    if Self.self == Zero.self { return result == 0 }
    if Self.self == NotZero.self { return result != 0 }
    if Self.self == BelowOrEqual.self { return below || result == 0 }
    if Self.self == Above.self { return !(below || result == 0) }
    if Self.self == Sign.self { return result >> top != 0 }
    if Self.self == NoSign.self { return result >> top == 0 }
    if Self.self == Less.self { return less }
    if Self.self == GreaterOrEqual.self { return !less }
    if Self.self == LessOrEqual.self { return less || result == 0 }
    return !(less || result == 0)
  }
}

@inline(__always) private func fused<T: MachineWord, O: BinaryOperation, C: Condition>(
  _ cpu: CPU, _ op: Operation, _ a: T, _ b: T, _: O.Type, _: C.Type
) -> Operation? {
  let r = O.result(cpu, a, b)
  O.setFlags(cpu, a, b, r)
  if O.writes { cpu.set(op.pointee.dst, r) }
  let branch = op + 1
  return C.holds(a, b, r, O.self) ? branchTaken(cpu, branch) : branchNotTaken(cpu, branch)
}

@inline(__always) func fusedRR<T: MachineWord, O: BinaryOperation, C: Condition>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type, _: C.Type
) -> Operation? {
  fused(cpu, op, cpu.get(op.pointee.dst, T.self), cpu.get(op.pointee.src, T.self), O.self, C.self)
}

@inline(__always) func fusedRI<T: MachineWord, O: BinaryOperation, C: Condition>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type, _: C.Type
) -> Operation? {
  fused(cpu, op, cpu.get(op.pointee.dst, T.self), cpu.immediate(op, T.self), O.self, C.self)
}

/// Where the TLB does not have the operand, the comparison and the branch run one after the other.
@inline(__always) func fusedRM<T: MachineWord, O: BinaryOperation, C: Condition>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type, _: C.Type
) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), T.self) else { return unfused(cpu, op) }
  return fused(cpu, op, cpu.get(op.pointee.dst, T.self), p.loadUnaligned(as: T.self), O.self, C.self)
}

@inline(__always) func fusedMI<T: MachineWord, O: BinaryOperation, C: Condition>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type, _: C.Type
) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), T.self) else { return unfused(cpu, op) }
  return fused(cpu, op, p.loadUnaligned(as: T.self), cpu.immediate(op, T.self), O.self, C.self)
}

@inline(never) private func unfused(_ cpu: CPU, _ op: Operation) -> Operation? {
  let handler = unsafeBitCast(UInt(truncatingIfNeeded: op.pointee.data), to: pv_handler.self)
  return handler(cpu, op)
}
