import CHost

// Carry-less multiplication and the SHA extensions (FIPS 180-4; SDM volume 1, 5.22), in portable integer arithmetic.

/// The 128-bit product of polynomials over GF(2), four bits of `y` at a time.
@inline(__always) private func carrylessProduct(_ x: UInt64, _ y: UInt64) -> (low: UInt64, high: UInt64) {
  // Multiples of x by 0...15; bits that leave at the top are made good below.
  withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 16) { multiples in
    multiples[0] = 0
    multiples[1] = x
    var i = 2
    while i < 16 {
      multiples[i] = multiples[i >> 1] << 1
      multiples[i &+ 1] = multiples[i] ^ x
      i &+= 2
    }
    var low: UInt64 = 0
    var high: UInt64 = 0
    var shift: UInt64 = 60
    while true {
      high = high << 4 | low >> 60
      low = low << 4 ^ multiples[Int((y >> shift) & 15)]
      if shift == 0 { break }
      shift &-= 4
    }
    // A nibble of y times x lost up to three top bits of x: nibble bit k (1...3) shifts out x's top k bits.
    let top1 = 0 &- (x >> 63)
    let top2 = 0 &- (x >> 62 & 1)
    let top3 = 0 &- (x >> 61 & 1)
    high ^= (y & 0xEEEE_EEEE_EEEE_EEEE) >> 1 & top1
    high ^= (y & 0xCCCC_CCCC_CCCC_CCCC) >> 2 & top2
    high ^= (y & 0x8888_8888_8888_8888) >> 3 & top3
    return (low, high)
  }
}

private let multiply: Kernel = { d, a, b, imm, _ in
  let x = a.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: imm & 1) &* 8, as: UInt64.self)
  let y = b.loadUnaligned(fromByteOffset: Int(truncatingIfNeeded: (imm >> 4) & 1) &* 8, as: UInt64.self)
  let product = carrylessProduct(x, y)
  d.storeBytes(of: U64(product.low, product.high), as: U64.self)
}

@inline(__always) private func rotateLeft(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 &- n) }
@inline(__always) private func rotateRight(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 &- n) }

// MARK: - SHA-1. Element 3 is the first word of a group.

private let next1: Kernel = { d, a, b, _, _ in
  let e = rotateLeft(a.vector(U32.self)[3], 30)
  var r = b.vector(U32.self)
  r[3] = r[3] &+ e
  d.storeBytes(of: r, as: U32.self)
}
private let message1First: Kernel = { d, a, b, _, _ in
  let x = a.vector(U32.self)
  let y = b.vector(U32.self)
  d.storeBytes(of: U32(x[0] ^ y[2], x[1] ^ y[3], x[2] ^ x[0], x[3] ^ x[1]), as: U32.self)
}
private let message1Second: Kernel = { d, a, b, _, _ in
  let x = a.vector(U32.self)
  let y = b.vector(U32.self)
  let w16 = rotateLeft(x[3] ^ y[2], 1)
  let w17 = rotateLeft(x[2] ^ y[1], 1)
  let w18 = rotateLeft(x[1] ^ y[0], 1)
  let w19 = rotateLeft(x[0] ^ w16, 1)
  d.storeBytes(of: U32(w19, w18, w17, w16), as: U32.self)
}

@inline(__always) private func choose(_ b: UInt32, _ c: UInt32, _ d: UInt32) -> UInt32 { (b & c) ^ (~b & d) }
@inline(__always) private func majority(_ b: UInt32, _ c: UInt32, _ d: UInt32) -> UInt32 { (b & c) ^ (b & d) ^ (c & d) }

