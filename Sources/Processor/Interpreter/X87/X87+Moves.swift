import CHost
import X86

// Loads, stores, constants, exchanges and conditional moves.

func registerX87Moves(_ table: inout LoweringTable) {
  table.register("fld") { i, op in
    switch (i.operands.0.kind, i.operands.0.size) {
    case (.memory, 4): op.describe(0, form: PV_X87_SINGLE)
    case (.memory, 8): op.describe(0, form: PV_X87_DOUBLE)
    case (.memory, _):
      op.handler = loadExtended
      return true
    default:
      op.handler = loadRegister
      return true
    }
    op.handler = loadMemory
    return true
  }
  table.register("fild") { i, op in
    op.describe(0, form: integerForm(i))
    op.handler = loadMemory
    return true
  }
  table.register("fbld") { _, op in
    op.describe(0, form: PV_X87_BCD)
    op.handler = loadMemory
    return true
  }
  let uncheckedStore = Mnemonic("fstp").flatMap { name in
    InstructionTable.shared.forms(of: name).first { $0.flags.contains(.alternative) }?.id
  }
  for (name, pops) in [("fst", 0), ("fstp", 1)] {
    table.register(name) { i, op in
      switch (i.operands.0.kind, i.operands.0.size) {
      case (.memory, 4): op.describe(0, form: PV_X87_SINGLE, pops: pops)
      case (.memory, 8): op.describe(0, form: PV_X87_DOUBLE, pops: pops)
      case (.memory, _):
        op.describe(0, pops: pops)
        op.handler = storeExtended
        return true
      default:
        op.describe(0, pops: pops)
        op.handler = i.form == uncheckedStore ? storeRegisterUnchecked : storeRegister
        return true
      }
      op.handler = storeMemory
      return true
    }
  }
  for (name, truncates, pops) in [("fist", 0, 0), ("fistp", 0, 1), ("fisttp", 1, 1)] {
    table.register(name) { i, op in
      op.describe(truncates, form: integerForm(i), pops: pops)
      op.handler = storeMemory
      return true
    }
  }
  table.register("fbstp") { _, op in
    op.describe(0, form: PV_X87_BCD, pops: 1)
    op.handler = storeMemory
    return true
  }
  let constants = [
    ("fld1", PV_X87_1), ("fldl2t", PV_X87_L2T), ("fldl2e", PV_X87_L2E), ("fldpi", PV_X87_PI), ("fldlg2", PV_X87_LG2),
    ("fldln2", PV_X87_LN2), ("fldz", PV_X87_Z),
  ]
  for (name, kind) in constants {
    table.register(name) { _, op in
      op.describe(kind)
      op.handler = loadConstant
      return true
    }
  }
  table.register("fxch", lowerer: running(exchange))
  // Bits of `extra`: 1 CF, 2 ZF, 4 PF; 8 negates.
  let conditions = [
    ("b", 1), ("e", 2), ("be", 3), ("u", 4), ("nb", 9), ("ne", 10), ("nbe", 11), ("nu", 12),
  ]
  for (name, bits) in conditions {
    table.register("fcmov" + name) { _, op in
      op.extra = UInt8(bits)
      op.handler = moveIf
      return true
    }
  }
}

private func integerForm(_ i: Instruction) -> Int {
  switch i.operands.0.size {
  case 2: return PV_X87_INT16
  case 4: return PV_X87_INT32
  default: return PV_X87_INT64
  }
}

private func formSize(_ form: UInt32) -> Int {
  switch Int(form) {
  case PV_X87_INT16: return 2
  case PV_X87_SINGLE, PV_X87_INT32: return 4
  case PV_X87_BCD: return 10
  default: return 8
  }
}

// MARK: - Loads

/// A push onto a register in use: masked, the new ST(0) is the default NaN.
private func overflowed(_ cpu: CPU) -> Bool {
  if cpu.isEmpty(7) { return false }
  if cpu.stackFault(overflow: true) {
    cpu.push()
    putIndefinite(cpu.st(0))
  }
  return true
}

private func loadMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let form = op.pointee.form
  return withTemporary { buffer in
    guard let source = readBytes(cpu, op, cpu.effectiveAddress(op), formSize(form), buffer) else { return raise(cpu, op) }
    if overflowed(cpu) { return next(cpu, op) }
    withTemporary { result in
      let status = pv_x87_load(form, result, source, cpu.x87Control)
      // A denormal is loaded even where that exception is not masked.
      if cpu.settle(status) || status & Status.invalid == 0 {
        cpu.push()
        copyRegister(cpu.st(0), result)
      }
    }
    return next(cpu, op)
  }
}

private func loadExtended(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  return withTemporary { buffer in
    guard let source = readBytes(cpu, op, cpu.effectiveAddress(op), 10, buffer) else { return raise(cpu, op) }
    if overflowed(cpu) { return next(cpu, op) }
    cpu.clearC1()
    cpu.push()
    copyRegister(cpu.st(0), source)
    return next(cpu, op)
  }
}

