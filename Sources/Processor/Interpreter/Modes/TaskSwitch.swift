import CHost

// Task switches by JMP, CALL, INT and IRET, of 16- and 32-bit tasks (SDM volume 3, 8.3). What is wrong with the new task's descriptor is
// found in the old task; what is wrong with its segments is the new task's own fault.

/// Why tasks are switched.
enum TaskSwitch {
  case jump
  case call
  case interruptReturn
  /// With the error code to push.
  case interrupt(UInt32?)

  /// The old task waits for this one's IRET.
  var nests: Bool {
    switch self {
    case .jump, .interruptReturn: false
    case .call, .interrupt: true
    }
  }
  var isReturn: Bool {
    if case .interruptReturn = self { true } else { false }
  }
}

/// Where a task state segment has what (SDM volume 3, figures 8-2 and 8-10).
private struct TaskLayout {
  let wide: Bool
  var step: UInt64 { wide ? 4 : 2 }
  var minimum: UInt32 { wide ? 0x67 : 0x2B }
  var instructionPointer: UInt64 { wide ? 0x20 : 0x0E }
  var flags: UInt64 { wide ? 0x24 : 0x10 }
  var registers: UInt64 { wide ? 0x28 : 0x12 }
  var segments: UInt64 { wide ? 0x48 : 0x22 }
  var segmentCount: Int { wide ? 6 : 4 }
  var localTable: UInt64 { wide ? 0x60 : 0x2A }
}

extension VCPU {
  private func taskRead(_ linear: UInt64, _ layout: TaskLayout) throws(SegmentFault) -> UInt64 {
    layout.wide ? UInt64(try systemRead(linear, as: UInt32.self)) : UInt64(try systemRead(linear, as: UInt16.self))
  }

  private func taskWrite(_ linear: UInt64, _ value: UInt64, _ layout: TaskLayout) throws(SegmentFault) {
    if layout.wide {
      try systemWrite(linear, UInt32(truncatingIfNeeded: value))
    } else {
      try systemWrite(linear, UInt16(truncatingIfNeeded: value))
    }
  }

  /// Switches to the task of a TSS selector.
  ///
  /// - Parameters:
  ///   - back: linear address where the old task goes on.
  ///   - external: bit 0 of error codes.
  func switchTask(_ selector: UInt16, _ kind: TaskSwitch, back: UInt64, external: UInt32) throws(SegmentFault) {
    let fault: Vector = kind.isReturn ? .ts : .gp
    let selectorCode = UInt32(selector & 0xFFFC) | external
    guard selector & 4 == 0, selector & 0xFFFC != 0, let d = try descriptor(selector), d.isSystem else {
      throw SegmentFault(fault, selectorCode)
    }
    let wanted: [UInt8] = kind.isReturn ? [3, 11] : [1, 9]
    guard wanted.contains(d.type) else { throw SegmentFault(fault, selectorCode) }
    if !d.isPresent { throw SegmentFault(.np, selectorCode) }
    let new = TaskLayout(wide: d.type & 8 != 0)
    if d.limit < new.minimum { throw SegmentFault(.ts, selectorCode) }
    try switchTask(to: d, selector, new, kind, back)
    do throws(SegmentFault) {
      try enterTask(kind, external)
    } catch {
      var later = error
      later.isOfNewTask = true
      throw later
    }
  }

  /// Up to the point where the new task has its registers and selectors.
  private func switchTask(to d: Descriptor, _ selector: UInt16, _ new: TaskLayout, _ kind: TaskSwitch, _ back: UInt64)
    throws(SegmentFault)
  {
    try asSupervisor { () throws(SegmentFault) -> Void in
      let task = cpu.pointee.tr
      let old = TaskLayout(wide: task.attributes & 8 != 0)
      // All that can fault comes first.
      var image: [UInt64] = []
      for n in 0..<UInt64(10) { image.append(try taskRead(d.base &+ new.instructionPointer &+ n &* new.step, new)) }
      var selectors: [UInt16] = []
      for n in 0..<new.segmentCount { selectors.append(try systemRead(d.base &+ new.segments &+ UInt64(n) &* new.step)) }
      let local: UInt16 = try systemRead(d.base &+ new.localTable)
      let table: UInt32? = new.wide ? try systemRead(d.base &+ 0x1C) : nil
      let trap: UInt16 = new.wide ? try systemRead(d.base &+ 0x64) : 0
      try systemProbe(task.base &+ old.instructionPointer)
      try systemProbe(task.base &+ old.localTable &- 1)
      if kind.nests { try systemProbe(d.base) }

      var flags = cpu.rflags & ~Flag.rf
      if kind.isReturn { flags &= ~Flag.nt }
      try taskWrite(task.base &+ old.instructionPointer, (back &- cpu.pointee.seg.1.base) & 0xFFFF_FFFF, old)
      try taskWrite(task.base &+ old.flags, flags, old)
      for n in 0..<8 { try taskWrite(task.base &+ old.registers &+ UInt64(n) &* old.step, cpu.general(n), old) }
      for n in 0..<old.segmentCount { try systemWrite(task.base &+ old.segments &+ UInt64(n) &* old.step, segment(n).selector) }
      if !kind.nests { try setBusy(task.selector, false) }
      if kind.nests { try systemWrite(d.base, task.selector) }
      if !kind.isReturn { try setBusy(selector, true) }

      cpu.pointee.tr = pv_segment(base: d.base, limit: d.limit, selector: selector, attributes: d.attributes | 2)
      cpu.pointee.cr0 |= 8
      refreshVectorState(cpu)
      if let table, cpu.pointee.cr0 >> 31 & 1 != 0 { setPageTableBase(UInt64(table)) }
      for n in 0..<8 {
        let value = image[2 + n]
        cpu.set(StateOffset.general(n), new.wide ? value : value | 0xFFFF_0000)
      }
      var newFlags = image[1] | 2
      if !new.wide { newFlags &= 0xFFFF }
      if kind.nests { newFlags |= Flag.nt }
      cpu.rflags = newFlags & 0x3F_7FD7
      for n in 0..<6 { setNullSegment(n, selector: n < selectors.count ? selectors[n] : 0) }
      cpu.pointee.seg.1.attributes = new.wide ? 0x400 : 0
      cpu.pointee.ldt = pv_segment(base: 0, limit: 0, selector: local, attributes: 0)
      cpu.pointee.rip = image[0]
      cpu.pointee.dr.7 &= ~0x155
      armDebug()
      // The new task asks for a #DB before its first instruction.
      if trap & 1 != 0 { cpu.pointee.debugging |= UInt8(PV_DEBUGGING_TASK) }
    }
    cpu.pointee.cpl = UInt32(cpu.pointee.seg.1.selector & 3)
    if cpu.isVirtual8086 { cpu.pointee.cpl = 3 }
    updateMode()
    selectTranslations()
  }

