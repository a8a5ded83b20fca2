import CHost
import X86

// Moves. The whole-register forms have handlers of their own, since they are most of what is executed.

// MARK: - Whole registers

private func move16(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readySSE) else { return vectorSlow(cpu, op, readySSE) }
  let value = cpu.address(op.pointee.src).loadUnaligned(as: V128.self)
  cpu.address(op.pointee.dst).storeBytes(of: value, as: V128.self)
  return next(cpu, op)
}

private func move128(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let value = cpu.address(op.pointee.src).loadUnaligned(as: V128.self)
  cpu.address(op.pointee.dst).storeBytes(of: value, as: V128.self)
  clearUpper(cpu.address(op.pointee.dst))
  return next(cpu, op)
}

private func move256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let value = cpu.address(op.pointee.src).loadUnaligned(as: V256.self)
  cpu.address(op.pointee.dst).storeBytes(of: value, as: V256.self)
  return next(cpu, op)
}

private func load16(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readySSE) else { return vectorSlow(cpu, op, readySSE) }
  guard let p = operandHit(cpu, op, 16) else { return loadSlow(cpu, op, 16, 16) }
  cpu.address(op.pointee.dst).storeBytes(of: p.loadUnaligned(as: V128.self), as: V128.self)
  return next(cpu, op)
}

private func load128(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  guard let p = operandHit(cpu, op, 16) else { return loadSlow(cpu, op, 16, 32) }
  cpu.address(op.pointee.dst).storeBytes(of: p.loadUnaligned(as: V128.self), as: V128.self)
  clearUpper(cpu.address(op.pointee.dst))
  return next(cpu, op)
}

private func load256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  guard let p = operandHit(cpu, op, 32) else { return loadSlow(cpu, op, 32, 32) }
  cpu.address(op.pointee.dst).storeBytes(of: p.loadUnaligned(as: V256.self), as: V256.self)
  return next(cpu, op)
}

private func store16(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  let linear = cpu.effectiveAddress(op)
  guard isAligned(op, linear), let p = writeHit(cpu, linear, 16) else { return storeSlow(cpu, op, 0, 16) }
  p.storeBytes(of: cpu.address(op.pointee.src).loadUnaligned(as: V128.self), as: V128.self)
  return next(cpu, op)
}

private func store32(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let linear = cpu.effectiveAddress(op)
  guard isAligned(op, linear), let p = writeHit(cpu, linear, 32) else { return storeSlow(cpu, op, 0, 32) }
  p.storeBytes(of: cpu.address(op.pointee.src).loadUnaligned(as: V256.self), as: V256.self)
  return next(cpu, op)
}

/// Loads `count` bytes, extended with zeros to `width`.
@inline(never) private func loadSlow(_ cpu: CPU, _ op: Operation, _ count: Int, _ width: Int) -> Operation? {
  guard let p = vectorOperand(cpu, op, count) else { return raise(cpu, op) }
  var value = V256()
  withUnsafeMutableBytes(of: &value) { $0.baseAddress!.copyMemory(from: p, byteCount: count) }
  withUnsafeBytes(of: &value) { cpu.address(op.pointee.dst).copyMemory(from: $0.baseAddress!, byteCount: width) }
  return next(cpu, op)
}

/// Stores `count` bytes of a register from `offset` on.
@inline(never) private func storeSlow(_ cpu: CPU, _ op: Operation, _ offset: UInt16, _ count: Int) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  guard isAligned(op, linear) else {
    misaligned(cpu)
    return raise(cpu, op)
  }
  guard writeBytes(cpu, op, linear, cpu.address(op.pointee.src + offset), count) else { return raise(cpu, op) }
  return next(cpu, op)
}

