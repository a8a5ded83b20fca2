import X86

// Shifts. A count comes from the low quadword of the second source or from the immediate; counts too large give zero, or
// for arithmetic shifts copies of the sign.

@inline(__always) private func left<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ count: UInt64, _: V.Type
) where V.Scalar: FixedWidthInteger & UnsignedInteger {
  let bits = V.Scalar.bitWidth
  let r = count < UInt64(bits) ? a.vector(V.self) &<< V(repeating: V.Scalar(truncatingIfNeeded: count)) : V()
  d.storeBytes(of: r, as: V.self)
}

@inline(__always) private func right<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ count: UInt64, _: V.Type
) where V.Scalar: FixedWidthInteger & UnsignedInteger {
  let bits = V.Scalar.bitWidth
  let r = count < UInt64(bits) ? a.vector(V.self) &>> V(repeating: V.Scalar(truncatingIfNeeded: count)) : V()
  d.storeBytes(of: r, as: V.self)
}

@inline(__always) private func arithmetic<V: SIMD>(
  _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ count: UInt64, _: V.Type
) where V.Scalar: FixedWidthInteger & SignedInteger {
  let shift = min(count, UInt64(V.Scalar.bitWidth - 1))
  d.storeBytes(of: a.vector(V.self) &>> V(repeating: V.Scalar(truncatingIfNeeded: shift)), as: V.self)
}

@inline(__always) private func low(_ b: UnsafeRawPointer) -> UInt64 { b.loadUnaligned(as: UInt64.self) }

/// By whole bytes within 16.
@inline(__always) private func leftBytes(_ d: UnsafeMutableRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64) {
  let x = b.vector(U64.self)
  let bits = (imm & 0xFF) &* 8
  var r = U64()
  if bits < 64 {
    r = bits == 0 ? x : U64(x[0] &<< bits, x[1] &<< bits | x[0] &>> (64 &- bits))
  } else if bits < 128 {
    r = U64(0, x[0] &<< (bits &- 64))
  }
  d.storeBytes(of: r, as: U64.self)
}

@inline(__always) private func rightBytes(_ d: UnsafeMutableRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64) {
  let x = b.vector(U64.self)
  let bits = (imm & 0xFF) &* 8
  var r = U64()
  if bits < 64 {
    r = bits == 0 ? x : U64(x[0] &>> bits | x[1] &<< (64 &- bits), x[1] &>> bits)
  } else if bits < 128 {
    r = U64(x[1] &>> (bits &- 64), 0)
  }
  d.storeBytes(of: r, as: U64.self)
}

/// Each doubleword by a count of its own, in quadwords: on a host with no such shift the compiler would go through
/// floating-point conversions, which leave their mark in MXCSR.
private let leftByElements: Kernel = { d, a, b, _, _ in
  let x = a.vector(U64.self)
  let y = b.vector(U64.self)
  var r = U64()
  for i in 0..<2 {
    let lowCount = y[i] & 0xFFFF_FFFF
    let highCount = y[i] >> 32
    let low = lowCount < 32 ? (x[i] &<< lowCount) & 0xFFFF_FFFF : 0
    let high = highCount < 32 ? ((x[i] >> 32) &<< highCount) << 32 : 0
    r[i] = low | high
  }
  d.storeBytes(of: r, as: U64.self)
}

func registerVectorShifts(_ table: inout LoweringTable) {
  // By the second source: both halves of a YMM register take the count from the same 16 bytes.
  func add(_ name: String, _ byRegister: @escaping Kernel, _ byImmediate: @escaping Kernel) {
    let counted = VectorForm(kernel: byRegister, stride: 0)
    table.register(name, "v" + name) { instruction, op in
      guard instruction.operandCount > 0 else { return false }
      if instruction.operand(Int(instruction.operandCount) - 1).kind != .immediate { return lowerVector(counted, instruction, &op) }
      guard lowerVector(VectorForm(kernel: byImmediate), instruction, &op) else { return false }
      op.imm &= 0xFF
      return true
    }
  }
  add("psllw", { d, a, b, _, _ in left(d, a, low(b), U16.self) }, { d, _, b, imm, _ in left(d, b, imm, U16.self) })
  add("pslld", { d, a, b, _, _ in left(d, a, low(b), U32.self) }, { d, _, b, imm, _ in left(d, b, imm, U32.self) })
  add("psllq", { d, a, b, _, _ in left(d, a, low(b), U64.self) }, { d, _, b, imm, _ in left(d, b, imm, U64.self) })
  add("psrlw", { d, a, b, _, _ in right(d, a, low(b), U16.self) }, { d, _, b, imm, _ in right(d, b, imm, U16.self) })
  add("psrld", { d, a, b, _, _ in right(d, a, low(b), U32.self) }, { d, _, b, imm, _ in right(d, b, imm, U32.self) })
  add("psrlq", { d, a, b, _, _ in right(d, a, low(b), U64.self) }, { d, _, b, imm, _ in right(d, b, imm, U64.self) })
  add("psraw", { d, a, b, _, _ in arithmetic(d, a, low(b), I16.self) }, { d, _, b, imm, _ in arithmetic(d, b, imm, I16.self) })
  add("psrad", { d, a, b, _, _ in arithmetic(d, a, low(b), I32.self) }, { d, _, b, imm, _ in arithmetic(d, b, imm, I32.self) })
  let leftward: Kernel = { d, _, b, imm, _ in leftBytes(d, b, imm) }
  let rightward: Kernel = { d, _, b, imm, _ in rightBytes(d, b, imm) }
  table.vector("pslldq", leftward)
  table.vector("psrldq", rightward)
  // AVX2: a count for each element.
  table.vectorOnly("vpsllvd", VectorForm(kernel: leftByElements))
  table.vectorOnly("vpsllvq", VectorForm(kernel: { d, a, b, _, _ in lanes(d, a, b, U64.self) { $1 < 64 ? $0 &<< $1 : 0 } }))
  table.vectorOnly("vpsrlvd", VectorForm(kernel: { d, a, b, _, _ in lanes(d, a, b, U32.self) { $1 < 32 ? $0 &>> $1 : 0 } }))
  table.vectorOnly("vpsrlvq", VectorForm(kernel: { d, a, b, _, _ in lanes(d, a, b, U64.self) { $1 < 64 ? $0 &>> $1 : 0 } }))
  let perElement: Kernel = { d, a, b, _, _ in
    lanes(d, a, b, I32.self) { value, count in value &>> Int32(truncatingIfNeeded: min(UInt32(bitPattern: count), 31)) }
  }
  table.vectorOnly("vpsravd", VectorForm(kernel: perElement))
}