private let rounds1: Kernel = { destination, a, b, imm, _ in
  let state = a.vector(U32.self)
  let words = b.vector(U32.self)
  var (va, vb, vc, vd) = (state[3], state[2], state[1], state[0])
  var ve: UInt32 = 0
  let phase = imm & 3
  let constant: UInt32 = phase == 0 ? 0x5A82_7999 : phase == 1 ? 0x6ED9_EBA1 : phase == 2 ? 0x8F1B_BCDC : 0xCA62_C1D6
  for i in 0..<4 {
    let f = phase == 0 ? choose(vb, vc, vd) : phase == 2 ? majority(vb, vc, vd) : vb ^ vc ^ vd
    // E is already in the first word.
    let sum = f &+ rotateLeft(va, 5) &+ words[3 &- i] &+ ve
    ve = vd
    vd = vc
    vc = rotateLeft(vb, 30)
    vb = va
    va = sum &+ constant
  }
  destination.storeBytes(of: U32(vd, vc, vb, va), as: U32.self)
}

// MARK: - SHA-256

@inline(__always) private func sigma0(_ x: UInt32) -> UInt32 { rotateRight(x, 7) ^ rotateRight(x, 18) ^ x >> 3 }
@inline(__always) private func sigma1(_ x: UInt32) -> UInt32 { rotateRight(x, 17) ^ rotateRight(x, 19) ^ x >> 10 }

private let message256First: Kernel = { d, a, b, _, _ in
  let x = a.vector(U32.self)
  let w4 = b.vector(U32.self)[0]
  let r = U32(x[0] &+ sigma0(x[1]), x[1] &+ sigma0(x[2]), x[2] &+ sigma0(x[3]), x[3] &+ sigma0(w4))
  d.storeBytes(of: r, as: U32.self)
}
private let message256Second: Kernel = { d, a, b, _, _ in
  let x = a.vector(U32.self)
  let y = b.vector(U32.self)
  let w16 = x[0] &+ sigma1(y[2])
  let w17 = x[1] &+ sigma1(y[3])
  d.storeBytes(of: U32(w16, w17, x[2] &+ sigma1(w16), x[3] &+ sigma1(w17)), as: U32.self)
}
/// C, D, G, H are in the destination, A, B, E, F in the source, words and constants in XMM0.
private let rounds256: Kernel = { destination, a, b, _, cpu in
  let x = a.vector(U32.self)
  let y = b.vector(U32.self)
  let words = UnsafeRawPointer(cpu.address(StateOffset.vector(0))).vector(U32.self)
  var (va, vb, vc, vd) = (y[3], y[2], x[3], x[2])
  var (ve, vf, vg, vh) = (y[1], y[0], x[1], x[0])
  for i in 0..<2 {
    let e1 = rotateRight(ve, 6) ^ rotateRight(ve, 11) ^ rotateRight(ve, 25)
    let t1 = choose(ve, vf, vg) &+ e1 &+ words[i] &+ vh
    let a0 = rotateRight(va, 2) ^ rotateRight(va, 13) ^ rotateRight(va, 22)
    let t2 = majority(va, vb, vc) &+ a0
    (vh, vg, vf, ve) = (vg, vf, ve, vd &+ t1)
    (vd, vc, vb, va) = (vc, vb, va, t1 &+ t2)
  }
  destination.storeBytes(of: U32(vf, ve, vb, va), as: U32.self)
}

func registerVectorHashes(_ table: inout LoweringTable) {
  table.register("pclmulqdq", "vpclmulqdq") { instruction, op in
    let host = hostKernelsAllowed ? pv_carryless_product(UInt32(truncatingIfNeeded: instruction.immediate) & 0x11) : nil
    return lowerVector(VectorForm(kernel: host ?? multiply, only128: true), instruction, &op)
  }
  table.vectorOnly("sha1nexte", VectorForm(kernel: next1))
  table.vectorOnly("sha1msg1", VectorForm(kernel: message1First))
  table.vectorOnly("sha1msg2", VectorForm(kernel: message1Second))
  table.vectorOnly("sha1rnds4", VectorForm(kernel: rounds1))
  table.vectorOnly("sha256msg1", VectorForm(kernel: message256First))
  table.vectorOnly("sha256msg2", VectorForm(kernel: message256Second))
  // Its third place is XMM0 always.
  table.register("sha256rnds2") { instruction, op in
    var two = instruction
    two.operandCount = 2
    return lowerVector(VectorForm(kernel: rounds256), two, &op)
  }
}
