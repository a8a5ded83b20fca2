import CHost
import X86

// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM volume 2, 4.1).

/// Elements of one operand: `count` of them valid.
private struct StringOperand {
  let bytes: UnsafeRawPointer
  let words: Bool
  let signed: Bool

  @inline(__always) subscript(i: Int) -> Int32 {
    if words {
      let value = bytes.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self)
      return signed ? Int32(Int16(bitPattern: value)) : Int32(value)
    }
    let value = bytes.load(fromByteOffset: i, as: UInt8.self)
    return signed ? Int32(Int8(bitPattern: value)) : Int32(value)
  }

  /// The elements before the first zero.
  var implicitCount: Int {
    let limit = words ? 8 : 16
    var n = 0
    while n < limit && self[n] != 0 { n &+= 1 }
    return n
  }
}

/// The explicit length in EAX or EDX (RAX, RDX with W): its magnitude, at most the number of elements.
private func explicitCount(_ cpu: CPU, _ register: Int, _ wide: Bool, _ limit: Int) -> Int {
  let raw = cpu.get(StateOffset.general(register), UInt64.self)
  let magnitude = wide ? Int64(bitPattern: raw).magnitude : UInt64(Int32(truncatingIfNeeded: raw).magnitude)
  return Int(truncatingIfNeeded: min(magnitude, UInt64(limit)))
}

/// IntRes2: a bit for each element of `b`; and sets the flags.
private func compareStrings(_ cpu: CPU, _ a: StringOperand, _ b: StringOperand, _ countA: Int, _ countB: Int, _ imm: UInt64) -> UInt32 {
  let limit = a.words ? 8 : 16
  var result: UInt32 = 0
  for j in 0..<limit {
    var hit = false
    switch (imm >> 2) & 3 {
    case 0:
      // Equal any: b[j] is in the set a.
      if j < countB { for i in 0..<countA where a[i] == b[j] { hit = true } }
    case 1:
      // Ranges: b[j] is between a pair of a's.
      if j < countB {
        var i = 0
        while i &+ 1 < countA {
          if a[i] <= b[j] && b[j] <= a[i &+ 1] { hit = true }
          i &+= 2
        }
      }
    case 2:
      // Equal each: both invalid counts as equal, one invalid as different.
      let validA = j < countA
      let validB = j < countB
      hit = validA && validB ? a[j] == b[j] : validA == validB
    default:
      // Equal ordered: a stands in b at j, as far as b's register goes.
      hit = true
      var i = 0
      while i < countA && i &+ j < limit {
        if i &+ j >= countB || a[i] != b[i &+ j] {
          hit = false
          break
        }
        i &+= 1
      }
    }
    if hit { result |= 1 << UInt32(j) }
  }
  let all: UInt32 = a.words ? 0xFF : 0xFFFF
  switch (imm >> 4) & 3 {
  case 1: result = ~result & all
  case 3: result ^= (1 << UInt32(countB)) &- 1
  default: break
  }
  result &= all
  var flags: UInt64 = result != 0 ? Flag.cf : 0
  if countB < limit { flags |= Flag.zf }
  if countA < limit { flags |= Flag.sf }
  if result & 1 != 0 { flags |= Flag.of }
  cpu.setArithmeticFlags(flags)
  return result
}

/// Kernel immediates beyond the instruction's own byte: REX.W, and VEX.
private let wideBit: UInt64 = 1 << 16
private let vexBit: UInt64 = 1 << 17

@inline(__always) private func compare(_ cpu: CPU, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64, explicit: Bool) -> UInt32 {
  let first = StringOperand(bytes: a, words: imm & 1 != 0, signed: imm & 2 != 0)
  let second = StringOperand(bytes: b, words: imm & 1 != 0, signed: imm & 2 != 0)
  let limit = first.words ? 8 : 16
  let countA = explicit ? explicitCount(cpu, 0, imm & wideBit != 0, limit) : first.implicitCount
  let countB = explicit ? explicitCount(cpu, 2, imm & wideBit != 0, limit) : second.implicitCount
  return compareStrings(cpu, first, second, countA, countB, imm)
}

/// The index goes to ECX: the lowest element that hit, or the highest, or their number if none did.
private func putIndex(_ cpu: CPU, _ result: UInt32, _ imm: UInt64) {
  let none = imm & 1 != 0 ? 8 : 16
  let index = result == 0 ? none : imm & 0x40 != 0 ? 31 &- result.leadingZeroBitCount : result.trailingZeroBitCount
  cpu.set(StateOffset.general(1), UInt32(truncatingIfNeeded: index))
}

/// The mask goes to XMM0: as bits, or spread over elements.
private func putMask(_ cpu: CPU, _ result: UInt32, _ imm: UInt64) {
  let d = cpu.address(StateOffset.vector(0))
  if imm & 0x40 == 0 {
    d.storeBytes(of: V128(UInt64(result), 0), as: V128.self)
  } else if imm & 1 != 0 {
    for i in 0..<8 { d.storeBytes(of: (result >> UInt32(i)) & 1 != 0 ? 0xFFFF : 0, toByteOffset: i &* 2, as: UInt16.self) }
  } else {
    for i in 0..<16 { d.storeBytes(of: (result >> UInt32(i)) & 1 != 0 ? 0xFF : 0, toByteOffset: i, as: UInt8.self) }
  }
  if imm & vexBit != 0 { clearUpper(d) }
}

func registerVectorStrings(_ table: inout LoweringTable) {
  func add(_ name: String, _ kernel: @escaping Kernel) {
    table.register(name, "v" + name) { instruction, op in
      let form = VectorForm(kernel: kernel, scalar: true, general: true, unaligned: true)
      guard lowerVector(form, instruction, &op) else { return false }
      op.imm &= 0xFF
      if instruction.w { op.imm |= Int64(wideBit) }
      if instruction.vectorLength > 0 { op.imm |= Int64(vexBit) }
      return true
    }
  }
  add("pcmpestri") { _, a, b, imm, cpu in putIndex(cpu, compare(cpu, a, b, imm, explicit: true), imm) }
  add("pcmpestrm") { _, a, b, imm, cpu in putMask(cpu, compare(cpu, a, b, imm, explicit: true), imm) }
  add("pcmpistri") { _, a, b, imm, cpu in putIndex(cpu, compare(cpu, a, b, imm, explicit: false), imm) }
  add("pcmpistrm") { _, a, b, imm, cpu in putMask(cpu, compare(cpu, a, b, imm, explicit: false), imm) }
}
