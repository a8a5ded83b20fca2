import CHost
import X86

// MOV, MOVZX, MOVSX, MOVSXD, MOVBE, MOVNTI, LEA, XCHG, BSWAP, XLAT.

// MARK: - Simple address forms
//
// In 64-bit code with 64-bit addresses and a flat segment, which is nearly always: no flags to look at.

protocol AddressForm {
  static func linear(_ cpu: CPU, _ op: Operation) -> UInt64
}
/// base + displacement
enum Flat: AddressForm {
  @inline(__always) static func linear(_ cpu: CPU, _ op: Operation) -> UInt64 {
    cpu.get(op.pointee.base, UInt64.self) &+ UInt64(bitPattern: op.pointee.disp)
  }
}
/// base + index × scale + displacement
enum Indexed: AddressForm {
  @inline(__always) static func linear(_ cpu: CPU, _ op: Operation) -> UInt64 {
    let index = cpu.get(op.pointee.index, UInt64.self) &<< UInt64(op.pointee.scale)
    return cpu.get(op.pointee.base, UInt64.self) &+ index &+ UInt64(bitPattern: op.pointee.disp)
  }
}
/// Whatever it is.
enum General: AddressForm {
  @inline(__always) static func linear(_ cpu: CPU, _ op: Operation) -> UInt64 { cpu.effectiveAddress(op) }
}

enum AddressShape { case flat, indexed, general }

extension pv_op {
  /// The simplest form that the memory operand has. (LEA has no segment: `ignoringSegment`.)
  func addressShape(ignoringSegment: Bool = false) -> AddressShape {
    guard flags & UInt16(PV_OP_ADDRESS32 | PV_OP_ADDRESS16) == 0 else { return .general }
    guard ignoringSegment || segbase == StateOffset.zero else { return .general }
    return index == StateOffset.zero ? .flat : .indexed
  }
}

// MARK: - MOV

@inline(__always) func moveRR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  cpu.set(op.pointee.dst, cpu.get(op.pointee.src, T.self))
  return next(cpu, op)
}

@inline(__always) func moveRI<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  cpu.set(op.pointee.dst, cpu.immediate(op, T.self))
  return next(cpu, op)
}

@inline(__always) func load<T: MachineWord, A: AddressForm>(_ cpu: CPU, _ op: Operation, _: T.Type, _: A.Type) -> Operation? {
  guard let p = readable(cpu, A.linear(cpu, op), T.self) else { return loadSlow(cpu, op, T.self) }
  cpu.set(op.pointee.dst, p.loadUnaligned(as: T.self))
  return next(cpu, op)
}

@inline(__always) func moveRM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  load(cpu, op, T.self, General.self)
}

@inline(never) private func loadSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  cpu.set(op.pointee.dst, value)
  return next(cpu, op)
}

@inline(__always) func store<T: MachineWord, A: AddressForm>(_ cpu: CPU, _ op: Operation, _: T.Type, _: A.Type) -> Operation? {
  let value = cpu.get(op.pointee.src, T.self)
  guard let p = writable(cpu, A.linear(cpu, op), T.self) else { return storeSlow(cpu, op, value) }
  p.storeBytes(of: value, as: T.self)
  return next(cpu, op)
}

@inline(__always) func moveMR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  store(cpu, op, T.self, General.self)
}

@inline(__always) func moveMI<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let value = cpu.immediate(op, T.self)
  guard let p = writable(cpu, cpu.effectiveAddress(op), T.self) else { return storeSlow(cpu, op, value) }
  p.storeBytes(of: value, as: T.self)
  return next(cpu, op)
}

@inline(never) private func storeSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ value: T) -> Operation? {
  guard write(cpu, op, cpu.effectiveAddress(op), value) else { return raise(cpu, op) }
  return next(cpu, op)
}

private func lowerMov(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, mov8rr, mov16rr, mov32rr, mov64rr)
  case .ri: return op.take(size, mov8ri, mov16ri, mov32ri, mov64ri)
  case .rm:
    switch op.addressShape() {
    case .flat: return op.take(size, mov8rm, mov16rm, load32Flat, load64Flat)
    case .indexed: return op.take(size, mov8rm, mov16rm, load32Indexed, load64Indexed)
    case .general: return op.take(size, mov8rm, mov16rm, mov32rm, mov64rm)
    }
  case .mr:
    switch op.addressShape() {
    case .flat: return op.take(size, mov8mr, mov16mr, store32Flat, store64Flat)
    case .indexed: return op.take(size, mov8mr, mov16mr, store32Indexed, store64Indexed)
    case .general: return op.take(size, mov8mr, mov16mr, mov32mr, mov64mr)
    }
  case .mi: return op.take(size, mov8mi, mov16mi, mov32mi, mov64mi)
  default: return lowerSystemMove(i, &op)
  }
}

// MARK: - Extending moves