private func loadRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let from = UInt32(op.pointee.dst)
  if cpu.isEmpty(from) {
    if cpu.stackFault(overflow: false) {
      cpu.push()
      putIndefinite(cpu.st(0))
    }
    return next(cpu, op)
  }
  if overflowed(cpu) { return next(cpu, op) }
  let source = cpu.st(from)
  cpu.clearC1()
  cpu.push()
  copyRegister(cpu.st(0), source)
  return next(cpu, op)
}

private func loadConstant(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  if overflowed(cpu) { return next(cpu, op) }
  cpu.clearC1()
  cpu.push()
  pv_x87_constant(UInt32(op.pointee.extra), cpu.st(0), cpu.x87Control)
  return next(cpu, op)
}

// MARK: - Stores

private func storeMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let form = op.pointee.form
  let size = formSize(form)
  let address = cpu.effectiveAddress(op)
  return withTemporary { result in
    var status = Status.invalid | Status.stackFault
    if cpu.isEmpty(0) {
      putIndefinite(form, result)
    } else {
      status = pv_x87_store(form, UInt32(op.pointee.extra), cpu.st(0), result, cpu.x87Control)
    }
    // Unmasked overflow and underflow keep a store from memory too.
    let unmasked = status & ~UInt32(cpu.x87Control) & 0x1F
    // Nothing is looked at in memory then.
    if unmasked == 0 {
      guard writeBytes(cpu, op, address, result, size) else { return raise(cpu, op) }
    }
    _ = cpu.settle(status)
    if unmasked == 0 { popAll(cpu, op.pointee.pops) }
    return next(cpu, op)
  }
}

/// The default NaN in a memory form.
private func putIndefinite(_ form: UInt32, _ to: X87Register) {
  switch Int(form) {
  case PV_X87_SINGLE: to.storeBytes(of: 0xFFC0_0000, as: UInt32.self)
  case PV_X87_DOUBLE: to.storeBytes(of: 0xFFF8_0000_0000_0000, as: UInt64.self)
  case PV_X87_INT16: to.storeBytes(of: 0x8000, as: UInt16.self)
  case PV_X87_INT32: to.storeBytes(of: 0x8000_0000, as: UInt32.self)
  case PV_X87_INT64: to.storeBytes(of: 0x8000_0000_0000_0000, as: UInt64.self)
  default: putIndefinite(to)
  }
}

private func storeExtended(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let address = cpu.effectiveAddress(op)
  return withTemporary { image in
    let empty = cpu.isEmpty(0)
    if empty { putIndefinite(image) } else { copyRegister(image, cpu.st(0)) }
    if empty && UInt32(cpu.x87Control) & Status.invalid == 0 {
      _ = cpu.stackFault(overflow: false)
      return next(cpu, op)
    }
    guard writeBytes(cpu, op, address, image, 10) else { return raise(cpu, op) }
    if empty { _ = cpu.stackFault(overflow: false) } else { cpu.clearC1() }
    popAll(cpu, op.pointee.pops)
    return next(cpu, op)
  }
}

private func storeRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let to = UInt32(op.pointee.dst)
  if cpu.isEmpty(0) {
    guard cpu.stackFault(overflow: false) else { return next(cpu, op) }
    putIndefinite(cpu.st(to))
  } else {
    cpu.clearC1()
    copyRegister(cpu.st(to), cpu.st(0))
  }
  cpu.markUsed(to)
  popAll(cpu, op.pointee.pops)
  return next(cpu, op)
}

/// FSTP ST(i) by D9 /3: an empty ST(0) is popped and nothing else happens, as on Intel's processors.
private func storeRegisterUnchecked(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu), cpu.isEmpty(0) else { return storeRegister(cpu, op) }
  cpu.clearC1()
  cpu.pop()
  return next(cpu, op)
}

// MARK: - Between registers

private func exchange(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let other = UInt32(op.pointee.src)
  if cpu.isEmpty(0) || cpu.isEmpty(other) {
    guard cpu.stackFault(overflow: false) else { return next(cpu, op) }
    for i in [0, other] where cpu.isEmpty(i) {
      putIndefinite(cpu.st(i))
      cpu.markUsed(i)
    }
  } else {
    cpu.clearC1()
  }
  withTemporary { saved in
    copyRegister(saved, cpu.st(0))
    copyRegister(cpu.st(0), cpu.st(other))
    copyRegister(cpu.st(other), saved)
  }
  return next(cpu, op)
}

private func moveIf(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  let from = UInt32(op.pointee.src)
  if cpu.isEmpty(0) || cpu.isEmpty(from) {
    if cpu.stackFault(overflow: false) {
      putIndefinite(cpu.st(0))
      cpu.markUsed(0)
    }
    return next(cpu, op)
  }
  let bits = op.pointee.extra
  var holds = bits & 1 != 0 && cpu.cf
  if bits & 2 != 0 && cpu.zf { holds = true }
  if bits & 4 != 0 && cpu.pf { holds = true }
  if holds != (bits & 8 != 0) { copyRegister(cpu.st(0), cpu.st(from)) }
  return next(cpu, op)
}
