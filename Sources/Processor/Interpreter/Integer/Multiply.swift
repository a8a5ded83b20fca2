import CHost
import X86

// MUL, IMUL, MULX, DIV, IDIV, and the sign extensions of the accumulator.
//
// What the manuals leave undefined after a multiplication is as silicon has it: SF and PF of the low half, ZF and AF 0. A
// division leaves the flags alone.

func registerMultiply(_ table: inout LoweringTable) {
  table.register("mul") { i, op in
    op.src = op.dst
    let size = i.operands.0.size
    if i.operands.0.kind == .memory {
      return op.take(
        size, { multiplyM($0, $1, UInt8.self, signed: false) }, { multiplyM($0, $1, UInt16.self, signed: false) },
        { multiplyM($0, $1, UInt32.self, signed: false) }, { multiplyM($0, $1, UInt64.self, signed: false) })
    }
    return op.take(
      size, { multiplyR($0, $1, UInt8.self, signed: false) }, { multiplyR($0, $1, UInt16.self, signed: false) },
      { multiplyR($0, $1, UInt32.self, signed: false) }, { multiplyR($0, $1, UInt64.self, signed: false) })
  }
  table.register("imul") { lowerSignedMultiply($0, &$1) }
  table.register("mulx") { i, op in
    if i.operands.2.kind == .memory {
      return op.take(i.operands.0.size, nil, nil, { multiplyFlaglessM($0, $1, UInt32.self) }, { multiplyFlaglessM($0, $1, UInt64.self) })
    }
    return op.take(i.operands.0.size, nil, nil, { multiplyFlaglessR($0, $1, UInt32.self) }, { multiplyFlaglessR($0, $1, UInt64.self) })
  }
  table.register("div") { i, op in
    op.src = op.dst
    let size = i.operands.0.size
    if i.operands.0.kind == .memory {
      return op.take(
        size, { divideM($0, $1, UInt8.self, signed: false) }, { divideM($0, $1, UInt16.self, signed: false) },
        { divideM($0, $1, UInt32.self, signed: false) }, { divideM($0, $1, UInt64.self, signed: false) })
    }
    return op.take(
      size, { divideR($0, $1, UInt8.self, signed: false) }, { divideR($0, $1, UInt16.self, signed: false) },
      { divideR($0, $1, UInt32.self, signed: false) }, { divideR($0, $1, UInt64.self, signed: false) })
  }
  table.register("idiv") { i, op in
    op.src = op.dst
    let size = i.operands.0.size
    if i.operands.0.kind == .memory {
      return op.take(
        size, { divideM($0, $1, UInt8.self, signed: true) }, { divideM($0, $1, UInt16.self, signed: true) },
        { divideM($0, $1, UInt32.self, signed: true) }, { divideM($0, $1, UInt64.self, signed: true) })
    }
    return op.take(
      size, { divideR($0, $1, UInt8.self, signed: true) }, { divideR($0, $1, UInt16.self, signed: true) },
      { divideR($0, $1, UInt32.self, signed: true) }, { divideR($0, $1, UInt64.self, signed: true) })
  }
  registerSignExtensions(&table)
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// After a multiplication: CF = OF = the product does not fit, SF and PF of its low half, ZF and AF 0.
  @inline(__always) func setMultiplyFlags<T: MachineWord>(_ low: T, wide: Bool) {
    // Bit 8 keeps ZF clear and touches neither the sign of a negative number nor the low byte.
    pointee.lazy_result = signExtended(low) | 0x100
    pointee.lazy_aux = wide ? 1 << 63 : 0
  }
}

@inline(__always) private func multiply<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ b: T, signed: Bool) -> Operation? {
  let a = T(truncatingIfNeeded: cpu.rax)
  let full = a.multipliedFullWidth(by: b)
  var high = full.high
  let product = T(truncatingIfNeeded: full.low)
  if signed {
    if a >> (T.bitWidth &- 1) != 0 { high = high &- b }
    if b >> (T.bitWidth &- 1) != 0 { high = high &- a }
  }
  let fits = signed ? high == T(truncatingIfNeeded: Int64(bitPattern: signExtended(product)) >> 63) : high == 0
  if T.bitWidth == 8 {
    let both = UInt16(truncatingIfNeeded: high) << 8 | UInt16(truncatingIfNeeded: product)
    cpu.set(StateOffset.general(0), both)
  } else {
    cpu.set(StateOffset.general(0), product)
    cpu.set(StateOffset.general(2), high)
  }
  cpu.setMultiplyFlags(product, wide: !fits)
  return next(cpu, op)
}

@inline(__always) private func multiplyR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, signed: Bool) -> Operation? {
  multiply(cpu, op, cpu.get(op.pointee.src, T.self), signed: signed)
}

@inline(__always) private func multiplyM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, signed: Bool) -> Operation? {
  guard let b = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return multiply(cpu, op, b, signed: signed)
}

// MARK: - IMUL with a destination