@inline(__always) func zeroExtendRR<D: MachineWord, S: MachineWord>(_ cpu: CPU, _ op: Operation, to: D.Type, from: S.Type) -> Operation? {
  cpu.set(op.pointee.dst, D(truncatingIfNeeded: cpu.get(op.pointee.src, S.self)))
  return next(cpu, op)
}

@inline(__always) func zeroExtendRM<D: MachineWord, S: MachineWord>(_ cpu: CPU, _ op: Operation, to: D.Type, from: S.Type) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), S.self) else { return zeroExtendSlow(cpu, op, to: D.self, from: S.self) }
  cpu.set(op.pointee.dst, D(truncatingIfNeeded: p.loadUnaligned(as: S.self)))
  return next(cpu, op)
}

@inline(never) private func zeroExtendSlow<D: MachineWord, S: MachineWord>(
  _ cpu: CPU, _ op: Operation, to: D.Type, from: S.Type
) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), S.self) else { return raise(cpu, op) }
  cpu.set(op.pointee.dst, D(truncatingIfNeeded: value))
  return next(cpu, op)
}

@inline(__always) func signExtendRR<D: MachineWord, S: MachineWord>(_ cpu: CPU, _ op: Operation, to: D.Type, from: S.Type) -> Operation? {
  cpu.set(op.pointee.dst, D(truncatingIfNeeded: signExtended(cpu.get(op.pointee.src, S.self))))
  return next(cpu, op)
}

@inline(__always) func signExtendRM<D: MachineWord, S: MachineWord>(_ cpu: CPU, _ op: Operation, to: D.Type, from: S.Type) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), S.self) else { return signExtendSlow(cpu, op, to: D.self, from: S.self) }
  cpu.set(op.pointee.dst, D(truncatingIfNeeded: signExtended(p.loadUnaligned(as: S.self))))
  return next(cpu, op)
}

@inline(never) private func signExtendSlow<D: MachineWord, S: MachineWord>(
  _ cpu: CPU, _ op: Operation, to: D.Type, from: S.Type
) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), S.self) else { return raise(cpu, op) }
  cpu.set(op.pointee.dst, D(truncatingIfNeeded: signExtended(value)))
  return next(cpu, op)
}

private func lowerZeroExtend(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch (Form(i), i.operands.1.size) {
  case (.rr, 1): return op.take(size, nil, movzx16_8rr, movzx32_8rr, movzx64_8rr)
  case (.rr, 2): return op.take(size, nil, movzx16_16rr, movzx32_16rr, movzx64_16rr)
  case (.rm, 1): return op.take(size, nil, movzx16_8rm, movzx32_8rm, movzx64_8rm)
  case (.rm, 2): return op.take(size, nil, movzx16_16rm, movzx32_16rm, movzx64_16rm)
  default: return false
  }
}

private func lowerSignExtend(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch (Form(i), i.operands.1.size) {
  case (.rr, 1): return op.take(size, nil, movsx16_8rr, movsx32_8rr, movsx64_8rr)
  case (.rr, 2): return op.take(size, nil, movsx16_16rr, movsx32_16rr, movsx64_16rr)
  case (.rr, 4): return op.take(size, nil, movsx16_16rr, movsx32_32rr, movsx64_32rr)
  case (.rm, 1): return op.take(size, nil, movsx16_8rm, movsx32_8rm, movsx64_8rm)
  case (.rm, 2): return op.take(size, nil, movsx16_16rm, movsx32_16rm, movsx64_16rm)
  case (.rm, 4): return op.take(size, nil, movsx16_16rm, movsx32_32rm, movsx64_32rm)
  default: return false
  }
}

// MARK: - LEA

@inline(__always) func loadAddress<T: MachineWord, A: AddressForm>(_ cpu: CPU, _ op: Operation, _: T.Type, _: A.Type) -> Operation? {
  cpu.set(op.pointee.dst, T(truncatingIfNeeded: A.linear(cpu, op)))
  return next(cpu, op)
}

@inline(__always) func loadAddressGeneral<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  cpu.set(op.pointee.dst, T(truncatingIfNeeded: cpu.effectiveOffset(op)))
  return next(cpu, op)
}

private func lowerLea(_ i: Instruction, _ op: inout pv_op) -> Bool {
  guard i.operands.1.kind == .memory else { return false }
  switch op.addressShape(ignoringSegment: true) {
  case .flat: return op.take(i.operands.0.size, nil, lea16, lea32Flat, lea64Flat)
  case .indexed: return op.take(i.operands.0.size, nil, lea16, lea32Indexed, lea64Indexed)
  case .general: return op.take(i.operands.0.size, nil, lea16, lea32, lea64)
  }
}

func registerMoves(_ table: inout LoweringTable) {
  table.register("mov") { lowerMov($0, &$1) }
  table.register("movzx") { lowerZeroExtend($0, &$1) }
  table.register("movsx", "movsxd") { lowerSignExtend($0, &$1) }
  table.register("lea") { lowerLea($0, &$1) }
  registerExchanges(&table)
}
