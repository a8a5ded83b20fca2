// Packed integer arithmetic, comparisons and logic, on 16 bytes at a time.

typealias U8 = SIMD16<UInt8>
typealias I8 = SIMD16<Int8>
typealias U16 = SIMD8<UInt16>
typealias I16 = SIMD8<Int16>
typealias U32 = SIMD4<UInt32>
typealias I32 = SIMD4<Int32>
typealias U64 = SIMD2<UInt64>
typealias I64 = SIMD2<Int64>

extension UnsafeRawPointer {
  @inline(__always) func vector<V: SIMD>(_: V.Type) -> V { loadUnaligned(as: V.self) }
}

/// Applies `f` to whole vectors.
@inline(__always) func whole<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _: V.Type, _ f: (V, V) -> V
) {
  d.storeBytes(of: f(a.loadUnaligned(as: V.self), b.loadUnaligned(as: V.self)), as: V.self)
}

/// Applies `f` element by element.
@inline(__always) func lanes<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _: V.Type, _ f: (V.Scalar, V.Scalar) -> V.Scalar
) {
  let x = a.loadUnaligned(as: V.self)
  let y = b.loadUnaligned(as: V.self)
  var r = x
  for i in 0..<V.scalarCount { r[i] = f(x[i], y[i]) }
  d.storeBytes(of: r, as: V.self)
}

/// The mask of a comparison as a vector of ones and zeros.
@inline(__always) func ones<V: SIMD>(_ mask: SIMDMask<V>) -> V { unsafeBitCast(mask, to: V.self) }

/// Clamps to the range of `T`.
@inline(__always) func saturate<T: FixedWidthInteger>(_ value: Int32, _: T.Type) -> T {
  let low = Int32(truncatingIfNeeded: T.min)
  let high = Int32(truncatingIfNeeded: T.max)
  return T(truncatingIfNeeded: max(low, min(high, value)))
}

func registerVectorLogic(_ table: inout LoweringTable) {
  let and: Kernel = { d, a, b, _, _ in whole(d, a, b, U64.self) { $0 & $1 } }
  let andNot: Kernel = { d, a, b, _, _ in whole(d, a, b, U64.self) { ~$0 & $1 } }
  let or: Kernel = { d, a, b, _, _ in whole(d, a, b, U64.self) { $0 | $1 } }
  let exclusiveOr: Kernel = { d, a, b, _, _ in whole(d, a, b, U64.self) { $0 ^ $1 } }
  for name in ["pand", "andps", "andpd"] { table.vector(name, and) }
  for name in ["pandn", "andnps", "andnpd"] { table.vector(name, andNot) }
  for name in ["por", "orps", "orpd"] { table.vector(name, or) }
  for name in ["pxor", "xorps", "xorpd"] { table.vector(name, exclusiveOr) }
}

