import CHost
import X86

// Arithmetic, comparisons and transcendental instructions.

func registerX87Arithmetic(_ table: inout LoweringTable) {
  let operations = [
    ("add", PV_X87_ADD), ("mul", PV_X87_MUL), ("sub", PV_X87_SUB), ("subr", PV_X87_SUBR), ("div", PV_X87_DIV), ("divr", PV_X87_DIVR),
  ]
  for (name, kind) in operations {
    table.register("f" + name, "f" + name + "p") { i, op in
      if i.operands.0.kind == .memory {
        op.describe(kind, form: i.operands.0.size == 4 ? PV_X87_SINGLE : PV_X87_DOUBLE)
        op.handler = arithmeticMemory
      } else {
        op.describe(kind, pops: i.mnemonic == Mnemonic("f" + name + "p") ? 1 : 0)
        op.handler = arithmeticRegister
      }
      return true
    }
    table.register("fi" + name) { i, op in
      op.describe(kind, form: i.operands.0.size == 2 ? PV_X87_INT16 : PV_X87_INT32)
      op.handler = arithmeticMemory
      return true
    }
  }
  registerComparisons(&table)
  let unary = [("fsqrt", PV_X87_SQRT), ("frndint", PV_X87_RNDINT), ("f2xm1", PV_X87_2XM1), ("fsin", PV_X87_SIN), ("fcos", PV_X87_COS)]
  for (name, kind) in unary {
    table.register(name) { _, op in
      op.describe(kind)
      op.handler = unaryOperation
      return true
    }
  }
  let binary = [
    ("fscale", PV_X87_SCALE, 0), ("fprem", PV_X87_PREM, 0), ("fprem1", PV_X87_PREM1, 0), ("fyl2x", PV_X87_YL2X, 1),
    ("fyl2xp1", PV_X87_YL2XP1, 1), ("fpatan", PV_X87_PATAN, 1),
  ]
  for (name, kind, pops) in binary {
    table.register(name) { _, op in
      op.describe(kind, pops: pops)
      op.handler = binaryOperation
      return true
    }
  }
  for (name, kind) in [("fptan", PV_X87_PTAN), ("fsincos", PV_X87_SINCOS), ("fxtract", PV_X87_XTRACT)] {
    table.register(name) { _, op in
      op.describe(kind)
      op.handler = pushingOperation
      return true
    }
  }
  table.register("fchs", lowerer: running(changeSign))
  table.register("fabs", lowerer: running(absolute))
}

private func registerComparisons(_ table: inout LoweringTable) {
  for (name, quiet) in [("fcom", 0), ("fucom", 1)] {
    for (suffix, pops) in [("", 0), ("p", 1), ("pp", 2)] {
      table.register(name + suffix) { i, op in
        if i.operands.0.kind == .memory {
          op.describe(quiet, form: i.operands.0.size == 4 ? PV_X87_SINGLE : PV_X87_DOUBLE, pops: pops)
          op.handler = compareMemory
        } else {
          if pops == 2 { op.src = 1 }
          op.describe(quiet, pops: pops)
          op.handler = compareRegister
        }
        return true
      }
    }
    for (suffix, pops) in [("i", 0), ("ip", 1)] {
      table.register(name + suffix) { i, op in
        op.describe(quiet, pops: pops)
        op.handler = compareToFlags
        return true
      }
    }
  }
  for (name, pops) in [("ficom", 0), ("ficomp", 1)] {
    table.register(name) { i, op in
      op.describe(0, form: i.operands.0.size == 2 ? PV_X87_INT16 : PV_X87_INT32, pops: pops)
      op.handler = compareMemory
      return true
    }
  }
  table.register("ftst", lowerer: running(testZero))
  table.register("fxam", lowerer: running(examine))
}

// MARK: - Arithmetic