private func lowerMove(_ instruction: Instruction, _ op: inout pv_op, aligned: Bool) -> Bool {
  guard !instruction.usesMMX, instruction.placeCount == 2 else { return false }
  let wide = instruction.vectorLength == 32
  let vex = instruction.vectorLength > 0
  op.extra = instruction.vectorNeed | (aligned ? (wide ? 31 : 15) << 3 : 0)
  if instruction.operand(0).kind == .memory {
    op.handler = wide ? { cpu, op in store32(cpu, op) } : { cpu, op in store16(cpu, op) }
  } else if instruction.operand(1).kind == .memory {
    if wide {
      op.handler = { cpu, op in load256(cpu, op) }
    } else {
      op.handler = vex ? { cpu, op in load128(cpu, op) } : { cpu, op in load16(cpu, op) }
    }
  } else if wide {
    op.handler = { cpu, op in move256(cpu, op) }
  } else {
    op.handler = vex ? { cpu, op in move128(cpu, op) } : { cpu, op in move16(cpu, op) }
  }
  return true
}

// MARK: - Parts of registers

/// Loads `T` into the low element and clears the rest of the register (legacy: of its XMM part).
@inline(__always) private func loadScalar<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let p = readHit(cpu, cpu.effectiveAddress(op), MemoryLayout<T>.size) else {
    return loadSlow(cpu, op, MemoryLayout<T>.size, op.pointee.extra & readyAVX != 0 ? 32 : 16)
  }
  let value = p.loadUnaligned(as: T.self)
  let d = cpu.address(op.pointee.dst)
  d.storeBytes(of: V128(UInt64(truncatingIfNeeded: value), 0), as: V128.self)
  if op.pointee.extra & readyAVX != 0 { clearUpper(d) }
  return next(cpu, op)
}

/// Stores the low `T` of a register.
@inline(__always) private func storeScalar<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let p = writeHit(cpu, cpu.effectiveAddress(op), MemoryLayout<T>.size) else {
    return storeSlow(cpu, op, 0, MemoryLayout<T>.size)
  }
  p.storeBytes(of: cpu.get(op.pointee.src, T.self), as: T.self)
  return next(cpu, op)
}

/// Copies a register's low `T` to another's, whose rest (or, VEX, the first source's) stays.
@inline(__always) private func mergeScalar<T: FixedWidthInteger & UnsignedInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  let d = cpu.address(op.pointee.dst)
  let low = UInt64(truncatingIfNeeded: cpu.get(op.pointee.src2, T.self))
  var value = cpu.address(op.pointee.src).loadUnaligned(as: V128.self)
  value[0] = T.bitWidth == 64 ? low : value[0] & ~0xFFFF_FFFF | low
  d.storeBytes(of: value, as: V128.self)
  if op.pointee.extra & readyAVX != 0 { clearUpper(d) }
  return next(cpu, op)
}

/// Copies a register's low `T` to another and clears the rest: MOVD, MOVQ to a vector.
@inline(__always) private func zeroExtend<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  let value = cpu.get(op.pointee.src, T.self)
  let d = cpu.address(op.pointee.dst)
  d.storeBytes(of: V128(UInt64(truncatingIfNeeded: value), 0), as: V128.self)
  if op.pointee.extra & readyAVX != 0 { clearUpper(d) }
  return next(cpu, op)
}

/// MOVD, MOVQ to a general register.
@inline(__always) private func toGeneral<T: FixedWidthInteger & UnsignedInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  cpu.set(op.pointee.dst, cpu.get(op.pointee.src, T.self))
  return next(cpu, op)
}

private func lowerScalarMove(_ instruction: Instruction, _ op: inout pv_op, double: Bool) -> Bool {
  op.extra = instruction.vectorNeed
  switch instruction.placeCount {
  case 2:
    if instruction.operand(0).kind == .memory {
      op.handler = double ? { cpu, op in storeScalar(cpu, op, UInt64.self) } : { cpu, op in storeScalar(cpu, op, UInt32.self) }
    } else if instruction.operand(1).kind == .memory {
      op.handler = double ? { cpu, op in loadScalar(cpu, op, UInt64.self) } : { cpu, op in loadScalar(cpu, op, UInt32.self) }
    } else {
      op.src2 = op.src
      op.src = op.dst
      op.handler = double ? { cpu, op in mergeScalar(cpu, op, UInt64.self) } : { cpu, op in mergeScalar(cpu, op, UInt32.self) }
    }
    return true
  case 3:
    op.handler = double ? { cpu, op in mergeScalar(cpu, op, UInt64.self) } : { cpu, op in mergeScalar(cpu, op, UInt32.self) }
    return true
  default: return false
  }
}

