import CHost

// One kernel for every floating-point operation that the host cannot do: what to do is in the immediate.

/// What the soft kernel does. In the kernel's immediate: bits 7:0 this, 9:8 the type (PS, PD, SS, SD), 31:16 a parameter.
enum SoftOperation: UInt64 {
  case add, sub, mul, div, min, max, sqrt
  case hadd, hsub, addsub
  case compare, round, dot, fused
  case integersToSingles, singlesToIntegers, integersToDoubles, doublesToIntegers
  case singlesToDoubles, doublesToSingles, scalarToDouble, scalarToSingle
  case fromInteger, toInteger
  case halvesToSingles, singlesToHalves
}

/// The immediate for an operation.
func softCode(_ operation: SoftOperation, type: UInt32 = 0, parameter: UInt64 = 0) -> Int64 {
  Int64(operation.rawValue | UInt64(type) << 8 | parameter << 16)
}

/// The immediate for a legacy name; nil where there is none.
func softCode(_ name: String) -> Int64? {
  let types = ["ps", "pd", "ss", "sd"]
  switch name {
  case "cvtdq2ps": return softCode(.integersToSingles)
  case "cvtps2dq": return softCode(.singlesToIntegers)
  case "cvttps2dq": return softCode(.singlesToIntegers, parameter: 1)
  case "cvtdq2pd": return softCode(.integersToDoubles)
  case "cvtpd2dq": return softCode(.doublesToIntegers)
  case "cvttpd2dq": return softCode(.doublesToIntegers, parameter: 1)
  case "cvtps2pd": return softCode(.singlesToDoubles)
  case "cvtpd2ps": return softCode(.doublesToSingles)
  case "cvtss2sd": return softCode(.scalarToDouble)
  case "cvtsd2ss": return softCode(.scalarToSingle)
  case "cvtph2ps": return softCode(.halvesToSingles)
  default: break
  }
  if name.hasPrefix("cvtsi2") {
    return softCode(.fromInteger, type: name.contains("2ss") ? 2 : 3, parameter: name.hasSuffix("64") ? 2 : 0)
  }
  if name.hasPrefix("cvt") {
    let parameter: UInt64 = (name.hasPrefix("cvtt") ? 1 : 0) | (name.hasSuffix("64") ? 2 : 0)
    return softCode(.toInteger, type: name.contains("ss2si") ? 2 : 3, parameter: parameter)
  }
  guard let type = types.firstIndex(of: String(name.suffix(2))) else { return nil }
  let stem = name.dropLast(2)
  if name.hasPrefix("vf") { return fusedCode(String(stem), UInt32(type)) }
  let operations: [(Substring, SoftOperation)] = [
    ("add", .add), ("sub", .sub), ("mul", .mul), ("div", .div), ("min", .min), ("max", .max), ("sqrt", .sqrt), ("hadd", .hadd),
    ("hsub", .hsub), ("addsub", .addsub),
  ]
  for (text, operation) in operations where text == stem { return softCode(operation, type: UInt32(type)) }
  return nil
}

/// Parameter of `fused`: bits 1:0 the order (132, 213, 231), bit 2 negates the product, bits 4:3 say for which elements the
/// addend is negated: 1 all, 2 even ones (FMADDSUB), 3 odd ones (FMSUBADD).
private func fusedCode(_ stem: String, _ type: UInt32) -> Int64? {
  let order: UInt64 = stem.hasSuffix("132") ? 0 : stem.hasSuffix("213") ? 1 : 2
  let negated: UInt64 = stem.hasPrefix("vfnm") ? 4 : 0
  let operation = stem.dropFirst(negated != 0 ? 3 : 2).dropLast(3)
  let addend: UInt64
  switch operation {
  case "madd": addend = 0
  case "msub": addend = 1
  case "maddsub": addend = 2
  case "msubadd": addend = 3
  default: return nil
  }
  return softCode(.fused, type: type, parameter: order | negated | addend << 3)
}

let softFloat: Kernel = { d, a, b, imm, cpu in
  var soft = SoftFloat(mxcsr: cpu.pointee.mxcsr)
  computeSoft(&soft, d, a, b, imm, cpu)
  cpu.pointee.mxcsr |= soft.flags
}

