import CHost
import X86

// BT, BTS, BTR, BTC: CF is the bit, the other flags stay. A register bit offset into memory reaches beyond the operand.

func registerBits(_ table: inout LoweringTable) {
  table.register("bt") { i, op in lowerBitTest(i, &op, 0) }
  table.register("bts") { i, op in lowerBitTest(i, &op, 1) }
  table.register("btr") { i, op in lowerBitTest(i, &op, 2) }
  table.register("btc") { i, op in lowerBitTest(i, &op, 3) }
  registerScans(&table)
  registerBitManipulation(&table)
  registerChecksum(&table)
}

/// `kind`: 0 test, 1 set, 2 reset, 3 complement
private func lowerBitTest(_ i: Instruction, _ op: inout pv_op, _ kind: UInt8) -> Bool {
  op.extra = kind
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, nil, bt16rr, bt32rr, bt64rr)
  case .ri:
    // The offset as a constant: `src` names a register that is 0.
    op.src = StateOffset.zero
    return op.take(size, nil, bt16rr, bt32rr, bt64rr)
  case .mr:
    op.imm = 0
    return op.take(size, nil, { bitTestM($0, $1, UInt16.self) }, { bitTestM($0, $1, UInt32.self) }, { bitTestM($0, $1, UInt64.self) })
  case .mi:
    op.src = StateOffset.zero
    op.imm &= Int64(size) &* 8 &- 1
    return op.take(size, nil, { bitTestM($0, $1, UInt16.self) }, { bitTestM($0, $1, UInt32.self) }, { bitTestM($0, $1, UInt64.self) })
  default: return false
  }
}

@inline(__always) private func bt16rr(_ c: CPU, _ o: Operation) -> Operation? { bitTestR(c, o, UInt16.self) }
@inline(__always) private func bt32rr(_ c: CPU, _ o: Operation) -> Operation? { bitTestR(c, o, UInt32.self) }
@inline(__always) private func bt64rr(_ c: CPU, _ o: Operation) -> Operation? { bitTestR(c, o, UInt64.self) }

@inline(__always) private func changed<T: MachineWord>(_ value: T, _ mask: T, _ kind: UInt8) -> T {
  switch kind {
  case 1: return value | mask
  case 2: return value & ~mask
  default: return value ^ mask
  }
}

@inline(__always) private func bitTestR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let offset = cpu.get(op.pointee.src, T.self) &+ cpu.immediate(op, T.self)
  let value = cpu.get(op.pointee.dst, T.self)
  let kind = op.pointee.extra
  cpu.setCF((value &>> offset) & 1 != 0)
  if kind != 0 { cpu.set(op.pointee.dst, changed(value, 1 &<< offset, kind)) }
  return next(cpu, op)
}

@inline(__always) private func bitTestM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let offset = Int64(bitPattern: signExtended(cpu.get(op.pointee.src, T.self))) &+ op.pointee.imm
  let bytes = Int64(T.bitWidth / 8)
  let words = offset >> Int64(T.bitWidth.trailingZeroBitCount)
  let linear = cpu.effectiveAddress(op, plus: UInt64(bitPattern: words &* bytes))
  let kind = op.pointee.extra
  let position = T(truncatingIfNeeded: offset)
  if kind == 0 {
    guard let value = read(cpu, op, linear, T.self) else { return raise(cpu, op) }
    cpu.setCF((value &>> position) & 1 != 0)
    return next(cpu, op)
  }
  guard let value = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  guard write(cpu, op, linear, changed(value, 1 &<< position, kind)) else { return raise(cpu, op) }
  cpu.setCF((value &>> position) & 1 != 0)
  return next(cpu, op)
}
