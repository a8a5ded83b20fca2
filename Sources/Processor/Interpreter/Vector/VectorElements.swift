import CHost
import X86

// Between single elements of vectors and general registers or memory, and sign masks.

/// Bit 7 of eight bytes as eight bits.
@inline(__always) private func signs8(_ x: UInt64) -> UInt64 { ((x & 0x8080_8080_8080_8080) &* 0x0002_0408_1020_4081) >> 56 }

/// The destination of these kernels is a general register, of which 64 bits are written.
private let byteMask: Kernel = { d, _, b, _, _ in
  let x = b.vector(U64.self)
  d.storeBytes(of: signs8(x[0]) | signs8(x[1]) << 8, as: UInt64.self)
}
private let byteMask256: Kernel = { d, _, b, _, _ in
  let x = b.loadUnaligned(as: V256.self)
  let low = signs8(x[0]) | signs8(x[1]) << 8
  let high = signs8(x[2]) | signs8(x[3]) << 8
  d.storeBytes(of: low | high << 16, as: UInt64.self)
}
private let singleMask: Kernel = { d, _, b, _, _ in
  let x = b.vector(U32.self)
  let r = x[0] >> 31 | (x[1] >> 31) << 1 | (x[2] >> 31) << 2 | (x[3] >> 31) << 3
  d.storeBytes(of: UInt64(r), as: UInt64.self)
}
private let singleMask256: Kernel = { d, _, b, _, _ in
  let x = b.loadUnaligned(as: SIMD8<UInt32>.self)
  var r: UInt32 = 0
  for i in 0..<8 { r |= (x[i] >> 31) << UInt32(i) }
  d.storeBytes(of: UInt64(r), as: UInt64.self)
}
private let doubleMask: Kernel = { d, _, b, _, _ in
  let x = b.vector(U64.self)
  d.storeBytes(of: x[0] >> 63 | (x[1] >> 63) << 1, as: UInt64.self)
}
private let doubleMask256: Kernel = { d, _, b, _, _ in
  let x = b.loadUnaligned(as: V256.self)
  let low = x[0] >> 63 | (x[1] >> 63) << 1
  d.storeBytes(of: low | (x[2] >> 63) << 2 | (x[3] >> 63) << 3, as: UInt64.self)
}

/// PMOVMSKB of an XMM register, the core of every string function: a handler of its own.
private func moveByteMask(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  let x = cpu.address(op.pointee.src2).loadUnaligned(as: V128.self)
  cpu.set(op.pointee.dst, signs8(x[0]) | signs8(x[1]) << 8)
  return next(cpu, op)
}

/// Registers an operation on the whole register whose result is no vector.
private func toGeneral(_ table: inout LoweringTable, _ name: String, _ kernel: @escaping Kernel, _ wide: @escaping Kernel) {
  table.register(name, "v" + name) { instruction, op in
    guard instruction.operand(0).kind == .general, instruction.operand(1).kind == .vector else { return false }
    let form = VectorForm(kernel: instruction.vectorLength == 32 ? wide : kernel, scalar: true, general: true)
    return lowerVector(form, instruction, &op)
  }
}

func registerVectorMasks(_ table: inout LoweringTable) {
  toGeneral(&table, "pmovmskb", byteMask, byteMask256)
  toGeneral(&table, "movmskps", singleMask, singleMask256)
  toGeneral(&table, "movmskpd", doubleMask, doubleMask256)
  table.register("pmovmskb", "vpmovmskb") { instruction, op in
    guard instruction.operand(1).kind == .vector, instruction.vectorLength < 32 else { return false }
    op.extra = instruction.vectorNeed
    op.src2 = op.src
    op.handler = { cpu, op in moveByteMask(cpu, op) }
    return true
  }
}

// MARK: - Extraction

/// Element `imm` of `b`, zero-extended to 64 bits. `T` is the element, whose count is a power of two.
@inline(__always) private func extract<T: FixedWidthInteger>(_ d: UnsafeMutableRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64, _: T.Type)
{
  let size = MemoryLayout<T>.size
  let at = Int(truncatingIfNeeded: imm) & (16 / size - 1)
  let value = b.loadUnaligned(fromByteOffset: at &* size, as: T.self)
  d.storeBytes(of: UInt64(truncatingIfNeeded: value), as: UInt64.self)
}

private let extractByte: Kernel = { d, _, b, imm, _ in extract(d, b, imm, UInt8.self) }
private let extractWord: Kernel = { d, _, b, imm, _ in extract(d, b, imm, UInt16.self) }
private let extractDoubleword: Kernel = { d, _, b, imm, _ in extract(d, b, imm, UInt32.self) }
private let extractQuadword: Kernel = { d, _, b, imm, _ in extract(d, b, imm, UInt64.self) }

