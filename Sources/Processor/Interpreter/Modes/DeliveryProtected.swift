import CHost

// Interrupts in protected mode outside IA-32e mode (SDM volume 3, 6.12): interrupt, trap and task gates of 16 and 32 bits.

extension VCPU {
  func deliverProtected(_ event: Delivery, from cpl: UInt32) throws(SegmentFault) {
    let external = event.external
    let entry = UInt32(event.vector) &* 8
    let ownCode = UInt32(event.vector) << 3 | 2 | external
    if entry &+ 7 > cpu.pointee.idt.limit { throw SegmentFault(.gp, ownCode) }
    let gate: UInt64 = try systemRead(cpu.pointee.idt.base &+ UInt64(entry))
    let type = gate >> 40 & 0x1F
    guard [5, 6, 7, 14, 15].contains(type) else { throw SegmentFault(.gp, ownCode) }
    if event.kind == .software && UInt32(truncatingIfNeeded: gate >> 45 & 3) < cpl { throw SegmentFault(.gp, ownCode) }
    if gate >> 47 & 1 == 0 { throw SegmentFault(.np, ownCode) }
    let selector = UInt16(truncatingIfNeeded: gate >> 16)
    if type == 5 {
      setPrivilege(cpl)
      try switchTask(selector, .interrupt(event.errorCode), back: event.rip, external: external)
      return
    }
    let size = type & 8 != 0 ? 4 : 2
    let masks = type & 1 == 0

    if selector & 0xFFFC == 0 { throw SegmentFault(.gp, external) }
    let selectorCode = UInt32(selector & 0xFFFC) | external
    guard let code = try descriptor(selector), code.isCode, code.dpl <= cpl else { throw SegmentFault(.gp, selectorCode) }
    if !code.isPresent { throw SegmentFault(.np, selectorCode) }
    let target = size == 4 ? gate & 0xFFFF | gate >> 32 & 0xFFFF_0000 : gate & 0xFFFF
    let newCPL = code.isConforming ? cpl : code.dpl
    // Virtual-8086 mode is left for level 0 only.
    if cpu.isVirtual8086 && newCPL != 0 { throw SegmentFault(.gp, selectorCode) }
    if target > UInt64(code.limit) { throw SegmentFault(.gp, external) }

    let back = (event.rip &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF
    var frame: [UInt64] = []
    let fromVirtual8086 = cpu.isVirtual8086
    if newCPL < cpl {
      let (stackSelector, pointer) = try innerStack(newCPL, external)
      let stack = try innerStackDescriptor(stackSelector, newCPL, external)
      if fromVirtual8086 {
        frame += [cpu.pointee.seg.5.selector, cpu.pointee.seg.4.selector, cpu.pointee.seg.3.selector, cpu.pointee.seg.0.selector].map {
          UInt64($0)
        }
      }
      frame += [UInt64(cpu.pointee.seg.2.selector), cpu.pointee.gpr.4]
      frame += [cpu.rflags, UInt64(cpu.pointee.seg.1.selector), back]
      if let errorCode = event.errorCode { frame.append(UInt64(errorCode)) }
      let segment = pv_segment(base: stack.base, limit: stack.limit, selector: stackSelector, attributes: stack.attributes | 1)
      let top = try pushInner(frame, size, segment, pointer, UInt32(stackSelector & 0xFFFC) | external)
      try markAccessed(stackSelector, stack)
      try markAccessed(selector, code)
      setPrivilege(newCPL)
      if fromVirtual8086 {
        cpu.pointee.rflags &= ~Flag.vm
        for register in [Int(PV_ES), Int(PV_DS), Int(PV_FS), Int(PV_GS)] { setNullSegment(register, selector: 0) }
      }
      put(Int(PV_SS), segment)
      cpu.pointee.gpr.4 = segment.isBig ? top & 0xFFFF_FFFF : cpu.pointee.gpr.4 & ~0xFFFF | top & 0xFFFF
    } else {
      frame = [cpu.rflags, UInt64(cpu.pointee.seg.1.selector), back]
      if let errorCode = event.errorCode { frame.append(UInt64(errorCode)) }
      try markAccessed(selector, code)
      setPrivilege(cpl)
      try pushFrame(frame, size: size, errorCode: external)
    }
    setSegment(Int(PV_CS), selector: selector & 0xFFFC | UInt16(truncatingIfNeeded: newCPL), descriptor: code.raw | 1 << 40)
    cpu.pointee.rflags &= ~(Flag.tf | Flag.nt | Flag.rf | Flag.vm | (masks ? Flag.if : 0))
    cpu.pointee.rip = cpu.codeLinear(target)
  }

  /// SS and ESP of an inner level, from the TSS.
  func innerStack(_ level: UInt32, _ external: UInt32) throws(SegmentFault) -> (UInt16, UInt64) {
    let task = cpu.pointee.tr
    let wide = task.attributes & 8 != 0
    let place = wide ? level &* 8 &+ 4 : level &* 4 &+ 2
    let bytes: UInt32 = wide ? 8 : 4
    if place &+ bytes &- 1 > task.limit { throw SegmentFault(.ts, UInt32(task.selector & 0xFFFC) | external) }
    return try asSupervisor { () throws(SegmentFault) -> (UInt16, UInt64) in
      let base = task.base &+ UInt64(place)
      if wide { return (try systemRead(base &+ 4), UInt64(try systemRead(base, as: UInt32.self))) }
      return (try systemRead(base &+ 2), UInt64(try systemRead(base, as: UInt16.self)))
    }
  }

  /// The checks of an inner level's SS: all but one are #TS.
  func innerStackDescriptor(_ selector: UInt16, _ level: UInt32, _ external: UInt32) throws(SegmentFault) -> Descriptor {
    if selector & 0xFFFC == 0 { throw SegmentFault(.ts, external) }
    let code = UInt32(selector & 0xFFFC) | external
    guard UInt32(selector & 3) == level, let d = try descriptor(selector), d.dpl == level, d.isWritable else {
      throw SegmentFault(.ts, code)
    }
    if !d.isPresent { throw SegmentFault(.ss, code) }
    return d
  }

  /// Writes a frame onto a stack that is not SS:ESP yet. Returns the pointer below it.
  func pushInner(_ values: [UInt64], _ size: Int, _ stack: pv_segment, _ pointer: UInt64, _ errorCode: UInt32) throws(SegmentFault)
    -> UInt64
  {
    let mask: UInt64 = stack.isBig ? 0xFFFF_FFFF : 0xFFFF
    var pointer = pointer & mask
    // The new stack is never one of virtual-8086 mode, which is still on.
    for value in values {
      pointer = (pointer &- UInt64(size)) & mask
      let last = pointer &+ UInt64(size) &- 1
      let fits = stack.expandsDown ? pointer > UInt64(stack.limit) && last <= mask : last <= UInt64(stack.limit)
      guard fits else { throw SegmentFault(.ss, errorCode) }
      try systemPush(stack.base &+ pointer, value, size)
    }
    return pointer
  }
}
