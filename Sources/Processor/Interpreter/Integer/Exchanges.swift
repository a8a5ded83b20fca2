import CHost
import X86

// XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B, BSWAP, MOVBE, MOVNTI, XLAT. LOCK changes nothing: one CPU runs at a time.

func registerExchanges(_ table: inout LoweringTable) {
  table.register("xchg") { i, op in
    let size = i.operands.0.size
    switch Form(i) {
    case .rr:
      return op.take(
        size, { exchangeRR($0, $1, UInt8.self) }, { exchangeRR($0, $1, UInt16.self) }, { exchangeRR($0, $1, UInt32.self) },
        { exchangeRR($0, $1, UInt64.self) })
    case .rm:
      op.src = op.dst
      fallthrough
    case .mr:
      return op.take(
        size, { exchangeMR($0, $1, UInt8.self) }, { exchangeMR($0, $1, UInt16.self) }, { exchangeMR($0, $1, UInt32.self) },
        { exchangeMR($0, $1, UInt64.self) })
    default: return false
    }
  }
  table.register("xadd") { i, op in
    let size = i.operands.0.size
    if Form(i) == .rr {
      return op.take(
        size, { exchangeAddRR($0, $1, UInt8.self) }, { exchangeAddRR($0, $1, UInt16.self) },
        { exchangeAddRR($0, $1, UInt32.self) }, { exchangeAddRR($0, $1, UInt64.self) })
    }
    return op.take(
      size, { exchangeAddMR($0, $1, UInt8.self) }, { exchangeAddMR($0, $1, UInt16.self) }, { exchangeAddMR($0, $1, UInt32.self) },
      { exchangeAddMR($0, $1, UInt64.self) })
  }
  table.register("cmpxchg") { i, op in
    let size = i.operands.0.size
    if Form(i) == .rr {
      return op.take(
        size, { compareExchangeRR($0, $1, UInt8.self) }, { compareExchangeRR($0, $1, UInt16.self) },
        { compareExchangeRR($0, $1, UInt32.self) }, { compareExchangeRR($0, $1, UInt64.self) })
    }
    return op.take(
      size, { compareExchangeMR($0, $1, UInt8.self) }, { compareExchangeMR($0, $1, UInt16.self) },
      { compareExchangeMR($0, $1, UInt32.self) }, { compareExchangeMR($0, $1, UInt64.self) })
  }
  table.register("cmpxchg8b") { _, op in op.take { compareExchange8($0, $1) } }
  table.register("cmpxchg16b") { _, op in op.take { compareExchange16($0, $1) } }
  table.register("bswap") { i, op in
    // Of a 16-bit register: zero, as silicon does.
    op.take(
      i.operands.0.size, nil, { moveZero($0, $1) }, { swapBytes($0, $1, UInt32.self) }, { swapBytes($0, $1, UInt64.self) })
  }
  table.register("movbe") { i, op in
    if Form(i) == .rm {
      return op.take(
        i.operands.0.size, nil, { loadSwapped($0, $1, UInt16.self) }, { loadSwapped($0, $1, UInt32.self) },
        { loadSwapped($0, $1, UInt64.self) })
    }
    return op.take(
      i.operands.0.size, nil, { storeSwapped($0, $1, UInt16.self) }, { storeSwapped($0, $1, UInt32.self) },
      { storeSwapped($0, $1, UInt64.self) })
  }
  table.register("movnti") { i, op in op.take(i.operands.0.size, nil, nil, mov32mr, mov64mr) }
  table.register("xlatb") { i, op in
    op.base = StateOffset.general(3)
    op.index = StateOffset.zero
    op.disp = 0
    return op.take { cpu, op in
      guard let value = read(cpu, op, cpu.effectiveAddress(op, plus: cpu.rax & 0xFF), UInt8.self) else { return raise(cpu, op) }
      cpu.set(StateOffset.general(0), value)
      return next(cpu, op)
    }
  }
}

@inline(__always) private func exchangeRR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let a = cpu.get(op.pointee.dst, T.self)
  let b = cpu.get(op.pointee.src, T.self)
  cpu.set(op.pointee.dst, b)
  cpu.set(op.pointee.src, a)
  return next(cpu, op)
}

