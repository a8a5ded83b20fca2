import CHost
import X86

// BCD adjustment, 32-bit modes only. The flags that the manuals leave undefined: OF 0 everywhere; AAA and AAS set SF, ZF and PF
// from AL as AAM does; AAM clears CF and AF; AAD's flags are those of its addition. As on silicon.

func registerDecimalAdjust(_ table: inout LoweringTable) {
  func only32(_ name: String, _ handler: @escaping pv_handler) {
    table.register(name) { _, op in op.isCode64 ? false : op.take(handler) }
  }
  only32("daa") { cpu, op in
    adjustDecimal(cpu, subtract: false)
    return next(cpu, op)
  }
  only32("das") { cpu, op in
    adjustDecimal(cpu, subtract: true)
    return next(cpu, op)
  }
  only32("aaa") { cpu, op in
    adjustASCII(cpu, subtract: false)
    return next(cpu, op)
  }
  only32("aas") { cpu, op in
    adjustASCII(cpu, subtract: true)
    return next(cpu, op)
  }
  only32("aam") { cpu, op in
    let base = UInt8(truncatingIfNeeded: op.pointee.imm)
    if base == 0 { return raise(cpu, op, .de) }
    let al = cpu.get(0, UInt8.self)
    let low = al % base
    cpu.set(1, al / base)
    cpu.set(0, low)
    cpu.setLogicFlags(low)
    return next(cpu, op)
  }
  only32("aad") { cpu, op in
    let low = cpu.get(0, UInt8.self)
    let tens = cpu.get(1, UInt8.self) &* UInt8(truncatingIfNeeded: op.pointee.imm)
    let sum = low &+ tens
    cpu.set(0, UInt16(sum))
    cpu.setAddFlags(low, tens, sum)
    return next(cpu, op)
  }
}

private func setFlags(_ cpu: CPU, _ al: UInt8, carry: Bool, adjust: Bool) {
  cpu.setFlags(al, carry: carry, overflow: false)
  if adjust { cpu.pointee.lazy_aux |= 8 }
}

/// SDM volume 2, DAA and DAS.
private func adjustDecimal(_ cpu: CPU, subtract: Bool) {
  let old = cpu.get(0, UInt8.self)
  let carryIn = cpu.cf
  var al = old
  var carry = false
  let adjust = old & 15 > 9 || cpu.af
  if adjust {
    carry = carryIn || (subtract ? old < 6 : old > 0xF9)
    al = subtract ? al &- 6 : al &+ 6
  }
  if old > 0x99 || carryIn {
    al = subtract ? al &- 0x60 : al &+ 0x60
    carry = true
  } else if !subtract {
    carry = false
  }
  cpu.set(0, al)
  setFlags(cpu, al, carry: carry, adjust: adjust)
}

private func adjustASCII(_ cpu: CPU, subtract: Bool) {
  let ax = cpu.get(0, UInt16.self)
  let adjust = ax & 15 > 9 || cpu.af
  var result = ax
  if adjust { result = subtract ? ax &- 0x106 : ax &+ 0x106 }
  let al = UInt8(truncatingIfNeeded: result) & 15
  cpu.set(0, result & 0xFF00 | UInt16(al))
  setFlags(cpu, al, carry: adjust, adjust: adjust)
}