private func arithmeticRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let (to, from) = (UInt32(op.pointee.dst), UInt32(op.pointee.src))
  if cpu.isEmpty(to) || cpu.isEmpty(from) {
    guard cpu.stackFault(overflow: false) else { return next(cpu, op) }
    putIndefinite(cpu.st(to))
    cpu.markUsed(to)
    popAll(cpu, op.pointee.pops)
    return next(cpu, op)
  }
  withTemporary { result in
    copyRegister(result, cpu.st(to))
    let status = pv_x87_arithmetic(UInt32(op.pointee.extra), UInt32(PV_X87_REGISTER), result, cpu.st(from), cpu.x87Control)
    if cpu.settle(status) {
      copyRegister(cpu.st(to), result)
      popAll(cpu, op.pointee.pops)
    }
  }
  return next(cpu, op)
}

/// Fetches the memory operand of `form` into `buffer`.
private func fetch(_ cpu: CPU, _ op: Operation, _ form: UInt32, _ buffer: X87Register) -> Bool {
  let size = Int(form) == PV_X87_DOUBLE ? 8 : Int(form) == PV_X87_INT16 ? 2 : 4
  guard let value = readSized(cpu, op, cpu.effectiveAddress(op), size) else { return false }
  buffer.storeBytes(of: value, as: UInt64.self)
  return true
}

private func arithmeticMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  return withTemporary { operand in
    guard fetch(cpu, op, op.pointee.form, operand) else { return raise(cpu, op) }
    if cpu.isEmpty(0) {
      if cpu.stackFault(overflow: false) {
        putIndefinite(cpu.st(0))
        cpu.markUsed(0)
      }
      return next(cpu, op)
    }
    withTemporary { result in
      copyRegister(result, cpu.st(0))
      let status = pv_x87_arithmetic(UInt32(op.pointee.extra), op.pointee.form, result, operand, cpu.x87Control)
      if cpu.settle(status) { copyRegister(cpu.st(0), result) }
    }
    return next(cpu, op)
  }
}

private func unaryOperation(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  // C2 is "incomplete" for the trigonometric ones.
  let isTrigonometric = Int(op.pointee.extra) == PV_X87_SIN || Int(op.pointee.extra) == PV_X87_COS
  let conditions = isTrigonometric ? Status.c2 : 0
  if cpu.isEmpty(0) {
    if cpu.stackFault(overflow: false, clearing: conditions) {
      putIndefinite(cpu.st(0))
      cpu.markUsed(0)
    }
    return next(cpu, op)
  }
  withTemporary { result in
    copyRegister(result, cpu.st(0))
    let status = pv_x87_unary(UInt32(op.pointee.extra), result, cpu.x87Control)
    if cpu.settle(status, conditions: conditions | Status.c1) { copyRegister(cpu.st(0), result) }
  }
  return next(cpu, op)
}

private func binaryOperation(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let target = op.pointee.pops
  let kind = Int(op.pointee.extra)
  // The remainders give the quotient's low bits and whether they are done.
  let isRemainder = kind == PV_X87_PREM || kind == PV_X87_PREM1
  if cpu.isEmpty(0) || cpu.isEmpty(1) {
    if cpu.stackFault(overflow: false, clearing: isRemainder ? Status.c2 : 0) {
      putIndefinite(cpu.st(target))
      cpu.markUsed(target)
      popAll(cpu, op.pointee.pops)
    }
    return next(cpu, op)
  }
  withTemporary { result in
    let status = pv_x87_binary(UInt32(kind), result, cpu.st(0), cpu.st(1), cpu.x87Control, cpu.x87Status)
    if cpu.settle(status, conditions: isRemainder ? Status.all : Status.c1) {
      copyRegister(cpu.st(target), result)
      popAll(cpu, op.pointee.pops)
    }
  }
  return next(cpu, op)
}

private func pushingOperation(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let kind = Int(op.pointee.extra)
  let conditions = kind == PV_X87_XTRACT ? 0 : Status.c2
  let underflow = cpu.isEmpty(0)
  if underflow || !cpu.isEmpty(7) {
    if cpu.stackFault(overflow: !underflow, clearing: conditions) {
      putIndefinite(cpu.st(0))
      cpu.markUsed(0)
      cpu.push()
      putIndefinite(cpu.st(0))
    }
    return next(cpu, op)
  }
  withTemporary { value in
    withTemporary { pushed in
      copyRegister(value, cpu.st(0))
      let status = pv_x87_pushing(UInt32(kind), value, pushed, cpu.x87Control)
      if cpu.settle(status, conditions: conditions | Status.c1) && status & conditions & Status.c2 == 0 {
        copyRegister(cpu.st(0), value)
        cpu.push()
        copyRegister(cpu.st(0), pushed)
      }
    }
  }
  return next(cpu, op)
}

