import CHost
import X86

// AVX and AVX2: broadcasts, permutations across lanes, 128-bit halves, element-wise permutations.

@inline(__always) private func source32(_ cpu: CPU, _ op: Operation) -> UnsafeRawPointer? {
  op.pointee.size != 0 ? vectorOperand(cpu, op, Int(op.pointee.size)) : UnsafeRawPointer(cpu.address(op.pointee.src2))
}

@inline(__always) private func sourceHit(_ cpu: CPU, _ op: Operation) -> UnsafeRawPointer? {
  op.pointee.size != 0 ? operandHit(cpu, op, Int(op.pointee.size)) : UnsafeRawPointer(cpu.address(op.pointee.src2))
}

/// One kernel call that makes all 32 bytes (VEX.256 only).
private func whole256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  guard let b = sourceHit(cpu, op) else { return whole256Slow(cpu, op) }
  op.kernel(cpu.address(op.pointee.dst), cpu.address(op.pointee.src), b, op.immediate, cpu)
  return next(cpu, op)
}

@inline(never) private func whole256Slow(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let b = source32(cpu, op) else { return raise(cpu, op) }
  op.kernel(cpu.address(op.pointee.dst), cpu.address(op.pointee.src), b, op.immediate, cpu)
  return next(cpu, op)
}

extension LoweringTable {
  /// Registers an operation whose kernel makes a whole YMM register; `memory` is the size of the memory operand.
  fileprivate mutating func whole(_ name: String, memory: Int, _ kernel: @escaping Kernel) {
    register(name) { instruction, op in
      guard instruction.vectorLength == 32, lowerVector(VectorForm(kernel: kernel), instruction, &op) else { return false }
      if op.size != 0 { op.size = UInt8(memory) }
      op.handler = { cpu, op in whole256(cpu, op) }
      return true
    }
  }

  /// Registers a broadcast of one element: the same kernel for both halves.
  fileprivate mutating func broadcast(_ name: String, _ bytes: Int, _ kernel: @escaping Kernel) {
    vectorOnly(name, VectorForm(kernel: kernel, memory: bytes, stride: 0))
  }
}

@inline(__always) private func spread<T: FixedWidthInteger & UnsignedInteger>(
  _ d: UnsafeMutableRawPointer, _ b: UnsafeRawPointer, _: T.Type
) {
  let unit = UInt64.max / UInt64(T.max)
  let value = UInt64(truncatingIfNeeded: b.loadUnaligned(as: T.self)) &* unit
  d.storeBytes(of: V128(value, value), as: V128.self)
}

func registerVectorBroadcasts(_ table: inout LoweringTable) {
  let byte: Kernel = { d, _, b, _, _ in spread(d, b, UInt8.self) }
  let word: Kernel = { d, _, b, _, _ in spread(d, b, UInt16.self) }
  let doubleword: Kernel = { d, _, b, _, _ in spread(d, b, UInt32.self) }
  let quadword: Kernel = { d, _, b, _, _ in spread(d, b, UInt64.self) }
  table.broadcast("vpbroadcastb", 1, byte)
  table.broadcast("vpbroadcastw", 2, word)
  table.broadcast("vpbroadcastd", 4, doubleword)
  table.broadcast("vpbroadcastq", 8, quadword)
  table.broadcast("vbroadcastss", 4, doubleword)
  table.broadcast("vbroadcastsd", 8, quadword)
  let both: Kernel = { d, _, b, _, _ in
    let value = b.loadUnaligned(as: V128.self)
    d.storeBytes(of: value, as: V128.self)
    d.storeBytes(of: value, toByteOffset: 16, as: V128.self)
  }
  table.whole("vbroadcastf128", memory: 16, both)
  table.whole("vbroadcasti128", memory: 16, both)
}

// MARK: - Halves

