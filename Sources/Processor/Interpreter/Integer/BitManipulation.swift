import CHost
import X86

// BMI1, BMI2 and ADX on general registers. AF and PF, undefined after most of them, are 0, as on silicon.

func registerBitManipulation(_ table: inout LoweringTable) {
  table.register("andn") { i, op in lowerThree(i, &op, memory: 2, { threeR($0, $1, AndNot.self) }, { threeM($0, $1, AndNot.self) }) }
  table.register("pdep") { i, op in lowerThree(i, &op, memory: 2, { threeR($0, $1, Deposit.self) }, { threeM($0, $1, Deposit.self) }) }
  table.register("pext") { i, op in lowerThree(i, &op, memory: 2, { threeR($0, $1, Extract.self) }, { threeM($0, $1, Extract.self) }) }
  table.register("bextr") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, Field.self) }, { threeM($0, $1, Field.self) }) }
  table.register("bzhi") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, ZeroHigh.self) }, { threeM($0, $1, ZeroHigh.self) }) }
  table.register("shlx") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, LeftX.self) }, { threeM($0, $1, LeftX.self) }) }
  table.register("shrx") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, RightX.self) }, { threeM($0, $1, RightX.self) }) }
  table.register("sarx") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, SignedX.self) }, { threeM($0, $1, SignedX.self) }) }
  table.register("rorx") { i, op in
    op.src2 = StateOffset.zero
    return lowerThree(i, &op, memory: 1, { threeR($0, $1, RotateX.self) }, { threeM($0, $1, RotateX.self) })
  }
  table.register("blsi") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, Isolate.self) }, { threeM($0, $1, Isolate.self) }) }
  table.register("blsr") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, Reset.self) }, { threeM($0, $1, Reset.self) }) }
  table.register("blsmsk") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, Mask.self) }, { threeM($0, $1, Mask.self) }) }
  table.register("adcx") { i, op in lowerThree(i, &op, memory: 1, { threeR($0, $1, AddCarry.self) }, { threeM($0, $1, AddCarry.self) }) }
  table.register("adox") { i, op in
    lowerThree(i, &op, memory: 1, { threeR($0, $1, AddOverflow.self) }, { threeM($0, $1, AddOverflow.self) })
  }
}

/// Operands 1 and 2 as `a` and `b`; `op.extra` is the number of the one that may be in memory.
private func lowerThree(_ i: Instruction, _ op: inout pv_op, memory: UInt8, _ register: pv_handler, _ fromMemory: pv_handler) -> Bool {
  op.extra = memory
  op.size = i.operands.0.size
  guard op.size == 4 || op.size == 8 else { return false }
  let source = memory == 1 ? i.operands.1 : i.operands.2
  if i.operands.2.kind == .none { op.src2 = StateOffset.zero }
  return op.take(source.kind == .memory ? fromMemory : register)
}

private protocol ThreeOperand {
  static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T
}

@inline(__always) private func three<T: MachineWord, O: ThreeOperand>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T, _: O.Type) {
  cpu.set(op.pointee.dst, O.run(cpu, op, a, b))
}

@inline(__always) private func threeR<O: ThreeOperand>(_ cpu: CPU, _ op: Operation, _: O.Type) -> Operation? {
  if op.pointee.size == 8 {
    three(cpu, op, cpu.get(op.pointee.src, UInt64.self), cpu.get(op.pointee.src2, UInt64.self), O.self)
  } else {
    three(cpu, op, cpu.get(op.pointee.src, UInt32.self), cpu.get(op.pointee.src2, UInt32.self), O.self)
  }
  return next(cpu, op)
}

@inline(__always) private func threeM<O: ThreeOperand>(_ cpu: CPU, _ op: Operation, _: O.Type) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  let first = op.pointee.extra == 1
  if op.pointee.size == 8 {
    guard let value = read(cpu, op, linear, UInt64.self) else { return raise(cpu, op) }
    let other = cpu.get(first ? op.pointee.src2 : op.pointee.src, UInt64.self)
    three(cpu, op, first ? value : other, first ? other : value, O.self)
  } else {
    guard let value = read(cpu, op, linear, UInt32.self) else { return raise(cpu, op) }
    let other = cpu.get(first ? op.pointee.src2 : op.pointee.src, UInt32.self)
    three(cpu, op, first ? value : other, first ? other : value, O.self)
  }
  return next(cpu, op)
}

private enum AndNot: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let r = ~a & b
    cpu.setFlagsWithoutParity(r, carry: false)
    return r
  }
}
private enum Deposit: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    var mask = b
    var source = a
    var r: T = 0
    while mask != 0 {
      let lowest = mask & (0 &- mask)
      if source & 1 != 0 { r |= lowest }
      source = source &>> 1
      mask &= mask &- 1
    }
    return r
  }
}
private enum Extract: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    var mask = b
    var place: T = 1
    var r: T = 0
    while mask != 0 {
      let lowest = mask & (0 &- mask)
      if a & lowest != 0 { r |= place }
      place = place &<< 1
      mask &= mask &- 1
    }
    return r
  }
}
private enum Field: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let start = b & 0xFF
    let length = (b >> 8) & 0xFF
    let width = T(truncatingIfNeeded: T.bitWidth)
    var r = start < width ? a &>> start : 0
    if length < width { r &= (1 &<< length) &- 1 }
    // SF is 0 too, whatever the top bit.
    cpu.pointee.lazy_result = r == 0 ? 0 : 1
    cpu.pointee.lazy_aux = r == 0 ? 1 << 8 : 0
    return r
  }
}
private enum ZeroHigh: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let index = b & 0xFF
    let width = T(truncatingIfNeeded: T.bitWidth)
    let beyond = index >= width
    let r = beyond ? a : a & ((1 &<< index) &- 1)
    cpu.setFlagsWithoutParity(r, carry: beyond)
    return r
  }
}
private enum LeftX: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T { a &<< b }
}
private enum RightX: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T { a &>> b }
}
private enum SignedX: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let count = UInt64(truncatingIfNeeded: b) & UInt64(truncatingIfNeeded: T.bitWidth &- 1)
    return T(truncatingIfNeeded: Int64(bitPattern: signExtended(a)) &>> Int64(bitPattern: count))
  }
}
private enum RotateX: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let count = cpu.immediate(op, T.self)
    return (a &>> count) | (a &<< (0 &- count))
  }
}
private enum Isolate: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let r = a & (0 &- a)
    cpu.setFlagsWithoutParity(r, carry: a != 0)
    return r
  }
}
private enum Reset: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let r = a & (a &- 1)
    cpu.setFlagsWithoutParity(r, carry: a == 0)
    return r
  }
}
private enum Mask: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let r = a ^ (a &- 1)
    cpu.setFlagsWithoutParity(r, carry: a == 0)
    return r
  }
}

// ADCX and ADOX: destination ← destination + source + one flag, changing that flag only.
private enum AddCarry: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let old = cpu.get(op.pointee.dst, T.self)
    let carryIn: T = cpu.cf ? 1 : 0
    let r = old &+ a &+ carryIn
    cpu.setCF(((old & a) | ((old | a) & ~r)) >> (T.bitWidth &- 1) != 0)
    return r
  }
}
private enum AddOverflow: ThreeOperand {
  @inline(__always) static func run<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ a: T, _ b: T) -> T {
    let old = cpu.get(op.pointee.dst, T.self)
    let carryIn: T = cpu.of ? 1 : 0
    let r = old &+ a &+ carryIn
    cpu.setCFOF(cpu.cf, ((old & a) | ((old | a) & ~r)) >> (T.bitWidth &- 1) != 0)
    return r
  }
}