private func lowerSignedMultiply(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch (i.operands.1.kind, i.operands.2.kind) {
  case (.none, _):
    op.src = op.dst
    if i.operands.0.kind == .memory {
      return op.take(
        size, { multiplyM($0, $1, UInt8.self, signed: true) }, { multiplyM($0, $1, UInt16.self, signed: true) },
        { multiplyM($0, $1, UInt32.self, signed: true) }, { multiplyM($0, $1, UInt64.self, signed: true) })
    }
    return op.take(
      size, { multiplyR($0, $1, UInt8.self, signed: true) }, { multiplyR($0, $1, UInt16.self, signed: true) },
      { multiplyR($0, $1, UInt32.self, signed: true) }, { multiplyR($0, $1, UInt64.self, signed: true) })
  case (.general, .none): return op.take(size, nil, imul16rr, imul32rr, imul64rr)
  case (.memory, .none): return op.take(size, nil, imul16rm, imul32rm, imul64rm)
  case (.general, .immediate): return op.take(size, nil, imul16rri, imul32rri, imul64rri)
  case (.memory, .immediate): return op.take(size, nil, imul16rmi, imul32rmi, imul64rmi)
  case (.immediate, .none):
    op.src = op.dst
    return op.take(size, nil, imul16rri, imul32rri, imul64rri)
  default: return false
  }
}

@inline(__always) private func imul<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> Operation? {
  let x = Int64(bitPattern: signExtended(a))
  let y = Int64(bitPattern: signExtended(b))
  let (product, overflow) = x.multipliedReportingOverflow(by: y)
  let low = T(truncatingIfNeeded: product)
  let wide = T.bitWidth == 64 ? overflow : signExtended(low) != UInt64(bitPattern: product)
  cpu.setMultiplyFlags(low, wide: wide)
  cpu.set(op.pointee.dst, low)
  return next(cpu, op)
}

@inline(__always) private func imulRR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  imul(cpu, op, cpu.get(op.pointee.dst, T.self), cpu.get(op.pointee.src, T.self))
}
@inline(__always) private func imulRRI<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  imul(cpu, op, cpu.get(op.pointee.src, T.self), cpu.immediate(op, T.self))
}
@inline(__always) private func imulRM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), T.self) else { return imulSlow(cpu, op, T.self, immediate: false) }
  return imul(cpu, op, cpu.get(op.pointee.dst, T.self), p.loadUnaligned(as: T.self))
}
@inline(__always) private func imulRMI<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), T.self) else { return imulSlow(cpu, op, T.self, immediate: true) }
  return imul(cpu, op, p.loadUnaligned(as: T.self), cpu.immediate(op, T.self))
}
@inline(never) private func imulSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, immediate: Bool) -> Operation? {
  guard let b = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return imul(cpu, op, immediate ? cpu.immediate(op, T.self) : cpu.get(op.pointee.dst, T.self), b)
}

@inline(__always) private func imul16rr(_ c: CPU, _ o: Operation) -> Operation? { imulRR(c, o, UInt16.self) }
@inline(__always) private func imul32rr(_ c: CPU, _ o: Operation) -> Operation? { imulRR(c, o, UInt32.self) }
@inline(__always) private func imul64rr(_ c: CPU, _ o: Operation) -> Operation? { imulRR(c, o, UInt64.self) }
@inline(__always) private func imul16rm(_ c: CPU, _ o: Operation) -> Operation? { imulRM(c, o, UInt16.self) }
@inline(__always) private func imul32rm(_ c: CPU, _ o: Operation) -> Operation? { imulRM(c, o, UInt32.self) }
@inline(__always) private func imul64rm(_ c: CPU, _ o: Operation) -> Operation? { imulRM(c, o, UInt64.self) }
@inline(__always) private func imul16rri(_ c: CPU, _ o: Operation) -> Operation? { imulRRI(c, o, UInt16.self) }
@inline(__always) private func imul32rri(_ c: CPU, _ o: Operation) -> Operation? { imulRRI(c, o, UInt32.self) }
@inline(__always) private func imul64rri(_ c: CPU, _ o: Operation) -> Operation? { imulRRI(c, o, UInt64.self) }
@inline(__always) private func imul16rmi(_ c: CPU, _ o: Operation) -> Operation? { imulRMI(c, o, UInt16.self) }
@inline(__always) private func imul32rmi(_ c: CPU, _ o: Operation) -> Operation? { imulRMI(c, o, UInt32.self) }
@inline(__always) private func imul64rmi(_ c: CPU, _ o: Operation) -> Operation? { imulRMI(c, o, UInt64.self) }

// MARK: - MULX

/// high → operand 0, low → operand 1; where both are one register it gets the high half.
@inline(__always) private func multiplyFlagless<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ b: T) -> Operation? {
  let (high, low) = T(truncatingIfNeeded: cpu.rdx).multipliedFullWidth(by: b)
  cpu.set(op.pointee.src, T(truncatingIfNeeded: low))
  cpu.set(op.pointee.dst, high)
  return next(cpu, op)
}
@inline(__always) private func multiplyFlaglessR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  multiplyFlagless(cpu, op, cpu.get(op.pointee.src2, T.self))
}
@inline(__always) private func multiplyFlaglessM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let b = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return multiplyFlagless(cpu, op, b)
}