/// Stores `bytes` of what the kernel leaves, or leaves it in a general register.
private func lowerExtract(_ kernel: @escaping Kernel, _ bytes: Int, _ instruction: Instruction, _ op: inout pv_op) -> Bool {
  guard instruction.operand(1).kind == .vector else { return false }
  if instruction.operand(0).kind != .memory {
    return lowerVector(VectorForm(kernel: kernel, scalar: true, general: true), instruction, &op)
  }
  return lowerVectorStore(kernel, bytes, instruction, &op)
}

/// A store of `bytes` of what `kernel` makes of operand 1.
func lowerVectorStore(_ kernel: @escaping Kernel, _ bytes: Int, _ instruction: Instruction, _ op: inout pv_op) -> Bool {
  op.extra = instruction.vectorNeed
  op.size = UInt8(bytes)
  op.data = UInt64(UInt(bitPattern: unsafeBitCast(kernel, to: Int.self)))
  op.handler = { cpu, op in vectorStore(cpu, op) }
  return true
}

// MARK: - Insertion

/// `a` with element `imm` replaced by the low `T` of `b`, which is a general register or memory.
@inline(__always) private func insert<T: FixedWidthInteger & UnsignedInteger>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64, _: T.Type
) {
  // In registers: a narrow store before the next wide load would stall the host.
  let size = UInt64(MemoryLayout<T>.size)
  let at = (imm & (16 / size - 1)) &* size
  let shift = (at & 7) &* 8
  let value = UInt64(truncatingIfNeeded: b.loadUnaligned(as: T.self)) &<< shift
  let mask = UInt64(truncatingIfNeeded: T.max) &<< shift
  let x = a.vector(U64.self)
  let low = at < 8 ? x[0] & ~mask | value : x[0]
  let high = at < 8 ? x[1] : x[1] & ~mask | value
  d.storeBytes(of: U64(low, high), as: U64.self)
}

/// INSERTPS after its source element has been found.
@inline(__always) private func insertSingle(_ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ value: UInt32, _ imm: UInt64) {
  var r = a.vector(U32.self)
  r[Int(truncatingIfNeeded: (imm >> 4) & 3)] = value
  for i in 0..<4 where (imm >> UInt64(i)) & 1 != 0 { r[i] = 0 }
  d.storeBytes(of: r, as: U32.self)
}
private let insertFromRegister: Kernel = { d, a, b, imm, _ in
  let at = Int(truncatingIfNeeded: (imm >> 6) & 3)
  insertSingle(d, a, b.loadUnaligned(fromByteOffset: at &* 4, as: UInt32.self), imm)
}
private let insertFromMemory: Kernel = { d, a, b, imm, _ in insertSingle(d, a, b.loadUnaligned(as: UInt32.self), imm) }

func registerVectorElements(_ table: inout LoweringTable) {
  table.register("pextrb", "vpextrb") { lowerExtract(extractByte, 1, $0, &$1) }
  table.register("pextrw", "vpextrw") { lowerExtract(extractWord, 2, $0, &$1) }
  table.register("pextrd", "vpextrd", "extractps", "vextractps") { instruction, op in
    lowerExtract(extractDoubleword, 4, instruction, &op)
  }
  table.register("pextrq", "vpextrq") { lowerExtract(extractQuadword, 8, $0, &$1) }
  func add(_ name: String, _ bytes: Int, _ kernel: @escaping Kernel) {
    table.vector(name, VectorForm(kernel: kernel, memory: bytes, only128: true))
  }
  add("pinsrb", 1) { d, a, b, imm, _ in insert(d, a, b, imm, UInt8.self) }
  add("pinsrw", 2) { d, a, b, imm, _ in insert(d, a, b, imm, UInt16.self) }
  add("pinsrd", 4) { d, a, b, imm, _ in insert(d, a, b, imm, UInt32.self) }
  add("pinsrq", 8) { d, a, b, imm, _ in insert(d, a, b, imm, UInt64.self) }
  table.register("insertps", "vinsertps") { instruction, op in
    let memory = instruction.operand(instruction.placeCount - 1).kind == .memory
    let form = VectorForm(kernel: memory ? insertFromMemory : insertFromRegister, memory: 4, only128: true)
    return lowerVector(form, instruction, &op)
  }
}

// MARK: - MMX and XMM

private func moveToXMM(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readySSE) else { return vectorSlow(cpu, op, readySSE) }
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  let value = cpu.get(op.pointee.src, UInt64.self)
  enterMMX(cpu)
  cpu.address(op.pointee.dst).storeBytes(of: V128(value, 0), as: V128.self)
  return next(cpu, op)
}