/// MOVD, MOVQ: between vectors and general registers, memory, or (MOVQ) vectors.
private func lowerMOVDQ(_ instruction: Instruction, _ op: inout pv_op, named64: Bool) -> Bool {
  guard !instruction.usesMMX, instruction.placeCount == 2 else { return false }
  op.extra = instruction.vectorNeed
  let to = instruction.operand(0).kind
  let from = instruction.operand(1).kind
  let double = named64
  if to == .memory {
    op.handler = double ? { cpu, op in storeScalar(cpu, op, UInt64.self) } : { cpu, op in storeScalar(cpu, op, UInt32.self) }
  } else if from == .memory {
    op.handler = double ? { cpu, op in loadScalar(cpu, op, UInt64.self) } : { cpu, op in loadScalar(cpu, op, UInt32.self) }
  } else if to == .general {
    op.handler = double ? { cpu, op in toGeneral(cpu, op, UInt64.self) } : { cpu, op in toGeneral(cpu, op, UInt32.self) }
  } else {
    op.handler = double ? { cpu, op in zeroExtend(cpu, op, UInt64.self) } : { cpu, op in zeroExtend(cpu, op, UInt32.self) }
  }
  return true
}

// MARK: - Halves

/// One 64-bit half replaced: MOVLPS, MOVHPS and kin, MOVHLPS, MOVLHPS.
private let low: Kernel = { d, a, b, _, _ in
  let value = b.loadUnaligned(as: UInt64.self)
  let high = a.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
  d.storeBytes(of: V128(value, high), as: V128.self)
}
private let high: Kernel = { d, a, b, _, _ in
  let value = b.loadUnaligned(as: UInt64.self)
  let low = a.loadUnaligned(as: UInt64.self)
  d.storeBytes(of: V128(low, value), as: V128.self)
}
private let highToLow: Kernel = { d, a, b, _, _ in
  let value = b.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
  let high = a.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
  d.storeBytes(of: V128(value, high), as: V128.self)
}

/// Stores of a register's upper half.
private func storeHigh(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let p = writeHit(cpu, cpu.effectiveAddress(op), 8) else { return storeSlow(cpu, op, 8, 8) }
  p.storeBytes(of: cpu.get(op.pointee.src + 8, UInt64.self), as: UInt64.self)
  return next(cpu, op)
}

private func lowerHalf(_ instruction: Instruction, _ op: inout pv_op, upper: Bool) -> Bool {
  if instruction.operand(0).kind == .memory {
    op.extra = instruction.vectorNeed
    op.handler = upper ? { cpu, op in storeHigh(cpu, op) } : { cpu, op in storeScalar(cpu, op, UInt64.self) }
    return true
  }
  let form = VectorForm(kernel: upper ? high : low, memory: 8, only128: true)
  return lowerVector(form, instruction, &op)
}

// MARK: - Duplicating moves

private let duplicateLow64: Kernel = { d, _, b, _, _ in
  let value = b.loadUnaligned(as: UInt64.self)
  d.storeBytes(of: V128(value, value), as: V128.self)
}
private let duplicateHigh32: Kernel = { d, _, b, _, _ in
  let x = b.loadUnaligned(as: SIMD4<UInt32>.self)
  d.storeBytes(of: SIMD4(x[1], x[1], x[3], x[3]), as: SIMD4<UInt32>.self)
}
private let duplicateLow32: Kernel = { d, _, b, _, _ in
  let x = b.loadUnaligned(as: SIMD4<UInt32>.self)
  d.storeBytes(of: SIMD4(x[0], x[0], x[2], x[2]), as: SIMD4<UInt32>.self)
}

private func lowerDuplicate64(_ instruction: Instruction, _ op: inout pv_op) -> Bool {
  // The 256-bit form reads both halves' low quadword, so all 32 bytes.
  let form = VectorForm(kernel: duplicateLow64, memory: instruction.vectorLength == 32 ? 16 : 8)
  return lowerVector(form, instruction, &op)
}