/// Element `i` of a vector.
@inline(__always) private func element(_ p: UnsafeRawPointer, _ i: Int, _ f: FloatFormat) -> UInt64 {
  f.bytes == 8
    ? p.loadUnaligned(fromByteOffset: i &* 8, as: UInt64.self)
    : f.bytes == 4
      ? UInt64(p.loadUnaligned(fromByteOffset: i &* 4, as: UInt32.self))
      : UInt64(p.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self))
}

/// A vector being made: 16 bytes.
private struct Lanes {
  var low: UInt64 = 0
  var high: UInt64 = 0
  mutating func set(_ i: Int, _ bytes: Int, _ value: UInt64) {
    let at = i &* bytes
    let shift = UInt64(at & 7) &* 8
    let mask: UInt64 = bytes == 8 ? .max : (1 << UInt64(bytes &* 8) - 1) << shift
    if at < 8 { low = low & ~mask | (value << shift & mask) } else { high = high & ~mask | (value << shift & mask) }
  }
  func store(_ d: UnsafeMutableRawPointer) { d.storeBytes(of: U64(low, high), as: U64.self) }
  init() {}
  init(_ p: UnsafeRawPointer) {
    low = p.loadUnaligned(as: UInt64.self)
    high = p.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
  }
}

private func computeSoft(
  _ s: inout SoftFloat, _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ imm: UInt64, _ cpu: CPU
) {
  guard let operation = SoftOperation(rawValue: imm & 0xFF) else { return }
  let type = (imm >> 8) & 3
  let parameter = (imm >> 16) & 0xFFFF
  let f = type & 1 == 0 ? FloatFormat.single : FloatFormat.double
  switch operation {
  case .add, .sub, .mul, .div, .min, .max, .sqrt, .compare, .round, .addsub, .fused:
    let scalar = type >= 2
    var r = scalar ? Lanes(operation == .fused ? UnsafeRawPointer(d) : a) : Lanes()
    for i in 0..<(scalar ? 1 : 16 / f.bytes) {
      let y = element(b, i, f)
      let x = operation == .sqrt || operation == .round ? y : element(a, i, f)
      let z = operation == .fused ? element(d, i, f) : 0
      r.set(i, f.bytes, elementwise(&s, operation, x, y, z, i, parameter, f))
    }
    r.store(d)
  case .hadd, .hsub:
    var r = Lanes()
    let half = 8 / f.bytes
    for i in 0..<half {
      r.set(i, f.bytes, s.add(element(a, 2 * i, f), element(a, 2 * i + 1, f), f, negated: operation == .hsub))
      r.set(half + i, f.bytes, s.add(element(b, 2 * i, f), element(b, 2 * i + 1, f), f, negated: operation == .hsub))
    }
    r.store(d)
  case .dot: dot(&s, d, a, b, parameter, f)
  default: convertSoft(&s, operation, d, a, b, type, parameter)
  }
}

private func elementwise(
  _ s: inout SoftFloat, _ operation: SoftOperation, _ x: UInt64, _ y: UInt64, _ z: UInt64, _ i: Int, _ parameter: UInt64, _ f: FloatFormat
) -> UInt64 {
  switch operation {
  case .add: return s.add(x, y, f)
  case .sub: return s.add(x, y, f, negated: true)
  case .addsub: return s.add(x, y, f, negated: i & 1 == 0)
  case .mul: return s.multiply(x, y, f)
  case .div: return s.divide(x, y, f)
  case .min: return s.extreme(x, y, f, maximum: false)
  case .max: return s.extreme(x, y, f, maximum: true)
  case .sqrt: return s.squareRoot(y, f)
  case .compare: return s.predicate(x, y, f, parameter) ? .max >> UInt64(64 - f.bytes * 8) : 0
  case .round: return s.roundToIntegral(y, f, control: parameter)
  case .fused:
    let kind = (parameter >> 3) & 3
    let negateAddend = kind == 1 || (kind == 2 && i & 1 == 0) || (kind == 3 && i & 1 == 1)
    let negateProduct = parameter & 4 != 0
    // The destination is operand 1 (z here), then x, then y.
    switch parameter & 3 {
    case 0: return s.fused(z, y, x, f, negateProduct: negateProduct, negateAddend: negateAddend, order: (z, y, x))
    case 1: return s.fused(x, z, y, f, negateProduct: negateProduct, negateAddend: negateAddend, order: (x, z, y))
    default: return s.fused(x, y, z, f, negateProduct: negateProduct, negateAddend: negateAddend, order: (x, y, z))
    }
  default: return 0
  }
}

