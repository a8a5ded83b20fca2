import CHost
import X86

// DIV and IDIV, with #DE; CBW, CWDE, CDQE, CWD, CDQ, CQO.

@inline(__always) func divideR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, signed: Bool) -> Operation? {
  divide(cpu, op, cpu.get(op.pointee.src, T.self), signed: signed)
}

@inline(__always) func divideM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, signed: Bool) -> Operation? {
  guard let b = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return divide(cpu, op, b, signed: signed)
}

@inline(__always) private func divide<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ divisor: T, signed: Bool) -> Operation? {
  if divisor == 0 { return raise(cpu, op, .de) }
  if T.bitWidth == 64 {
    let d = UInt64(truncatingIfNeeded: divisor)
    return signed ? divideSigned128(cpu, op, Int64(bitPattern: d)) : divide128(cpu, op, d)
  }
  // Dividend and quotient fit in 64 bits.
  let bits = UInt64(truncatingIfNeeded: T.bitWidth)
  let dividend: UInt64
  if T.bitWidth == 8 {
    dividend = cpu.rax & 0xFFFF
  } else {
    let low = UInt64(truncatingIfNeeded: T(truncatingIfNeeded: cpu.rax))
    dividend = UInt64(truncatingIfNeeded: T(truncatingIfNeeded: cpu.rdx)) &<< bits | low
  }
  let quotient: T
  let remainder: T
  if signed {
    let shift = Int64(64 &- 2 &* T.bitWidth)
    let a = (Int64(bitPattern: dividend) &<< shift) &>> shift
    let b = Int64(bitPattern: signExtended(divisor))
    let (q, overflow) = a.dividedReportingOverflow(by: b)
    quotient = T(truncatingIfNeeded: q)
    if overflow || Int64(bitPattern: signExtended(quotient)) != q { return raise(cpu, op, .de) }
    remainder = T(truncatingIfNeeded: a &- q &* b)
  } else {
    let b = UInt64(truncatingIfNeeded: divisor)
    let q = dividend / b
    quotient = T(truncatingIfNeeded: q)
    if UInt64(truncatingIfNeeded: quotient) != q { return raise(cpu, op, .de) }
    remainder = T(truncatingIfNeeded: dividend &- q &* b)
  }
  if T.bitWidth == 8 {
    cpu.set(StateOffset.general(0), UInt16(truncatingIfNeeded: remainder) << 8 | UInt16(truncatingIfNeeded: quotient))
  } else {
    cpu.set(StateOffset.general(0), quotient)
    cpu.set(StateOffset.general(2), remainder)
  }
  return next(cpu, op)
}

@inline(__always) private func divide128(_ cpu: CPU, _ op: Operation, _ divisor: UInt64) -> Operation? {
  let high = cpu.rdx
  let low = cpu.rax
  if high == 0 {
    let quotient = low / divisor
    cpu.rax = quotient
    cpu.rdx = low &- quotient &* divisor
    return next(cpu, op)
  }
  if high >= divisor { return raise(cpu, op, .de) }
  let (quotient, remainder) = divisor.dividingFullWidth((high, low))
  cpu.rax = quotient
  cpu.rdx = remainder
  return next(cpu, op)
}

@inline(__always) private func divideSigned128(_ cpu: CPU, _ op: Operation, _ divisor: Int64) -> Operation? {
  let high = Int64(bitPattern: cpu.rdx)
  let low = cpu.rax
  if high == Int64(bitPattern: low) >> 63 {
    let a = Int64(bitPattern: low)
    let (quotient, overflow) = a.dividedReportingOverflow(by: divisor)
    if overflow { return raise(cpu, op, .de) }
    cpu.rax = UInt64(bitPattern: quotient)
    cpu.rdx = UInt64(bitPattern: a &- quotient &* divisor)
    return next(cpu, op)
  }
  // By magnitudes.
  let negative = high < 0
  let magnitudeLow = negative ? 0 &- low : low
  let magnitudeHigh = negative ? ~UInt64(bitPattern: high) &+ (low == 0 ? 1 : 0) : UInt64(bitPattern: high)
  let b = divisor.magnitude
  if magnitudeHigh >= b { return raise(cpu, op, .de) }
  let (quotient, remainder) = b.dividingFullWidth((magnitudeHigh, magnitudeLow))
  let negativeQuotient = negative != (divisor < 0)
  if quotient > (negativeQuotient ? 1 << 63 : (1 << 63) - 1) { return raise(cpu, op, .de) }
  cpu.rax = negativeQuotient ? 0 &- quotient : quotient
  cpu.rdx = negative ? 0 &- remainder : remainder
  return next(cpu, op)
}

func registerSignExtensions(_ table: inout LoweringTable) {
  table.register("cbw") { _, op in
    op.take { cpu, op in
      cpu.set(0, UInt16(truncatingIfNeeded: signExtended(UInt8(truncatingIfNeeded: cpu.rax))))
      return next(cpu, op)
    }
  }
  table.register("cwde") { _, op in
    op.take { cpu, op in
      cpu.set(0, UInt32(truncatingIfNeeded: signExtended(UInt16(truncatingIfNeeded: cpu.rax))))
      return next(cpu, op)
    }
  }
  table.register("cdqe") { _, op in
    op.take { cpu, op in
      cpu.rax = signExtended(UInt32(truncatingIfNeeded: cpu.rax))
      return next(cpu, op)
    }
  }
  table.register("cwd") { _, op in
    op.take { cpu, op in
      cpu.set(16, UInt16(truncatingIfNeeded: signExtended(UInt16(truncatingIfNeeded: cpu.rax)) >> 16))
      return next(cpu, op)
    }
  }
  table.register("cdq") { _, op in
    op.take { cpu, op in
      cpu.set(16, UInt32(truncatingIfNeeded: signExtended(UInt32(truncatingIfNeeded: cpu.rax)) >> 32))
      return next(cpu, op)
    }
  }
  table.register("cqo") { _, op in
    op.take { cpu, op in
      cpu.rdx = UInt64(bitPattern: Int64(bitPattern: cpu.rax) >> 63)
      return next(cpu, op)
    }
  }
}
