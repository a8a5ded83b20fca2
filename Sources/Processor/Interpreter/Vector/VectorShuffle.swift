// Unpacks, packs, shuffles, blends and widenings, on 16 bytes at a time.

func registerVectorUnpacks(_ table: inout LoweringTable) {
  table.vector("punpcklbw") { d, a, b, _, _ in interleave(d, a, b, U8.self, 0) }
  table.vector("punpcklwd") { d, a, b, _, _ in interleave(d, a, b, U16.self, 0) }
  table.vector("punpckhbw") { d, a, b, _, _ in interleave(d, a, b, U8.self, 8) }
  table.vector("punpckhwd") { d, a, b, _, _ in interleave(d, a, b, U16.self, 4) }
  let low32: Kernel = { d, a, b, _, _ in interleave(d, a, b, U32.self, 0) }
  let high32: Kernel = { d, a, b, _, _ in interleave(d, a, b, U32.self, 2) }
  let low64: Kernel = { d, a, b, _, _ in interleave(d, a, b, U64.self, 0) }
  let high64: Kernel = { d, a, b, _, _ in interleave(d, a, b, U64.self, 1) }
  for name in ["punpckldq", "unpcklps"] { table.vector(name, low32) }
  for name in ["punpckhdq", "unpckhps"] { table.vector(name, high32) }
  for name in ["punpcklqdq", "unpcklpd"] { table.vector(name, low64) }
  for name in ["punpckhqdq", "unpckhpd"] { table.vector(name, high64) }
}

/// Elements of `a` and `b` in turn, from element `start` on.
@inline(__always) private func interleave<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _: V.Type, _ start: Int
) {
  let x = a.vector(V.self)
  let y = b.vector(V.self)
  var r = x
  for i in 0..<(V.scalarCount / 2) {
    r[2 &* i] = x[start &+ i]
    r[2 &* i &+ 1] = y[start &+ i]
  }
  d.storeBytes(of: r, as: V.self)
}

/// `a`'s elements, then `b`'s, narrowed with saturation.
@inline(__always) private func pack<Wide: SIMD, Narrow: FixedWidthInteger>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _: Wide.Type, _: Narrow.Type
) where Wide.Scalar: FixedWidthInteger {
  let x = a.vector(Wide.self)
  let y = b.vector(Wide.self)
  let size = MemoryLayout<Narrow>.size
  for i in 0..<Wide.scalarCount {
    d.storeBytes(of: saturate(Int32(truncatingIfNeeded: x[i]), Narrow.self), toByteOffset: i &* size, as: Narrow.self)
    d.storeBytes(of: saturate(Int32(truncatingIfNeeded: y[i]), Narrow.self), toByteOffset: 8 &+ i &* size, as: Narrow.self)
  }
}

func registerVectorPacks(_ table: inout LoweringTable) {
  table.hosted("packsswb") { d, a, b, _, _ in pack(d, a, b, I16.self, Int8.self) }
  table.hosted("packssdw") { d, a, b, _, _ in pack(d, a, b, I32.self, Int16.self) }
  table.hosted("packuswb") { d, a, b, _, _ in pack(d, a, b, I16.self, UInt8.self) }
  table.hosted("packusdw") { d, a, b, _, _ in pack(d, a, b, I32.self, UInt16.self) }
}

// MARK: - Shuffles

/// The two bits of the immediate for element `i`.
@inline(__always) private func field2(_ imm: UInt64, _ i: Int) -> Int { Int(truncatingIfNeeded: (imm >> UInt64(2 &* i)) & 3) }
@inline(__always) private func field1(_ imm: UInt64, _ i: Int) -> Int { Int(truncatingIfNeeded: (imm >> UInt64(i)) & 1) }

private let shuffleBytes: Kernel = { d, a, b, _, _ in
  let x = a.vector(U8.self)
  let y = b.vector(U8.self)
  // Swift's own subscript is checked; through memory it is one load.
  withUnsafePointer(to: x) { pointer in
    let table = UnsafeRawPointer(pointer)
    for i in 0..<16 {
      let value = table.load(fromByteOffset: Int(y[i] & 15), as: UInt8.self)
      let kept = value & ~UInt8(bitPattern: Int8(bitPattern: y[i]) &>> 7)
      d.storeBytes(of: kept, toByteOffset: i, as: UInt8.self)
    }
  }
}

let shuffleDoublewords: Kernel = { d, _, b, imm, _ in
  let x = b.vector(U32.self)
  let r = U32(x[field2(imm, 0)], x[field2(imm, 1)], x[field2(imm, 2)], x[field2(imm, 3)])
  d.storeBytes(of: r, as: U32.self)
}

/// Four words of the low (`start` 0) or high (4) half.
@inline(__always) private func shuffleWords(_ d: UnsafeMutableRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64, _ start: Int) {
  let x = b.vector(U16.self)
  var r = x
  for i in 0..<4 { r[start &+ i] = x[start &+ field2(imm, i)] }
  d.storeBytes(of: r, as: U16.self)
}

private let shuffleSingles: Kernel = { d, a, b, imm, _ in
  let x = a.vector(U32.self)
  let y = b.vector(U32.self)
  let r = U32(x[field2(imm, 0)], x[field2(imm, 1)], y[field2(imm, 2)], y[field2(imm, 3)])
  d.storeBytes(of: r, as: U32.self)
}