private func moveToMMX(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readySSE) else { return vectorSlow(cpu, op, readySSE) }
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  let value = cpu.get(op.pointee.src, UInt64.self)
  enterMMX(cpu)
  setMMX(cpu, op.pointee.dst, value)
  return next(cpu, op)
}

/// CVTPI2PS, CVTPI2PD from an MMX register; with a memory operand nothing of the x87 state changes (PD) or all of it (PS).
private func convertFromMMX(_ cpu: CPU, _ op: Operation) -> Operation? {
  let need = readySSE | readyMasked
  guard isReady(cpu, need) else { return vectorSlow(cpu, op, need) }
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  let d = cpu.address(op.pointee.dst)
  op.kernel(d, d, cpu.address(op.pointee.src), op.immediate, cpu)
  enterMMX(cpu)
  return next(cpu, op)
}

/// CVTPS2PI, CVTPD2PI and their truncating forms; the source is a register (`size` 0) or memory.
private func convertToMMX(_ cpu: CPU, _ op: Operation) -> Operation? {
  let need = readySSE | readyMasked
  guard isReady(cpu, need) else { return vectorSlow(cpu, op, need) }
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  var b = UnsafeRawPointer(cpu.address(op.pointee.src))
  if op.pointee.size != 0 {
    guard let memory = vectorOperand(cpu, op, Int(op.pointee.size)) else { return raise(cpu, op) }
    b = memory
  }
  // 8 bytes may be all that is there: the kernel wants 16.
  let scratch = cpu.address(StateOffset.scratch)
  if op.pointee.size == 8 {
    scratch.storeBytes(of: V128(b.loadUnaligned(as: UInt64.self), 0), as: V128.self)
    b = UnsafeRawPointer(scratch)
  } else if op.pointee.size == 0 && op.pointee.src3 == 8 {
    scratch.storeBytes(of: V128(b.loadUnaligned(as: UInt64.self), 0), as: V128.self)
    b = UnsafeRawPointer(scratch)
  }
  op.kernel(scratch + 16, b, b, op.immediate, cpu)
  let value = scratch.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
  enterMMX(cpu)
  setMMX(cpu, op.pointee.dst, value)
  return next(cpu, op)
}

func registerVectorMMX(_ table: inout LoweringTable) {
  table.register("movq2dq") { _, op in
    op.handler = { cpu, op in moveToXMM(cpu, op) }
    return true
  }
  table.register("movdq2q") { _, op in
    op.handler = { cpu, op in moveToMMX(cpu, op) }
    return true
  }
  func from(_ name: String, _ form: VectorForm) {
    table.register(name) { instruction, op in
      guard instruction.operand(1).kind == .mmx else { return lowerVector(form, instruction, &op) }
      op.data = UInt64(UInt(bitPattern: unsafeBitCast(form.kernel, to: Int.self)))
      op.imm = form.code ?? 0
      op.handler = { cpu, op in convertFromMMX(cpu, op) }
      return true
    }
  }
  func to(_ name: String, _ bytes: Int, _ form: VectorForm) {
    table.register(name) { instruction, op in
      let memory = instruction.operand(1).kind == .memory
      op.data = UInt64(UInt(bitPattern: unsafeBitCast(form.kernel, to: Int.self)))
      op.size = memory ? UInt8(bytes) : 0
      op.imm = form.code ?? 0
      op.src3 = UInt16(bytes)
      op.extra = memory && bytes == 16 ? 15 << 3 : 0
      op.handler = { cpu, op in convertToMMX(cpu, op) }
      return true
    }
  }
  from("cvtpi2pd", VectorForm(float: "cvtdq2pd", memory: 8))
  from("cvtpi2ps", VectorForm(kernel: convertPairToSingles, memory: 8, float: true))
  to("cvtps2pi", 8, VectorForm(float: "cvtps2dq"))
  to("cvttps2pi", 8, VectorForm(float: "cvttps2dq"))
  to("cvtpd2pi", 16, VectorForm(float: "cvtpd2dq"))
  to("cvttpd2pi", 16, VectorForm(float: "cvttpd2dq"))
}

/// Two integers to two singles, the upper half of `a` staying.
private let convertPairToSingles: Kernel = { d, a, b, _, cpu in
  let high = a.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
  let pair = U64(b.loadUnaligned(as: UInt64.self), 0)
  let imm = UInt64(bitPattern: pairToSingles.code ?? 0)
  withUnsafeBytes(of: pair) { pairToSingles.kernel(d, $0.baseAddress!, $0.baseAddress!, imm, cpu) }
  d.storeBytes(of: high, toByteOffset: 8, as: UInt64.self)
}
private nonisolated(unsafe) let pairToSingles = VectorForm(float: "cvtdq2ps")
