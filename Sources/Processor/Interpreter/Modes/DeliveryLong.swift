import CHost

// Interrupts in IA-32e mode (SDM volume 3, 6.14): gates of 16 bytes, stacks from the TSS, frames of quadwords.

extension VCPU {
  func deliverLong(_ event: Delivery, from cpl: UInt32) throws(SegmentFault) {
    let external = event.external
    let entry = UInt32(event.vector) &* 16
    let ownCode = UInt32(event.vector) << 3 | 2 | external
    if entry &+ 15 > cpu.pointee.idt.limit { throw SegmentFault(.gp, ownCode) }
    let address = cpu.pointee.idt.base &+ UInt64(entry)
    let low: UInt64 = try systemRead(address)
    let high: UInt64 = try systemRead(address &+ 8)
    let type = low >> 40 & 0x1F
    guard type == 0xE || type == 0xF else { throw SegmentFault(.gp, ownCode) }
    if event.kind == .software && UInt32(truncatingIfNeeded: low >> 45 & 3) < cpl { throw SegmentFault(.gp, ownCode) }
    if low >> 47 & 1 == 0 { throw SegmentFault(.np, ownCode) }

    let selector = UInt16(truncatingIfNeeded: low >> 16)
    if selector & 0xFFFC == 0 { throw SegmentFault(.gp, external) }
    let selectorCode = UInt32(selector & 0xFFFC) | external
    guard let code = try descriptor(selector), code.isCode, code.dpl <= cpl, code.isLong, !code.isBig else {
      throw SegmentFault(.gp, selectorCode)
    }
    if !code.isPresent { throw SegmentFault(.np, selectorCode) }
    let target = low & 0xFFFF | low >> 32 & 0xFFFF_0000 | high << 32
    if !isCanonical(target) { throw SegmentFault(.gp, external) }

    let newCPL = code.isConforming ? cpl : code.dpl
    let stackNumber = low >> 32 & 7
    var pointer = cpu.pointee.gpr.4
    if stackNumber != 0 {
      pointer = try longStackPointer(at: 28 &+ UInt32(truncatingIfNeeded: stackNumber) &* 8, external)
    } else if newCPL < cpl {
      pointer = try longStackPointer(at: 4 &+ newCPL &* 8, external)
    } else if cpu.pointee.mode != 0 {
      pointer &= cpu.stackMask
    }
    pointer &= ~15
    let back = cpu.pointee.mode == 0 ? event.rip : (event.rip &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF
    if newCPL == 3 { setPrivilege(3) }
    pointer = try pushLong(pointer, UInt64(cpu.pointee.seg.2.selector), external)
    pointer = try pushLong(pointer, cpu.pointee.gpr.4, external)
    pointer = try pushLong(pointer, cpu.rflags, external)
    pointer = try pushLong(pointer, UInt64(cpu.pointee.seg.1.selector), external)
    pointer = try pushLong(pointer, back, external)
    if let errorCode = event.errorCode { pointer = try pushLong(pointer, UInt64(errorCode), external) }
    try markAccessed(selector, code)

    setPrivilege(newCPL)
    cpu.pointee.gpr.4 = pointer
    setSegment(Int(PV_CS), selector: selector & 0xFFFC | UInt16(truncatingIfNeeded: newCPL), descriptor: code.raw)
    if newCPL < cpl { setNullSegment(Int(PV_SS), selector: UInt16(truncatingIfNeeded: newCPL)) }
    cpu.pointee.rflags &= ~(Flag.tf | Flag.nt | Flag.rf | Flag.vm | (type == 0xE ? Flag.if : 0))
    cpu.pointee.rip = target
  }

  func pushLong(_ pointer: UInt64, _ value: UInt64, _ external: UInt32) throws(SegmentFault) -> UInt64 {
    let place = pointer &- 8
    if !isCanonical(place) { throw SegmentFault(.ss, external) }
    try systemWrite(place, value, stack: true)
    return place
  }

  /// A stack pointer of the 64-bit TSS.
  func longStackPointer(at offset: UInt32, _ external: UInt32) throws(SegmentFault) -> UInt64 {
    if offset &+ 7 > cpu.pointee.tr.limit { throw SegmentFault(.ts, UInt32(cpu.pointee.tr.selector & 0xFFFC) | external) }
    let pointer: UInt64 = try systemRead(cpu.pointee.tr.base &+ UInt64(offset))
    if !isCanonical(pointer) { throw SegmentFault(.ss, external) }
    return pointer
  }
}