func registerVectorArithmetic(_ table: inout LoweringTable) {
  table.vector("paddb") { d, a, b, _, _ in whole(d, a, b, U8.self) { $0 &+ $1 } }
  table.vector("paddw") { d, a, b, _, _ in whole(d, a, b, U16.self) { $0 &+ $1 } }
  table.vector("paddd") { d, a, b, _, _ in whole(d, a, b, U32.self) { $0 &+ $1 } }
  table.vector("paddq") { d, a, b, _, _ in whole(d, a, b, U64.self) { $0 &+ $1 } }
  table.vector("psubb") { d, a, b, _, _ in whole(d, a, b, U8.self) { $0 &- $1 } }
  table.vector("psubw") { d, a, b, _, _ in whole(d, a, b, U16.self) { $0 &- $1 } }
  table.vector("psubd") { d, a, b, _, _ in whole(d, a, b, U32.self) { $0 &- $1 } }
  table.vector("psubq") { d, a, b, _, _ in whole(d, a, b, U64.self) { $0 &- $1 } }
  table.vector("paddsb") { d, a, b, _, _ in lanes(d, a, b, I8.self) { saturate(Int32($0) &+ Int32($1), Int8.self) } }
  table.vector("paddsw") { d, a, b, _, _ in lanes(d, a, b, I16.self) { saturate(Int32($0) &+ Int32($1), Int16.self) } }
  table.vector("psubsb") { d, a, b, _, _ in lanes(d, a, b, I8.self) { saturate(Int32($0) &- Int32($1), Int8.self) } }
  table.vector("psubsw") { d, a, b, _, _ in lanes(d, a, b, I16.self) { saturate(Int32($0) &- Int32($1), Int16.self) } }
  table.vector("paddusb") { d, a, b, _, _ in lanes(d, a, b, U8.self) { $0 &+ min($1, ~$0) } }
  table.vector("paddusw") { d, a, b, _, _ in lanes(d, a, b, U16.self) { $0 &+ min($1, ~$0) } }
  table.vector("psubusb") { d, a, b, _, _ in lanes(d, a, b, U8.self) { $0 &- min($0, $1) } }
  table.vector("psubusw") { d, a, b, _, _ in lanes(d, a, b, U16.self) { $0 &- min($0, $1) } }
  table.vector("pavgb") { d, a, b, _, _ in
    lanes(d, a, b, U8.self) { UInt8(truncatingIfNeeded: (UInt32($0) &+ UInt32($1) &+ 1) &>> 1) }
  }
  table.vector("pavgw") { d, a, b, _, _ in
    lanes(d, a, b, U16.self) { UInt16(truncatingIfNeeded: (UInt32($0) &+ UInt32($1) &+ 1) &>> 1) }
  }
  table.vector("pminub") { d, a, b, _, _ in lanes(d, a, b, U8.self) { min($0, $1) } }
  table.vector("pminuw") { d, a, b, _, _ in lanes(d, a, b, U16.self) { min($0, $1) } }
  table.vector("pminud") { d, a, b, _, _ in lanes(d, a, b, U32.self) { min($0, $1) } }
  table.vector("pminsb") { d, a, b, _, _ in lanes(d, a, b, I8.self) { min($0, $1) } }
  table.vector("pminsw") { d, a, b, _, _ in lanes(d, a, b, I16.self) { min($0, $1) } }
  table.vector("pminsd") { d, a, b, _, _ in lanes(d, a, b, I32.self) { min($0, $1) } }
  table.vector("pmaxub") { d, a, b, _, _ in lanes(d, a, b, U8.self) { max($0, $1) } }
  table.vector("pmaxuw") { d, a, b, _, _ in lanes(d, a, b, U16.self) { max($0, $1) } }
  table.vector("pmaxud") { d, a, b, _, _ in lanes(d, a, b, U32.self) { max($0, $1) } }
  table.vector("pmaxsb") { d, a, b, _, _ in lanes(d, a, b, I8.self) { max($0, $1) } }
  table.vector("pmaxsw") { d, a, b, _, _ in lanes(d, a, b, I16.self) { max($0, $1) } }
  table.vector("pmaxsd") { d, a, b, _, _ in lanes(d, a, b, I32.self) { max($0, $1) } }
}

func registerVectorComparisons(_ table: inout LoweringTable) {
  table.vector("pcmpeqb") { d, a, b, _, _ in whole(d, a, b, I8.self) { ones($0 .== $1) } }
  table.vector("pcmpeqw") { d, a, b, _, _ in whole(d, a, b, I16.self) { ones($0 .== $1) } }
  table.vector("pcmpeqd") { d, a, b, _, _ in whole(d, a, b, I32.self) { ones($0 .== $1) } }
  table.vector("pcmpeqq") { d, a, b, _, _ in whole(d, a, b, I64.self) { ones($0 .== $1) } }
  table.vector("pcmpgtb") { d, a, b, _, _ in whole(d, a, b, I8.self) { ones($0 .> $1) } }
  table.vector("pcmpgtw") { d, a, b, _, _ in whole(d, a, b, I16.self) { ones($0 .> $1) } }
  table.vector("pcmpgtd") { d, a, b, _, _ in whole(d, a, b, I32.self) { ones($0 .> $1) } }
  table.vector("pcmpgtq") { d, a, b, _, _ in whole(d, a, b, I64.self) { ones($0 .> $1) } }
}

