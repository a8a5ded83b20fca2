import CHost

// Interrupts in real mode: the table has far pointers, and the frame three words (SDM volume 3, 21.1.4).

extension VCPU {
  func deliverReal(_ event: Delivery) throws(SegmentFault) {
    let entry = UInt32(event.vector) &* 4
    if entry &+ 3 > cpu.pointee.idt.limit { throw SegmentFault(.gp, 0) }
    let pointer: UInt32 = try systemRead(cpu.pointee.idt.base &+ UInt64(entry))
    let back = (event.rip &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF
    try pushFrame([cpu.rflags, UInt64(cpu.pointee.seg.1.selector), back], size: 2)
    cpu.pointee.rflags &= ~(Flag.if | Flag.tf | Flag.ac | Flag.rf)
    setParagraph(Int(PV_CS), UInt16(truncatingIfNeeded: pointer >> 16))
    cpu.pointee.rip = cpu.codeLinear(UInt64(pointer & 0xFFFF))
  }

  /// Loads a segment register in real or virtual-8086 mode: the base follows from the selector. In real mode limit and attributes are
  /// what they were, so that larger ones of protected mode live on.
  func setParagraph(_ register: Int, _ selector: UInt16) {
    var segment = segment(register)
    if cpu.isVirtual8086 {
      segment = .paragraph(selector, attributes: 0xF3)
    } else {
      if !segment.isPresent {
        segment.limit = 0xFFFF
        segment.attributes = 0
      }
      if register != Int(PV_CS) { segment.attributes = segment.attributes & 0xF00 | 0x93 }
      segment.selector = selector
      segment.base = UInt64(selector) << 4
    }
    put(register, segment)
  }

  /// Pushes values, the first at the highest address, onto the current stack; RSP changes only if all could be written.
  func pushFrame(_ values: [UInt64], size: Int, errorCode external: UInt32 = 0) throws(SegmentFault) {
    let mask = cpu.stackMask
    let step = UInt64(size)
    var pointer = cpu.pointee.gpr.4 & mask
    let stack = cpu.pointee.seg.2
    for value in values {
      pointer = (pointer &- step) & mask
      guard stackAllows(stack, pointer, step) else { throw SegmentFault(.ss, external) }
      try systemPush(stack.base &+ pointer, value, size)
    }
    cpu.pointee.gpr.4 = mask == 0xFFFF ? cpu.pointee.gpr.4 & ~mask | pointer : pointer
  }

  func systemPush(_ linear: UInt64, _ value: UInt64, _ size: Int) throws(SegmentFault) {
    switch size {
    case 2: try systemWrite(linear, UInt16(truncatingIfNeeded: value), stack: true)
    case 4: try systemWrite(linear, UInt32(truncatingIfNeeded: value), stack: true)
    default: try systemWrite(linear, value, stack: true)
    }
  }

  /// Whether a stack segment has `size` bytes at an offset.
  func stackAllows(_ stack: pv_segment, _ offset: UInt64, _ size: UInt64) -> Bool {
    let last = offset &+ size &- 1
    if stack.expandsDown && !cpu.hasParagraphs { return offset > UInt64(stack.limit) && last <= (stack.isBig ? 0xFFFF_FFFF : 0xFFFF) }
    return last <= UInt64(stack.limit)
  }
}