// MARK: - Whole state

private func zeroUpper(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let start = cpu.address(UInt16(StateOffset.ymm))
  // Outside 64-bit mode there are eight registers.
  let count = cpu.pointee.mode == 0 ? 16 : 8
  for i in 0..<count { clearUpper(start + i &* 32) }
  return next(cpu, op)
}

private func zeroAll(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let start = cpu.address(UInt16(StateOffset.ymm))
  let count = cpu.pointee.mode == 0 ? 16 : 8
  for i in 0..<count { (start + i &* 32).storeBytes(of: V256(), as: V256.self) }
  return next(cpu, op)
}

private func loadControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let value = read(cpu, op, cpu.effectiveAddress(op), UInt32.self) else { return raise(cpu, op) }
  guard value & ~MXCSR.writable == 0 else { return raise(cpu, op, .gp, 0) }
  cpu.pointee.mxcsr = value
  loadMXCSR(cpu)
  return next(cpu, op)
}

private func storeControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  syncMXCSR(cpu)
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.pointee.mxcsr) else { return raise(cpu, op) }
  return next(cpu, op)
}

/// MOVNTI, a store of a general register.
private func storeGeneral32(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.get(op.pointee.src, UInt32.self)) else { return raise(cpu, op) }
  return next(cpu, op)
}
private func storeGeneral64(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.get(op.pointee.src, UInt64.self)) else { return raise(cpu, op) }
  return next(cpu, op)
}

// MARK: - Registration

func registerVectorMoves(_ table: inout LoweringTable) {
  table.register("movups", "movupd", "movdqu", "lddqu", "vmovups", "vmovupd", "vmovdqu", "vlddqu") { instruction, op in
    lowerMove(instruction, &op, aligned: false)
  }
  table.register(
    "movaps", "movapd", "movdqa", "movntps", "movntpd", "movntdq", "movntdqa", "vmovaps", "vmovapd", "vmovdqa", "vmovntps",
    "vmovntpd", "vmovntdq", "vmovntdqa"
  ) { instruction, op in
    lowerMove(instruction, &op, aligned: true)
  }
  table.register("movss", "vmovss") { lowerScalarMove($0, &$1, double: false) }
  table.register("movsd.sse", "vmovsd") { lowerScalarMove($0, &$1, double: true) }
  table.register("movd", "vmovd") { lowerMOVDQ($0, &$1, named64: false) }
  table.register("movq", "vmovq") { lowerMOVDQ($0, &$1, named64: true) }
  table.register("movlps", "movlpd", "vmovlps", "vmovlpd") { lowerHalf($0, &$1, upper: false) }
  table.register("movhps", "movhpd", "vmovhps", "vmovhpd") { lowerHalf($0, &$1, upper: true) }
  table.vector("movlhps", VectorForm(kernel: high, only128: true))
  table.vector("movhlps", VectorForm(kernel: highToLow, only128: true))
  table.register("movddup", "vmovddup") { lowerDuplicate64($0, &$1) }
  table.vector("movshdup", duplicateHigh32)
  table.vector("movsldup", duplicateLow32)
  table.register("vzeroupper") { _, op in
    op.handler = { cpu, op in zeroUpper(cpu, op) }
    return true
  }
  table.register("vzeroall") { _, op in
    op.handler = { cpu, op in zeroAll(cpu, op) }
    return true
  }
  table.register("ldmxcsr", "vldmxcsr") { instruction, op in
    op.extra = instruction.vectorNeed
    op.handler = { cpu, op in loadControl(cpu, op) }
    return true
  }
  table.register("stmxcsr", "vstmxcsr") { instruction, op in
    op.extra = instruction.vectorNeed
    op.handler = { cpu, op in storeControl(cpu, op) }
    return true
  }
  table.register("movnti") { instruction, op in
    op.handler = instruction.operandSize == 8 ? { cpu, op in storeGeneral64(cpu, op) } : { cpu, op in storeGeneral32(cpu, op) }
    return instruction.operand(0).kind == .memory
  }
}