/// `a`:`b` shifted right by bytes.
private let alignRight: Kernel = { d, a, b, imm, _ in
  let low = b.vector(U64.self)
  let high = a.vector(U64.self)
  let shift = (imm & 7) &* 8
  var words: (UInt64, UInt64, UInt64)
  switch (imm & 0xFF) >> 3 {
  case 0: words = (low[0], low[1], high[0])
  case 1: words = (low[1], high[0], high[1])
  case 2: words = (high[0], high[1], 0)
  case 3: words = (high[1], 0, 0)
  default: words = (0, 0, 0)
  }
  // Two shifts, because one by 64 would be by 0.
  let first = words.0 &>> shift | (words.1 &<< 1) &<< (63 &- shift)
  let second = words.1 &>> shift | (words.2 &<< 1) &<< (63 &- shift)
  d.storeBytes(of: U64(first, second), as: U64.self)
}

func registerVectorShuffles(_ table: inout LoweringTable) {
  table.hosted("pshufb", shuffleBytes)
  table.vector("pshufd", shuffleDoublewords)
  table.vector("pshuflw") { d, _, b, imm, _ in shuffleWords(d, b, imm, 0) }
  table.vector("pshufhw") { d, _, b, imm, _ in shuffleWords(d, b, imm, 4) }
  table.vector("shufps", shuffleSingles)
  table.vector("palignr", alignRight)
  // Two immediate bits for each half of a YMM register.
  let doubles: Kernel = { d, a, b, imm, _ in
    let x = a.vector(U64.self)
    let y = b.vector(U64.self)
    d.storeBytes(of: U64(x[field1(imm, 0)], y[field1(imm, 1)]), as: U64.self)
  }
  table.halved("shufpd", VectorForm(kernel: doubles), bits: 2)
}

// MARK: - Blends

/// Elements of `b` where the immediate has a bit, else of `a`.
@inline(__always) private func blend<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _: V.Type, _ imm: UInt64
) {
  let x = a.vector(V.self)
  let y = b.vector(V.self)
  var r = x
  for i in 0..<V.scalarCount where (imm >> UInt64(i)) & 1 != 0 { r[i] = y[i] }
  d.storeBytes(of: r, as: V.self)
}

func registerVectorBlends(_ table: inout LoweringTable) {
  table.vector("pblendw") { d, a, b, imm, _ in blend(d, a, b, U16.self, imm) }
  table.halved("blendps", VectorForm(kernel: { d, a, b, imm, _ in blend(d, a, b, U32.self, imm) }), bits: 4)
  table.halved("blendpd", VectorForm(kernel: { d, a, b, imm, _ in blend(d, a, b, U64.self, imm) }), bits: 2)
  table.halved("vpblendd", VectorForm(kernel: { d, a, b, imm, _ in blend(d, a, b, U32.self, imm) }), bits: 4, both: false)
}

// MARK: - Widening

/// Converts the low elements of `b`.
@inline(__always) private func widen<Wide: SIMD, Narrow: FixedWidthInteger>(
  _ d: UnsafeMutableRawPointer, _ b: UnsafeRawPointer, _: Narrow.Type, _: Wide.Type
) where Wide.Scalar: FixedWidthInteger {
  var r = Wide()
  for i in 0..<Wide.scalarCount {
    let element = b.loadUnaligned(fromByteOffset: i &* MemoryLayout<Narrow>.size, as: Narrow.self)
    r[i] = Wide.Scalar(truncatingIfNeeded: element)
  }
  d.storeBytes(of: r, as: Wide.self)
}

func registerVectorWidenings(_ table: inout LoweringTable) {
  func add(_ name: String, _ bytes: Int, _ kernel: @escaping Kernel) {
    table.vector(name, VectorForm(kernel: kernel, memory: bytes, stride: bytes))
  }
  add("pmovzxbw", 8) { d, _, b, _, _ in widen(d, b, UInt8.self, U16.self) }
  add("pmovzxbd", 4) { d, _, b, _, _ in widen(d, b, UInt8.self, U32.self) }
  add("pmovzxbq", 2) { d, _, b, _, _ in widen(d, b, UInt8.self, U64.self) }
  add("pmovzxwd", 8) { d, _, b, _, _ in widen(d, b, UInt16.self, U32.self) }
  add("pmovzxwq", 4) { d, _, b, _, _ in widen(d, b, UInt16.self, U64.self) }
  add("pmovzxdq", 8) { d, _, b, _, _ in widen(d, b, UInt32.self, U64.self) }
  add("pmovsxbw", 8) { d, _, b, _, _ in widen(d, b, Int8.self, I16.self) }
  add("pmovsxbd", 4) { d, _, b, _, _ in widen(d, b, Int8.self, I32.self) }
  add("pmovsxbq", 2) { d, _, b, _, _ in widen(d, b, Int8.self, I64.self) }
  add("pmovsxwd", 8) { d, _, b, _, _ in widen(d, b, Int16.self, I32.self) }
  add("pmovsxwq", 4) { d, _, b, _, _ in widen(d, b, Int16.self, I64.self) }
  add("pmovsxdq", 8) { d, _, b, _, _ in widen(d, b, Int32.self, I64.self) }
}
