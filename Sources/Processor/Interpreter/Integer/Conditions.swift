import CHost
import X86

// Conditions, and what depends on them: branches, SETcc, CMOVcc.

protocol Condition {
  static func holds(_ cpu: CPU) -> Bool
}

enum Overflow: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.of } }
enum NoOverflow: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !cpu.of } }
enum Below: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.cf } }
enum AboveOrEqual: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !cpu.cf } }
enum Zero: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.zf } }
enum NotZero: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !cpu.zf } }
enum BelowOrEqual: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.cf || cpu.zf } }
enum Above: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !(cpu.cf || cpu.zf) } }
enum Sign: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.sf } }
enum NoSign: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !cpu.sf } }
enum Parity: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.pf } }
enum NoParity: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !cpu.pf } }
enum Less: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.isLess } }
enum GreaterOrEqual: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !cpu.isLess } }
enum LessOrEqual: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { cpu.zf || cpu.isLess } }
enum Greater: Condition { @inline(__always) static func holds(_ cpu: CPU) -> Bool { !(cpu.zf || cpu.isLess) } }

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// SF != OF
  @inline(__always) var isLess: Bool {
    let aux = pointee.lazy_aux
    let sign = (pointee.lazy_result >> 63) ^ aux
    return (sign ^ (aux >> 63) ^ (aux >> 62)) & 1 != 0
  }

  /// The condition of a 4-bit code, in encoding order.
  func holds(_ code: UInt8) -> Bool {
    switch code & 15 {
    case 0: return Overflow.holds(self)
    case 1: return NoOverflow.holds(self)
    case 2: return Below.holds(self)
    case 3: return AboveOrEqual.holds(self)
    case 4: return Zero.holds(self)
    case 5: return NotZero.holds(self)
    case 6: return BelowOrEqual.holds(self)
    case 7: return Above.holds(self)
    case 8: return Sign.holds(self)
    case 9: return NoSign.holds(self)
    case 10: return Parity.holds(self)
    case 11: return NoParity.holds(self)
    case 12: return Less.holds(self)
    case 13: return GreaterOrEqual.holds(self)
    case 14: return LessOrEqual.holds(self)
    default: return Greater.holds(self)
    }
  }
}

// MARK: - Jcc

@inline(__always) func branch<C: Condition>(_ cpu: CPU, _ op: Operation, _: C.Type) -> Operation? {
  C.holds(cpu) ? branchTaken(cpu, op) : branchNotTaken(cpu, op)
}

func lowerBranch(_ i: Instruction, _ op: inout pv_op, _ code: UInt8, _ handler: pv_handler) -> Bool {
  op.extra = code
  if isNarrowBranch(i, op) { return op.takeLast { c, o in c.holds(o.pointee.extra) ? branchNarrow(c, o) : branchNotTaken(c, o) } }
  op.flags |= UInt16(PV_OP_CONDITIONAL)
  return op.takeLast(handler)
}

/// A near branch whose operand size cuts EIP to 16 bits. (In 64-bit mode the prefix is ignored.)
func isNarrowBranch(_ i: Instruction, _ op: pv_op) -> Bool { i.operandSize == 2 && !op.isCode64 }

func branchNarrow(_ cpu: CPU, _ op: Operation) -> Operation? {
  jumpIndirect(cpu, op, (cpu.pointee.block_rip &+ UInt64(bitPattern: op.pointee.imm)) & 0xFFFF)
}

// MARK: - SETcc

@inline(__always) func setR<C: Condition>(_ cpu: CPU, _ op: Operation, _: C.Type) -> Operation? {
  cpu.set(op.pointee.dst, C.holds(cpu) ? 1 : 0 as UInt8)
  return next(cpu, op)
}

func lowerSet(_ i: Instruction, _ op: inout pv_op, _ code: UInt8, _ handler: pv_handler) -> Bool {
  op.extra = code
  if i.operands.0.kind != .memory { return op.take(handler) }
  return op.take { cpu, op in
    let value: UInt8 = cpu.holds(op.pointee.extra) ? 1 : 0
    guard write(cpu, op, cpu.effectiveAddress(op), value) else { return raise(cpu, op) }
    return next(cpu, op)
  }
}

// MARK: - CMOVcc

@inline(__always) func conditionalMove<T: MachineWord, C: Condition>(_ cpu: CPU, _ op: Operation, _: T.Type, _: C.Type) -> Operation? {
  let destination = op.pointee.dst
  let old = cpu.get(destination, T.self)
  let new = cpu.get(op.pointee.src, T.self)
  // A 32-bit move clears the upper half even if it does not happen.
  cpu.set(destination, C.holds(cpu) ? new : old)
  return next(cpu, op)
}

@inline(__always) private func conditionalLoad<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), T.self) else { return conditionalLoadSlow(cpu, op, T.self) }
  let new = p.loadUnaligned(as: T.self)
  cpu.set(op.pointee.dst, cpu.holds(op.pointee.extra) ? new : cpu.get(op.pointee.dst, T.self))
  return next(cpu, op)
}

@inline(never) private func conditionalLoadSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let new = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  cpu.set(op.pointee.dst, cpu.holds(op.pointee.extra) ? new : cpu.get(op.pointee.dst, T.self))
  return next(cpu, op)
}

func lowerMove(_ i: Instruction, _ op: inout pv_op, _ code: UInt8, _ double: pv_handler, _ quad: pv_handler) -> Bool {
  op.extra = code
  switch Form(i) {
  case .rr:
    let word: pv_handler = { cpu, op in
      if cpu.holds(op.pointee.extra) { cpu.set(op.pointee.dst, cpu.get(op.pointee.src, UInt16.self)) }
      return next(cpu, op)
    }
    return op.take(i.operands.0.size, nil, word, double, quad)
  case .rm:
    return op.take(
      i.operands.0.size, nil, { conditionalLoad($0, $1, UInt16.self) }, { conditionalLoad($0, $1, UInt32.self) },
      { conditionalLoad($0, $1, UInt64.self) })
  default: return false
  }
}