/// Multiplies neighbours and adds the two products.
private let multiplyAddWords: Kernel = { d, a, b, _, _ in
  let x = a.vector(I16.self)
  let y = b.vector(I16.self)
  var r = I32()
  for i in 0..<4 {
    let low = Int32(x[2 &* i]) &* Int32(y[2 &* i])
    let high = Int32(x[2 &* i &+ 1]) &* Int32(y[2 &* i &+ 1])
    r[i] = low &+ high
  }
  d.storeBytes(of: r, as: I32.self)
}

/// The same of unsigned by signed bytes, saturated.
private let multiplyAddBytes: Kernel = { d, a, b, _, _ in
  let x = a.vector(U8.self)
  let y = b.vector(I8.self)
  var r = I16()
  for i in 0..<8 {
    let low = Int32(x[2 &* i]) &* Int32(y[2 &* i])
    let high = Int32(x[2 &* i &+ 1]) &* Int32(y[2 &* i &+ 1])
    r[i] = saturate(low &+ high, Int16.self)
  }
  d.storeBytes(of: r, as: I16.self)
}

private let sumOfDifferences: Kernel = { d, a, b, _, _ in
  let x = a.vector(U8.self)
  let y = b.vector(U8.self)
  var r = U64()
  for half in 0..<2 {
    var sum: UInt32 = 0
    for i in 0..<8 {
      let p = x[half &* 8 &+ i]
      let q = y[half &* 8 &+ i]
      sum &+= UInt32(max(p, q) &- min(p, q))
    }
    r[half] = UInt64(sum)
  }
  d.storeBytes(of: r, as: U64.self)
}

/// Eight sums of four absolute differences: MPSADBW. The upper half of a YMM register has immediate bits 5:3.
@inline(__always) private func multipleSums(_ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ control: UInt64) {
  let x = a.vector(U8.self)
  let y = b.vector(U8.self)
  let from = Int(truncatingIfNeeded: control & 3) &* 4
  let start = Int(truncatingIfNeeded: (control >> 2) & 1) &* 4
  var r = U16()
  for i in 0..<8 {
    var sum: UInt16 = 0
    for k in 0..<4 {
      let p = x[start &+ i &+ k]
      let q = y[from &+ k]
      sum &+= UInt16(max(p, q) &- min(p, q))
    }
    r[i] = sum
  }
  d.storeBytes(of: r, as: U16.self)
}

/// The smallest word and its place.
private let horizontalMinimum: Kernel = { d, _, b, _, _ in
  let x = b.vector(U16.self)
  var value = x[0]
  var place: UInt16 = 0
  for i in 1..<8 where x[i] < value {
    value = x[i]
    place = UInt16(truncatingIfNeeded: i)
  }
  d.storeBytes(of: U16(value, place, 0, 0, 0, 0, 0, 0), as: U16.self)
}

func registerVectorProducts(_ table: inout LoweringTable) {
  table.vector("pmullw") { d, a, b, _, _ in whole(d, a, b, U16.self) { $0 &* $1 } }
  table.vector("pmulld") { d, a, b, _, _ in whole(d, a, b, U32.self) { $0 &* $1 } }
  table.vector("pmulhw") { d, a, b, _, _ in
    lanes(d, a, b, I16.self) { Int16(truncatingIfNeeded: (Int32($0) &* Int32($1)) &>> 16) }
  }
  table.vector("pmulhuw") { d, a, b, _, _ in
    lanes(d, a, b, U16.self) { UInt16(truncatingIfNeeded: (UInt32($0) &* UInt32($1)) &>> 16) }
  }
  table.vector("pmulhrsw") { d, a, b, _, _ in
    lanes(d, a, b, I16.self) { Int16(truncatingIfNeeded: (((Int32($0) &* Int32($1)) &>> 14) &+ 1) &>> 1) }
  }
  table.vector("pmuludq") { d, a, b, _, _ in
    lanes(d, a, b, U64.self) { ($0 & 0xFFFF_FFFF) &* ($1 & 0xFFFF_FFFF) }
  }
  table.vector("pmuldq") { d, a, b, _, _ in
    lanes(d, a, b, I64.self) { Int64(Int32(truncatingIfNeeded: $0)) &* Int64(Int32(truncatingIfNeeded: $1)) }
  }
  table.vector("pmaddwd", multiplyAddWords)
  table.hosted("pmaddubsw", multiplyAddBytes)
  table.vector("psadbw", sumOfDifferences)
  table.vector("phminposuw", VectorForm(kernel: horizontalMinimum, only128: true))
  let sums: Kernel = { d, a, b, imm, _ in multipleSums(d, a, b, imm) }
  table.register("mpsadbw", "vmpsadbw") { instruction, op in
    guard lowerVector(VectorForm(kernel: sums), instruction, &op) else { return false }
    guard instruction.vectorLength == 32 else { return true }
    op.handler = { cpu, op in multipleSums256(cpu, op) }
    return true
  }
}