@inline(__always) private func exchangeMR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  guard let a = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  guard write(cpu, op, linear, cpu.get(op.pointee.src, T.self)) else { return raise(cpu, op) }
  cpu.set(op.pointee.src, a)
  return next(cpu, op)
}

@inline(__always) private func exchangeAddRR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let a = cpu.get(op.pointee.dst, T.self)
  let b = cpu.get(op.pointee.src, T.self)
  let r = a &+ b
  cpu.setAddFlags(a, b, r)
  cpu.set(op.pointee.src, a)
  cpu.set(op.pointee.dst, r)
  return next(cpu, op)
}

@inline(__always) private func exchangeAddMR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  guard let a = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  let b = cpu.get(op.pointee.src, T.self)
  let r = a &+ b
  guard write(cpu, op, linear, r) else { return raise(cpu, op) }
  cpu.setAddFlags(a, b, r)
  cpu.set(op.pointee.src, a)
  return next(cpu, op)
}

@inline(__always) private func compareExchangeRR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let a = T(truncatingIfNeeded: cpu.rax)
  let b = cpu.get(op.pointee.dst, T.self)
  let r = a &- b
  cpu.setSubFlags(a, b, r)
  if r == 0 { cpu.set(op.pointee.dst, cpu.get(op.pointee.src, T.self)) } else { cpu.set(StateOffset.general(0), b) }
  return next(cpu, op)
}

/// A comparison that fails still writes what was there.
@inline(__always) private func compareExchangeMR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  guard let b = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  let a = T(truncatingIfNeeded: cpu.rax)
  let r = a &- b
  guard write(cpu, op, linear, r == 0 ? cpu.get(op.pointee.src, T.self) : b) else { return raise(cpu, op) }
  cpu.setSubFlags(a, b, r)
  if r != 0 { cpu.set(StateOffset.general(0), b) }
  return next(cpu, op)
}

private func compareExchange8(_ cpu: CPU, _ op: Operation) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  guard let old = readForWrite(cpu, op, linear, UInt64.self) else { return raise(cpu, op) }
  let expected = cpu.rdx << 32 | cpu.rax & 0xFFFF_FFFF
  let equal = old == expected
  let new = equal ? cpu.rcx << 32 | cpu.rbx & 0xFFFF_FFFF : old
  guard write(cpu, op, linear, new) else { return raise(cpu, op) }
  if !equal {
    cpu.rax = old & 0xFFFF_FFFF
    cpu.rdx = old >> 32
  }
  cpu.setZF(equal)
  return next(cpu, op)
}

private func compareExchange16(_ cpu: CPU, _ op: Operation) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  if linear & 15 != 0 { return raise(cpu, op, .gp, 0) }
  // Aligned, so both halves are in one page, and the second cannot fault where the first did not.
  guard let low = readForWrite(cpu, op, linear, UInt64.self), let high = readForWrite(cpu, op, linear &+ 8, UInt64.self) else {
    return raise(cpu, op)
  }
  let equal = low == cpu.rax && high == cpu.rdx
  guard write(cpu, op, linear, equal ? cpu.rbx : low), write(cpu, op, linear &+ 8, equal ? cpu.rcx : high) else {
    return raise(cpu, op)
  }
  if !equal {
    cpu.rax = low
    cpu.rdx = high
  }
  cpu.setZF(equal)
  return next(cpu, op)
}

@inline(__always) private func swapBytes<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  cpu.set(op.pointee.dst, cpu.get(op.pointee.dst, T.self).byteSwapped)
  return next(cpu, op)
}

private func moveZero(_ cpu: CPU, _ op: Operation) -> Operation? {
  cpu.set(op.pointee.dst, 0 as UInt16)
  return next(cpu, op)
}

@inline(__always) private func loadSwapped<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  cpu.set(op.pointee.dst, value.byteSwapped)
  return next(cpu, op)
}

@inline(__always) private func storeSwapped<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.get(op.pointee.src, T.self).byteSwapped) else { return raise(cpu, op) }
  return next(cpu, op)
}