private func changeSign(_ cpu: CPU, _ op: Operation) -> Operation? { editSign(cpu, op) { $0 ^ 0x8000 } }
private func absolute(_ cpu: CPU, _ op: Operation) -> Operation? { editSign(cpu, op) { $0 & 0x7FFF } }

@inline(__always) private func editSign(_ cpu: CPU, _ op: Operation, _ edit: (UInt16) -> UInt16) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let register = cpu.st(0)
  if cpu.isEmpty(0) {
    if cpu.stackFault(overflow: false) {
      putIndefinite(register)
      cpu.markUsed(0)
    }
    return next(cpu, op)
  }
  register.storeBytes(of: edit(register.load(fromByteOffset: 8, as: UInt16.self)), toByteOffset: 8, as: UInt16.self)
  cpu.clearC1()
  return next(cpu, op)
}

// MARK: - Comparisons

private func compareRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let other = UInt32(op.pointee.src)
  let go: Bool
  if cpu.isEmpty(0) || cpu.isEmpty(other) {
    go = cpu.stackFault(overflow: false, setting: Status.comparison)
  } else {
    let form = UInt32(PV_X87_REGISTER)
    let status = pv_x87_compare(form, UInt32(op.pointee.extra), cpu.st(0), cpu.st(other), cpu.x87Control)
    go = cpu.settle(status, conditions: Status.all)
  }
  if go { popAll(cpu, op.pointee.pops) }
  return next(cpu, op)
}

private func compareMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  return withTemporary { operand in
    guard fetch(cpu, op, op.pointee.form, operand) else { return raise(cpu, op) }
    let go: Bool
    if cpu.isEmpty(0) {
      go = cpu.stackFault(overflow: false, setting: Status.comparison)
    } else {
      let status = pv_x87_compare(op.pointee.form, 0, cpu.st(0), operand, cpu.x87Control)
      go = cpu.settle(status, conditions: Status.all)
    }
    if go { popAll(cpu, op.pointee.pops) }
    return next(cpu, op)
  }
}

/// FCOMI and FUCOMI: the outcome goes to ZF, PF and CF; OF, SF and AF become 0.
private func compareToFlags(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let other = UInt32(op.pointee.src)
  var status = Status.comparison
  let go: Bool
  if cpu.isEmpty(0) || cpu.isEmpty(other) {
    go = cpu.stackFault(overflow: false)
  } else {
    status = pv_x87_compare(UInt32(PV_X87_REGISTER), UInt32(op.pointee.extra), cpu.st(0), cpu.st(other), cpu.x87Control)
    go = cpu.settle(status, conditions: 0)
  }
  // The flags change even where an unmasked exception keeps the stack as it is.
  var flags: UInt64 = 0
  if status & Status.c0 != 0 { flags |= Flag.cf }
  if status & Status.c2 != 0 { flags |= Flag.pf }
  if status & Status.c3 != 0 { flags |= Flag.zf }
  cpu.setArithmeticFlags(flags)
  if go { popAll(cpu, op.pointee.pops) }
  return next(cpu, op)
}

private func testZero(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  if cpu.isEmpty(0) {
    _ = cpu.stackFault(overflow: false, setting: Status.comparison)
    return next(cpu, op)
  }
  withTemporary { value in
    copyRegister(value, cpu.st(0))
    _ = cpu.settle(pv_x87_unary(UInt32(PV_X87_TST), value, cpu.x87Control), conditions: Status.all)
  }
  return next(cpu, op)
}

private func examine(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  withTemporary { value in
    copyRegister(value, cpu.st(0))
    var status = pv_x87_unary(UInt32(PV_X87_XAM), value, cpu.x87Control)
    if cpu.isEmpty(0) { status = status & Status.c1 | Status.c3 | Status.c0 }
    _ = cpu.settle(status, conditions: Status.all)
  }
  return next(cpu, op)
}
