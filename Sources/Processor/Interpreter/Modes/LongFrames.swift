import CHost

// Interrupt frames of 64-bit mode where everything is as it nearly always is: the tables, the task state and the stack are in the TLB, the
// segments are a 64-bit kernel's and have been used before. Whatever is not so is left to the general ways (`DeliveryLong`,
// `FarTransfers`) before anything has changed.

extension VCPU {
  /// A word that the current set has.
  @inline(__always) private func word(_ linear: UInt64) -> UInt64? { pv_readable(cpu, linear, 8)?.loadUnaligned(as: UInt64.self) }

  /// A descriptor of the global table that has been used before.
  @inline(__always) private func usedDescriptor(_ selector: UInt64) -> Descriptor? {
    let offset = selector & 0xFFF8
    guard selector & 4 == 0, offset != 0, offset &+ 7 <= UInt64(cpu.pointee.gdt.limit), let raw = word(cpu.pointee.gdt.base &+ offset)
    else {
      return nil
    }
    let d = Descriptor(raw: raw)
    return d.isPresent && !d.isSystem && d.isAccessed ? d : nil
  }

  @inline(__always) private func has64BitCode(_ d: Descriptor) -> Bool { d.isCode && !d.isConforming && d.isLong && !d.isBig }

  /// Goes through a gate to level 0, whose view of memory is selected already; false with nothing changed where it is not that simple.
  func deliverLongQuickly(_ event: Delivery, from cpl: UInt32) -> Bool {
    let cpu = self.cpu
    let entry = UInt64(event.vector) &* 16
    guard cpu.pointee.mode == 0, descriptorReader == nil, !cpu.isExcused, entry &+ 15 <= UInt64(cpu.pointee.idt.limit),
      let gate = pv_readable(cpu, cpu.pointee.idt.base &+ entry, 16)
    else { return false }
    let (low, high) = (gate.loadUnaligned(as: UInt64.self), (gate + 8).loadUnaligned(as: UInt64.self))
    let selector = low >> 16 & 0xFFFF
    // Present, no task or call gate; for software of its level.
    guard low >> 41 & 0xF == 7, low >> 47 & 1 != 0, event.kind != .software || UInt32(truncatingIfNeeded: low >> 45 & 3) >= cpl,
      let code = usedDescriptor(selector), has64BitCode(code), code.dpl == 0
    else { return false }
    let target = low & 0xFFFF | low >> 32 & 0xFFFF_0000 | high << 32
    var pointer = cpu.pointee.gpr.4
    let stack = low >> 32 & 7
    if stack != 0 || cpl != 0 {
      let offset = stack != 0 ? 28 &+ stack &* 8 : 4
      guard offset &+ 7 <= UInt64(cpu.pointee.tr.limit), let other = word(cpu.pointee.tr.base &+ offset) else { return false }
      pointer = other
    }
    pointer &= ~15
    let size: UInt64 = event.errorCode == nil ? 40 : 48
    // What is in the TLB is canonical.
    guard isCanonical(target), let frame = pv_writable(cpu, pointer &- size, size) else { return false }
    var at = frame
    func put(_ value: UInt64) {
      at.storeBytes(of: value, as: UInt64.self)
      at += 8
    }
    if let errorCode = event.errorCode { put(UInt64(errorCode)) }
    put(event.rip)
    put(UInt64(cpu.pointee.seg.1.selector))
    put(cpu.rflags)
    put(cpu.pointee.gpr.4)
    put(UInt64(cpu.pointee.seg.2.selector))
    cpu.pointee.cpl = 0
    cpu.pointee.gpr.4 = pointer &- size
    cpu.pointee.seg.1 = pv_segment(
      base: 0, limit: code.limit, selector: UInt16(truncatingIfNeeded: selector) & 0xFFFC, attributes: code.attributes)
    if cpl != 0 { cpu.pointee.seg.2 = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0) }
    cpu.pointee.rflags &= ~(Flag.tf | Flag.nt | Flag.rf | Flag.vm | (low >> 40 & 1 == 0 ? Flag.if : 0))
    cpu.pointee.rip = target
    return true
  }

  /// IRETQ of level 0 to 64-bit code of level 0 or 3; false with nothing changed where it is not that simple.
  func returnLongQuickly() -> Bool {
    let cpu = self.cpu
    guard cpu.pointee.mode == 0, cpu.pointee.cpl == 0, cpu.pointee.own_paging != 0, cpu.pointee.rflags & Flag.nt == 0,
      descriptorReader == nil, !cpu.isExcused, let frame = pv_readable(cpu, cpu.pointee.gpr.4, 40)
    else { return false }
    func word(_ index: Int) -> UInt64 { (frame + index &* 8).loadUnaligned(as: UInt64.self) }
    let (target, flags, pointer) = (word(0), word(2), word(3))
    let (selector, stack) = (word(1) & 0xFFFF, word(4) & 0xFFFF)
    let cpl = UInt32(truncatingIfNeeded: selector & 3)
    guard cpl == 0 || cpl == 3, isCanonical(target), let code = usedDescriptor(selector), has64BitCode(code), code.dpl == cpl,
      UInt32(truncatingIfNeeded: stack & 3) == cpl
    else { return false }
    var data = pv_segment(base: 0, limit: 0, selector: UInt16(truncatingIfNeeded: stack), attributes: 0)
    if stack & 0xFFFC != 0 {
      guard let d = usedDescriptor(stack), d.isWritable, d.dpl == cpl else { return false }
      data.base = d.base
      data.limit = d.limit
      data.attributes = d.attributes
    } else if cpl == 3 {
      return false
    }
    let mask: UInt64 =
      Flag.arithmetic | Flag.tf | Flag.if | Flag.df | Flag.iopl | Flag.nt | Flag.rf | Flag.ac | Flag.vif | Flag.vip | Flag.id
    let old = cpu.pointee.rflags
    cpu.rflags = old & ~mask | flags & mask
    cpu.pointee.seg.1 = pv_segment(
      base: 0, limit: code.limit, selector: UInt16(truncatingIfNeeded: selector), attributes: code.attributes)
    cpu.pointee.seg.2 = data
    cpu.pointee.gpr.4 = pointer
    if cpl == 3 {
      cpu.pointee.cpl = 3
      dropInnerSegments()
      selectTranslations()
    } else {
      cpu.accessMayHaveChanged(from: old)
    }
    cpu.pointee.nonmaskable_blocked = 0
    cpu.pointee.rip = target
    cpu.pointee.exit = UInt32(PV_EXIT_NONE)
    return true
  }
}