/// DPPS, DPPD: products that are not asked for count as +0. Every element has a sum of its own, whose order shows only in which
/// NaN comes out; it is the one of a Xeon (family 6, model 207).
private func dot(
  _ s: inout SoftFloat, _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ factors: UInt64, _ f: FloatFormat
) {
  func product(_ i: Int) -> UInt64 { (factors >> UInt64(i)) & 1 != 0 ? s.multiply(element(a, i, f), element(b, i, f), f) : 0 }
  var r = Lanes()
  if f.bytes == 8 {
    let p = (product(0), product(1))
    r.set(0, 8, s.add(p.0, p.1, f))
    r.set(1, 8, s.add(p.1, p.0, f))
  } else {
    let p = (product(0), product(1), product(2), product(3))
    let sums = (s.add(p.1, p.0, f), s.add(p.0, p.1, f), s.add(p.3, p.2, f), s.add(p.2, p.3, f))
    r.set(0, 4, s.add(sums.0, sums.2, f))
    r.set(1, 4, s.add(sums.1, sums.3, f))
    r.set(2, 4, s.add(sums.2, sums.0, f))
    r.set(3, 4, s.add(sums.3, sums.1, f))
  }
  r.store(d)
}

private func convertSoft(
  _ s: inout SoftFloat, _ operation: SoftOperation, _ d: UnsafeMutableRawPointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer,
  _ type: UInt64, _ parameter: UInt64
) {
  var r = Lanes()
  let f = type & 1 == 0 ? FloatFormat.single : FloatFormat.double
  let truncating = parameter & 1 != 0
  func integer(_ i: Int) -> Int64 { Int64(b.loadUnaligned(fromByteOffset: i * 4, as: Int32.self)) }
  switch operation {
  case .integersToSingles: for i in 0..<4 { r.set(i, 4, s.fromInteger(integer(i), .single)) }
  case .integersToDoubles: for i in 0..<2 { r.set(i, 8, s.fromInteger(integer(i), .double)) }
  case .singlesToIntegers:
    for i in 0..<4 { r.set(i, 4, s.toInteger(element(b, i, .single), .single, width: 32, truncating: truncating)) }
  case .doublesToIntegers:
    for i in 0..<2 { r.set(i, 4, s.toInteger(element(b, i, .double), .double, width: 32, truncating: truncating)) }
  case .singlesToDoubles: for i in 0..<2 { r.set(i, 8, s.convert(element(b, i, .single), .single, .double)) }
  case .doublesToSingles: for i in 0..<2 { r.set(i, 4, s.convert(element(b, i, .double), .double, .single)) }
  case .scalarToDouble:
    r = Lanes(a)
    r.set(0, 8, s.convert(element(b, 0, .single), .single, .double))
  case .scalarToSingle:
    r = Lanes(a)
    r.set(0, 4, s.convert(element(b, 0, .double), .double, .single))
  case .fromInteger:
    r = Lanes(a)
    let value = parameter & 2 != 0 ? b.loadUnaligned(as: Int64.self) : Int64(b.loadUnaligned(as: Int32.self))
    r.set(0, f.bytes, s.fromInteger(value, f))
  case .toInteger:
    let value = s.toInteger(element(b, 0, f), f, width: parameter & 2 != 0 ? 64 : 32, truncating: truncating)
    d.storeBytes(of: value, as: UInt64.self)
    return
  case .halvesToSingles:
    // DAZ does not apply to halves, and a denormal half raises nothing.
    s.daz = false
    for i in 0..<4 { r.set(i, 4, s.convert(element(b, i, .half), .half, .single, raisesDenormal: false)) }
  case .singlesToHalves:
    if parameter & 4 == 0 { s.rounding = UInt32(parameter & 3) }
    for i in 0..<4 { r.set(i, 2, s.convert(element(b, i, .single), .single, .half, flushes: false)) }
  default: return
  }
  r.store(d)
}

/// COMISS and kin: ZF, PF, CF as in RFLAGS.
func softOrder(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ cpu: CPU, _ f: FloatFormat, quiet: Bool) -> UInt64 {
  var soft = SoftFloat(mxcsr: cpu.pointee.mxcsr)
  let result = soft.orderFlags(element(a, 0, f), element(b, 0, f), f, quiet: quiet)
  cpu.pointee.mxcsr |= soft.flags
  return result
}