private func multipleSums256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  var b = UnsafeRawPointer(cpu.address(op.pointee.src2))
  if op.pointee.size != 0 {
    guard let memory = vectorOperand(cpu, op, 32) else { return raise(cpu, op) }
    b = memory
  }
  let d = cpu.address(op.pointee.dst)
  let a = cpu.address(op.pointee.src)
  multipleSums(d + 16, a + 16, b + 16, op.immediate >> 3)
  multipleSums(d, a, b, op.immediate)
  return next(cpu, op)
}

func registerVectorSigns(_ table: inout LoweringTable) {
  table.vector("psignb") { d, a, b, _, _ in lanes(d, a, b, I8.self) { $1 > 0 ? $0 : $1 == 0 ? 0 : 0 &- $0 } }
  table.vector("psignw") { d, a, b, _, _ in lanes(d, a, b, I16.self) { $1 > 0 ? $0 : $1 == 0 ? 0 : 0 &- $0 } }
  table.vector("psignd") { d, a, b, _, _ in lanes(d, a, b, I32.self) { $1 > 0 ? $0 : $1 == 0 ? 0 : 0 &- $0 } }
  table.vector("pabsb") { d, a, b, _, _ in lanes(d, b, b, I8.self) { x, _ in x < 0 ? 0 &- x : x } }
  table.vector("pabsw") { d, a, b, _, _ in lanes(d, b, b, I16.self) { x, _ in x < 0 ? 0 &- x : x } }
  table.vector("pabsd") { d, a, b, _, _ in lanes(d, b, b, I32.self) { x, _ in x < 0 ? 0 &- x : x } }
}

/// Combines neighbours of `a`, then of `b`.
@inline(__always) private func horizontal<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _: V.Type, _ f: (V.Scalar, V.Scalar) -> V.Scalar
) {
  let x = a.vector(V.self)
  let y = b.vector(V.self)
  let half = V.scalarCount / 2
  var r = x
  for i in 0..<half {
    r[i] = f(x[2 &* i], x[2 &* i &+ 1])
    r[half &+ i] = f(y[2 &* i], y[2 &* i &+ 1])
  }
  d.storeBytes(of: r, as: V.self)
}

func registerVectorHorizontals(_ table: inout LoweringTable) {
  table.vector("phaddw") { d, a, b, _, _ in horizontal(d, a, b, U16.self) { $0 &+ $1 } }
  table.vector("phaddd") { d, a, b, _, _ in horizontal(d, a, b, U32.self) { $0 &+ $1 } }
  table.vector("phsubw") { d, a, b, _, _ in horizontal(d, a, b, U16.self) { $0 &- $1 } }
  table.vector("phsubd") { d, a, b, _, _ in horizontal(d, a, b, U32.self) { $0 &- $1 } }
  table.vector("phaddsw") { d, a, b, _, _ in horizontal(d, a, b, I16.self) { saturate(Int32($0) &+ Int32($1), Int16.self) } }
  table.vector("phsubsw") { d, a, b, _, _ in horizontal(d, a, b, I16.self) { saturate(Int32($0) &- Int32($1), Int16.self) } }
}