/// One of `a`'s and `b`'s four halves, or zero, by a nibble of the immediate.
@inline(__always) private func half(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64) -> V128 {
  if imm & 8 != 0 { return V128() }
  let base = imm & 2 != 0 ? b : a
  return base.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: imm & 1) &* 16, as: V128.self)
}

private let permuteHalves: Kernel = { d, a, b, imm, _ in
  let low = half(a, b, imm)
  let high = half(a, b, imm >> 4)
  d.storeBytes(of: low, as: V128.self)
  d.storeBytes(of: high, toByteOffset: 16, as: V128.self)
}

private let insertHalf: Kernel = { d, a, b, imm, _ in
  let value = b.loadUnaligned(as: V128.self)
  let rest = a.loadUnaligned(as: V256.self)
  d.storeBytes(of: imm & 1 == 0 ? value : rest.lowHalf, as: V128.self)
  d.storeBytes(of: imm & 1 == 0 ? rest.highHalf : value, toByteOffset: 16, as: V128.self)
}

/// To a register its upper half is cleared; to memory the store shape takes 16 bytes.
private let extractHalf: Kernel = { d, _, b, imm, _ in
  let value = b.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: imm & 1) &* 16, as: V128.self)
  d.storeBytes(of: value, as: V128.self)
}
private let extractHalfToRegister: Kernel = { d, _, b, imm, _ in
  let value = b.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: imm & 1) &* 16, as: V128.self)
  d.storeBytes(of: value, as: V128.self)
  clearUpper(d)
}

func registerVectorHalves(_ table: inout LoweringTable) {
  table.whole("vperm2f128", memory: 32, permuteHalves)
  table.whole("vperm2i128", memory: 32, permuteHalves)
  table.whole("vinsertf128", memory: 16, insertHalf)
  table.whole("vinserti128", memory: 16, insertHalf)
  table.register("vextractf128", "vextracti128") { instruction, op in
    guard instruction.vectorLength == 32 else { return false }
    if instruction.operand(0).kind == .memory { return lowerVectorStore(extractHalf, 16, instruction, &op) }
    guard lowerVector(VectorForm(kernel: extractHalfToRegister), instruction, &op) else { return false }
    op.handler = { cpu, op in whole256(cpu, op) }
    return true
  }
}

// MARK: - Across lanes

/// Doublewords of `b` by indices in `a`.
private let permuteDoublewords: Kernel = { d, a, b, _, _ in
  let index = a.loadUnaligned(as: SIMD8<UInt32>.self)
  var r = SIMD8<UInt32>()
  for i in 0..<8 { r[i] = b.loadUnaligned(fromByteOffset: Int(index[i] & 7) &* 4, as: UInt32.self) }
  d.storeBytes(of: r, as: SIMD8<UInt32>.self)
}

/// Quadwords of `b` by two bits of the immediate each.
private let permuteQuadwords: Kernel = { d, _, b, imm, _ in
  var r = V256()
  for i in 0..<4 {
    let at = Int(truncatingIfNeeded: (imm >> UInt64(2 &* i)) & 3)
    r[i] = b.loadUnaligned(fromByteOffset: at &* 8, as: UInt64.self)
  }
  d.storeBytes(of: r, as: V256.self)
}

