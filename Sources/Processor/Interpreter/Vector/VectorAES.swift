// AES-NI (FIPS 197; SDM volume 1, 12.13), by tables of a round's columns made at start.

/// The S-boxes and, for each byte, the column that SubBytes and MixColumns make of it in row 0 (and of their inverses).
struct AESTables {
  let box: UnsafeMutablePointer<UInt8>
  let inverseBox: UnsafeMutablePointer<UInt8>
  /// Row 0 of the column in bits 7:0. Other rows' tables are rotations by 8, 16 and 24: all four are kept, 256 entries each.
  let encryption: UnsafeMutablePointer<UInt32>
  let decryption: UnsafeMutablePointer<UInt32>
  /// InvMixColumns alone.
  let inverseMix: UnsafeMutablePointer<UInt32>

  nonisolated(unsafe) static let shared = AESTables()

  /// Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
  static func multiply(_ a: UInt8, _ b: UInt8) -> UInt8 {
    var x = a
    var y = b
    var r: UInt8 = 0
    while y != 0 {
      if y & 1 != 0 { r ^= x }
      x = x << 1 ^ (x & 0x80 != 0 ? 0x1B : 0)
      y >>= 1
    }
    return r
  }

  private init() {
    box = .allocate(capacity: 256)
    inverseBox = .allocate(capacity: 256)
    encryption = .allocate(capacity: 1024)
    decryption = .allocate(capacity: 1024)
    inverseMix = .allocate(capacity: 1024)
    for i in 0..<256 {
      let value = UInt8(i)
      // The inverse is the 254th power; then the affine transformation.
      var inverse: UInt8 = 1
      for _ in 0..<254 { inverse = AESTables.multiply(inverse, value) }
      var s = inverse
      for k in 1..<5 { s ^= inverse << UInt8(k) | inverse >> UInt8(8 - k) }
      s ^= 0x63
      box[i] = s
      inverseBox[Int(s)] = value
    }
    func column(_ value: UInt8, _ factors: (UInt8, UInt8, UInt8, UInt8)) -> UInt32 {
      let low = UInt32(AESTables.multiply(value, factors.0)) | UInt32(AESTables.multiply(value, factors.1)) << 8
      let high = UInt32(AESTables.multiply(value, factors.2)) | UInt32(AESTables.multiply(value, factors.3)) << 8
      return low | high << 16
    }
    for i in 0..<256 {
      let forward = column(box[i], (2, 1, 1, 3))
      let backward = column(inverseBox[i], (14, 9, 13, 11))
      let mix = column(UInt8(i), (14, 9, 13, 11))
      for row in 0..<4 {
        let shift = UInt32(row * 8)
        func rotate(_ x: UInt32) -> UInt32 { shift == 0 ? x : x << shift | x >> (32 - shift) }
        encryption[row * 256 + i] = rotate(forward)
        decryption[row * 256 + i] = rotate(backward)
        inverseMix[row * 256 + i] = rotate(mix)
      }
    }
  }
}

@inline(__always) private func byte(_ x: UInt32, _ n: UInt32) -> Int { Int((x >> (n &* 8)) & 0xFF) }

/// Combines one byte of each of four columns through the rows' tables.
@inline(__always) private func mixed(_ t: UnsafeMutablePointer<UInt32>, _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> UInt32 {
  let low = t[byte(a, 0)] ^ t[256 &+ byte(b, 1)]
  return low ^ t[512 &+ byte(c, 2)] ^ t[768 &+ byte(d, 3)]
}

@inline(__always) private func substituted(_ s: UnsafeMutablePointer<UInt8>, _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> UInt32 {
  let low = UInt32(s[byte(a, 0)]) | UInt32(s[byte(b, 1)]) << 8
  return low | UInt32(s[byte(c, 2)]) << 16 | UInt32(s[byte(d, 3)]) << 24
}

private let encrypt: Kernel = { d, a, b, _, _ in
  let t = AESTables.shared.encryption
  let x = a.vector(U32.self)
  let r = U32(
    mixed(t, x[0], x[1], x[2], x[3]), mixed(t, x[1], x[2], x[3], x[0]), mixed(t, x[2], x[3], x[0], x[1]), mixed(t, x[3], x[0], x[1], x[2]))
  d.storeBytes(of: r ^ b.vector(U32.self), as: U32.self)
}
private let encryptLast: Kernel = { d, a, b, _, _ in
  let s = AESTables.shared.box
  let x = a.vector(U32.self)
  let low = (substituted(s, x[0], x[1], x[2], x[3]), substituted(s, x[1], x[2], x[3], x[0]))
  let high = (substituted(s, x[2], x[3], x[0], x[1]), substituted(s, x[3], x[0], x[1], x[2]))
  d.storeBytes(of: U32(low.0, low.1, high.0, high.1) ^ b.vector(U32.self), as: U32.self)
}
private let decrypt: Kernel = { d, a, b, _, _ in
  let t = AESTables.shared.decryption
  let x = a.vector(U32.self)
  let r = U32(
    mixed(t, x[0], x[3], x[2], x[1]), mixed(t, x[1], x[0], x[3], x[2]), mixed(t, x[2], x[1], x[0], x[3]), mixed(t, x[3], x[2], x[1], x[0]))
  d.storeBytes(of: r ^ b.vector(U32.self), as: U32.self)
}
private let decryptLast: Kernel = { d, a, b, _, _ in
  let s = AESTables.shared.inverseBox
  let x = a.vector(U32.self)
  let low = (substituted(s, x[0], x[3], x[2], x[1]), substituted(s, x[1], x[0], x[3], x[2]))
  let high = (substituted(s, x[2], x[1], x[0], x[3]), substituted(s, x[3], x[2], x[1], x[0]))
  d.storeBytes(of: U32(low.0, low.1, high.0, high.1) ^ b.vector(U32.self), as: U32.self)
}
private let inverseMixColumns: Kernel = { d, _, b, _, _ in
  let t = AESTables.shared.inverseMix
  let x = b.vector(U32.self)
  var r = U32()
  for i in 0..<4 { r[i] = mixed(t, x[i], x[i], x[i], x[i]) }
  d.storeBytes(of: r, as: U32.self)
}
private let keyGenerationAssist: Kernel = { d, _, b, imm, _ in
  let s = AESTables.shared.box
  let x = b.vector(U32.self)
  let constant = UInt32(truncatingIfNeeded: imm & 0xFF)
  let one = substituted(s, x[1], x[1], x[1], x[1])
  let three = substituted(s, x[3], x[3], x[3], x[3])
  d.storeBytes(of: U32(one, (one >> 8 | one << 24) ^ constant, three, (three >> 8 | three << 24) ^ constant), as: U32.self)
}

func registerVectorAES(_ table: inout LoweringTable) {
  table.hosted("aesenc", only128: true, encrypt)
  table.hosted("aesenclast", only128: true, encryptLast)
  table.hosted("aesdec", only128: true, decrypt)
  table.hosted("aesdeclast", only128: true, decryptLast)
  table.vector("aesimc", VectorForm(kernel: inverseMixColumns, only128: true))
  table.vector("aeskeygenassist", VectorForm(kernel: keyGenerationAssist, only128: true))
}
