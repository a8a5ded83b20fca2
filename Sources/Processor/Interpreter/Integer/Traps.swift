import CHost
import X86

// Software interrupts, BOUND, ARPL, undefined opcodes; instructions that do nothing; RDRAND and RDSEED.

func registerTraps(_ table: inout LoweringTable) {
  table.register("int3") { _, op in op.takeLast { trap($0, $1, .bp) } }
  table.register("int1") { _, op in op.takeLast { trap($0, $1, .db) } }
  table.register("into") { _, op in
    op.isCode64 ? false : op.takeLast { $0.of ? trap($0, $1, .of) : leave($0, $0.ripAfter($1)) }
  }
  table.register("int") { _, op in
    op.takeLast { cpu, op in
      cpu.pointee.vector = UInt32(truncatingIfNeeded: op.pointee.imm & 0xFF)
      cpu.pointee.rip = cpu.rip(of: op)
      cpu.pointee.next_rip = cpu.ripAfter(op)
      cpu.pointee.exit = UInt32(PV_EXIT_INTERRUPT)
      return nil
    }
  }
  for name in ["ud0", "ud1", "ud2"] { table.register(name) { _, op in op.takeLast { raise($0, $1, .ud) } } }
  table.register("bound") { i, op in
    op.isCode64
      ? false : op.take(i.operands.0.size, nil, { checkBounds($0, $1, UInt16.self) }, { checkBounds($0, $1, UInt32.self) }, nil)
  }
  table.register("arpl") { i, op in
    if op.isCode64 { return false }
    return i.operands.0.kind == .memory ? op.take { adjustPrivilegeM($0, $1) } : op.take { adjustPrivilegeR($0, $1) }
  }
  for name in [
    "nop", "pause", "endbr64", "endbr32", "prefetch", "prefetchw", "prefetchwt1", "prefetchnta", "prefetcht0", "prefetcht1",
    "prefetcht2", "lfence", "mfence", "sfence",
  ] { table.register(name) { _, op in op.take(doNothing) } }
  for name in ["rdrand", "rdseed"] {
    table.register(name) { i, op in
      op.take(i.operands.0.size, nil, { random($0, $1, UInt16.self) }, { random($0, $1, UInt32.self) }, { random($0, $1, UInt64.self) })
    }
  }
}

/// A trap: RIP is already the next instruction's, and no operation is at fault.
private func trap(_ cpu: CPU, _ op: Operation, _ vector: Vector) -> Operation? {
  cpu.pointee.rip = cpu.ripAfter(op)
  // Where an exception of its own delivery returns to.
  cpu.pointee.next_rip = cpu.rip(of: op)
  cpu.pointee.vector = vector.rawValue
  cpu.pointee.error_code = 0
  cpu.pointee.has_error_code = 0
  cpu.pointee.fault_op = nil
  cpu.pointee.exit = UInt32(PV_EXIT_EXCEPTION)
  return nil
}

@inline(__always) private func doNothing(_ cpu: CPU, _ op: Operation) -> Operation? { next(cpu, op) }

@inline(__always) private func checkBounds<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  let second = cpu.effectiveAddress(op, plus: UInt64(MemoryLayout<T>.size))
  guard let low = read(cpu, op, linear, T.self), let high = read(cpu, op, second, T.self) else { return raise(cpu, op) }
  let index = Int64(bitPattern: signExtended(cpu.get(op.pointee.dst, T.self)))
  if index < Int64(bitPattern: signExtended(low)) || index > Int64(bitPattern: signExtended(high)) { return raise(cpu, op, .br) }
  return next(cpu, op)
}

private func adjustPrivilegeR(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.isArchitectural && cpu.hasParagraphs { return raise(cpu, op, .ud) }
  let a = cpu.get(op.pointee.dst, UInt16.self)
  let rpl = cpu.get(op.pointee.src, UInt16.self) & 3
  if a & 3 < rpl { cpu.set(op.pointee.dst, a & ~3 | rpl) }
  cpu.setZF(a & 3 < rpl)
  return next(cpu, op)
}

private func adjustPrivilegeM(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.isArchitectural && cpu.hasParagraphs { return raise(cpu, op, .ud) }
  let linear = cpu.effectiveAddress(op)
  guard let a = readForWrite(cpu, op, linear, UInt16.self) else { return raise(cpu, op) }
  let rpl = cpu.get(op.pointee.src, UInt16.self) & 3
  if a & 3 < rpl { guard write(cpu, op, linear, a & ~3 | rpl) else { return raise(cpu, op) } }
  cpu.setZF(a & 3 < rpl)
  return next(cpu, op)
}

/// The next number of the seeded generator (splitmix64). It never runs dry: CF is always 1, the other flags 0.
@inline(__always) private func random<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  cpu.pointee.random = cpu.pointee.random &+ 0x9E37_79B9_7F4A_7C15
  var z = cpu.pointee.random
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  cpu.set(op.pointee.dst, T(truncatingIfNeeded: z ^ (z >> 31)))
  cpu.setArithmeticFlags(Flag.cf)
  return next(cpu, op)
}