func registerVectorPermutes(_ table: inout LoweringTable) {
  table.whole("vpermd", memory: 32, permuteDoublewords)
  table.whole("vpermps", memory: 32, permuteDoublewords)
  table.whole("vpermq", memory: 32, permuteQuadwords)
  table.whole("vpermpd", memory: 32, permuteQuadwords)
  // Within lanes: by immediate, or by a vector of indices.
  let singles: Kernel = { d, a, b, _, _ in
    let index = b.vector(U32.self)
    let x = a.vector(U32.self)
    var r = U32()
    for i in 0..<4 { r[i] = x[Int(index[i] & 3)] }
    d.storeBytes(of: r, as: U32.self)
  }
  let doubles: Kernel = { d, a, b, _, _ in
    let index = b.vector(U64.self)
    let x = a.vector(U64.self)
    d.storeBytes(of: U64(x[Int((index[0] >> 1) & 1)], x[Int((index[1] >> 1) & 1)]), as: U64.self)
  }
  let doublesByImmediate: Kernel = { d, _, b, imm, _ in
    let x = b.vector(U64.self)
    d.storeBytes(of: U64(x[Int(truncatingIfNeeded: imm & 1)], x[Int(truncatingIfNeeded: (imm >> 1) & 1)]), as: U64.self)
  }
  var immediateDoubles = LoweringTable()
  immediateDoubles.halved("vpermilpd", VectorForm(kernel: doublesByImmediate), bits: 2, both: false)
  let mnemonic = Mnemonic("vpermilpd")
  let byImmediate = mnemonic.flatMap { immediateDoubles[$0] }
  table.register("vpermilpd") { instruction, op in
    if instruction.operand(2).kind == .immediate { return byImmediate?(instruction, &op) ?? false }
    return lowerVector(VectorForm(kernel: doubles), instruction, &op)
  }
  table.register("vpermilps") { instruction, op in
    let immediate = instruction.operand(2).kind == .immediate
    return lowerVector(VectorForm(kernel: immediate ? shuffleDoublewords : singles), instruction, &op)
  }
}

// MARK: - Blends by a mask

/// Elements of `b` where the mask element's sign is set, else of `a`; the mask is register operand 3 or XMM0.
@inline(__always) private func select<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ mask: UnsafeRawPointer, _: V.Type
) where V.Scalar: FixedWidthInteger & SignedInteger {
  let x = a.vector(V.self)
  let y = b.vector(V.self)
  let sign = mask.vector(V.self) &>> V(repeating: V.Scalar(truncatingIfNeeded: V.Scalar.bitWidth - 1))
  d.storeBytes(of: (x & ~sign) | (y & sign), as: V.self)
}

@inline(__always) private func blendByMask<V: SIMD>(_ cpu: CPU, _ op: Operation, _: V.Type) -> Operation?
where V.Scalar: FixedWidthInteger & SignedInteger {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let b = source32(cpu, op) else { return raise(cpu, op) }
  let d = cpu.address(op.pointee.dst)
  let a = cpu.address(op.pointee.src)
  let mask = cpu.address(op.pointee.src3)
  if op.pointee.imm == 32 {
    select(d + 16, a + 16, b + 16, mask + 16, V.self)
  } else if op.pointee.imm == 16 {
    clearUpper(d)
  }
  select(d, a, b, mask, V.self)
  return next(cpu, op)
}

/// Legacy forms have their mask in XMM0, named as operand 2 or not at all; VEX forms have four places.
private func lowerBlendByMask(_ handler: @escaping Handler, _ instruction: Instruction, _ op: inout pv_op) -> Bool {
  let vex = instruction.vectorLength > 0
  let at = vex ? 2 : 1
  let memory = instruction.operand(at).kind == .memory
  op.src3 = vex ? op.src3 : StateOffset.vector(0)
  op.src2 = vex ? op.src2 : op.src
  op.src = vex ? op.src : op.dst
  op.size = memory ? max(instruction.vectorLength, 16) : 0
  op.extra = instruction.vectorNeed | (memory && !vex ? 15 << 3 : 0)
  op.imm = Int64(instruction.vectorLength)
  op.handler = handler
  return true
}

func registerVectorSelections(_ table: inout LoweringTable) {
  table.register("pblendvb", "vpblendvb") { lowerBlendByMask({ cpu, op in blendByMask(cpu, op, I8.self) }, $0, &$1) }
  table.register("blendvps", "vblendvps") { lowerBlendByMask({ cpu, op in blendByMask(cpu, op, I32.self) }, $0, &$1) }
  table.register("blendvpd", "vblendvpd") { lowerBlendByMask({ cpu, op in blendByMask(cpu, op, I64.self) }, $0, &$1) }
}