  /// Sets or clears the busy bit of a TSS descriptor.
  func setBusy(_ selector: UInt16, _ busy: Bool) throws(SegmentFault) {
    let place = cpu.pointee.gdt.base &+ UInt64(selector & 0xFFF8) &+ 5
    let type: UInt8 = try systemRead(place)
    try systemWrite(place, busy ? type | 2 : type & ~2)
  }

  /// Loads the new task's segments from the selectors that are in place, and pushes the error code.
  private func enterTask(_ kind: TaskSwitch, _ external: UInt32) throws(SegmentFault) {
    let offset = cpu.pointee.rip
    let local = cpu.pointee.ldt.selector
    if local & 0xFFFC != 0 {
      let code = UInt32(local & 0xFFFC) | external
      guard local & 4 == 0, let d = try descriptor(local), d.isSystem, d.type == 2, d.isPresent else { throw SegmentFault(.ts, code) }
      cpu.pointee.ldt = pv_segment(base: d.base, limit: d.limit, selector: local, attributes: d.attributes)
    }
    if cpu.isVirtual8086 {
      for register in 0..<6 { setParagraph(register, segment(register).selector) }
      cpu.pointee.rip = cpu.codeLinear(offset)
    } else {
      let cpl = cpu.pointee.cpl
      try loadTaskCode(cpl, external)
      cpu.pointee.rip = cpu.codeLinear(offset)
      try loadTaskStack(cpl, external)
      for register in [Int(PV_ES), Int(PV_DS), Int(PV_FS), Int(PV_GS)] {
        let selector = segment(register).selector
        if selector & 0xFFFC == 0 { continue }
        let code = UInt32(selector & 0xFFFC) | external
        guard let d = try descriptor(selector), d.isReadable,
          d.isConforming || (UInt32(selector & 3) <= d.dpl && cpl <= d.dpl)
        else { throw SegmentFault(.ts, code) }
        if !d.isPresent { throw SegmentFault(.np, code) }
        try markAccessed(selector, d)
        setSegment(register, selector: selector, descriptor: d.raw | 1 << 40)
      }
    }
    if case .interrupt(let errorCode?) = kind {
      try pushFrame([UInt64(errorCode)], size: cpu.pointee.tr.attributes & 8 != 0 ? 4 : 2, errorCode: external)
    }
    if offset > UInt64(cpu.pointee.seg.1.limit) { throw SegmentFault(.gp, external) }
    updateMode()
  }

  private func loadTaskCode(_ cpl: UInt32, _ external: UInt32) throws(SegmentFault) {
    let selector = cpu.pointee.seg.1.selector
    let code = UInt32(selector & 0xFFFC) | external
    guard selector & 0xFFFC != 0, let d = try descriptor(selector), d.isCode, d.isConforming ? d.dpl <= cpl : d.dpl == cpl else {
      throw SegmentFault(.ts, code)
    }
    if !d.isPresent { throw SegmentFault(.np, code) }
    try markAccessed(selector, d)
    setSegment(Int(PV_CS), selector: selector, descriptor: d.raw | 1 << 40)
  }

  private func loadTaskStack(_ cpl: UInt32, _ external: UInt32) throws(SegmentFault) {
    let selector = cpu.pointee.seg.2.selector
    let code = UInt32(selector & 0xFFFC) | external
    guard selector & 0xFFFC != 0, UInt32(selector & 3) == cpl, let d = try descriptor(selector), d.isWritable, d.dpl == cpl else {
      throw SegmentFault(.ts, code)
    }
    if !d.isPresent { throw SegmentFault(.ss, code) }
    try markAccessed(selector, d)
    setSegment(Int(PV_SS), selector: selector, descriptor: d.raw | 1 << 40)
  }
}
