import CHost
import X86

// Instructions of CPL 0. At any other level they raise #GP(0) before anything else; a hypervisor that runs its guests there
// emulates them from that fault.

func registerPrivileged(_ table: inout LoweringTable) {
  table.register("stac", lowerer: ending(setAccess))
  table.register("clac", lowerer: ending(clearAccess))
  table.register("hlt", lowerer: ending(halt))
  table.register("cli", lowerer: ending(clearInterruptFlag))
  table.register("sti", lowerer: ending(setInterruptFlag))
  table.register("clts", lowerer: ending(clearTaskSwitched))
  for (name, handler) in [("lmsw", loadStatusWord), ("lldt", loadLocalTable), ("ltr", loadTaskRegister)] as [(String, pv_handler)] {
    table.register(name) { i, op in
      op.extra = i.operands.0.kind == .memory ? 1 : 0
      op.handler = handler
      op.flags |= UInt16(PV_OP_ENDS_BLOCK)
      return true
    }
  }
  for (name, which) in [("lgdt", UInt8(0)), ("lidt", UInt8(1))] {
    table.register(name) { _, op in
      op.extra = which
      op.handler = loadTable
      op.flags |= UInt16(PV_OP_ENDS_BLOCK)
      return true
    }
  }
  table.register("invlpg", lowerer: ending(invalidatePage))
  table.register("invpcid", lowerer: ending(invalidateAll))
  table.register("wbinvd", "invd", "wbnoinvd", lowerer: ending(privilegedNothing))
  table.register("rdmsr", lowerer: ending(readModelSpecific))
  table.register("wrmsr", lowerer: ending(writeModelSpecific))
  table.register("swapgs", lowerer: ending(swapGS))
  table.register("xsetbv", lowerer: ending(writeExtendedControl))
  for (name, handler) in [("sysret", returnFromCall), ("sysexit", exitFromCall)] as [(String, pv_handler)] {
    table.register(name) { i, op in
      op.size = i.w ? 8 : 4
      op.flags |= UInt16(PV_OP_ENDS_BLOCK)
      op.handler = handler
      return true
    }
  }
}

@inline(__always) private func finish(_ cpu: CPU, _ op: Operation) -> Operation? { leave(cpu, cpu.ripAfter(op)) }

private func halt(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  return leave(cpu, op, exit: UInt32(PV_EXIT_HALT))
}

private func clearInterruptFlag(_ cpu: CPU, _ op: Operation) -> Operation? {
  if !cpu.ioAllowed {
    guard cpu.hasVirtualInterruptFlag else { return raiseGP(cpu, op) }
    cpu.pointee.rflags &= ~Flag.vif
    return finish(cpu, op)
  }
  cpu.pointee.rflags &= ~Flag.if
  return finish(cpu, op)
}

private func setInterruptFlag(_ cpu: CPU, _ op: Operation) -> Operation? {
  if !cpu.ioAllowed {
    guard cpu.hasVirtualInterruptFlag, cpu.pointee.rflags & Flag.vip == 0 else { return raiseGP(cpu, op) }
    cpu.pointee.rflags |= Flag.vif
    return finish(cpu, op)
  }
  if cpu.pointee.rflags & Flag.if == 0 { cpu.pointee.interrupt_shadow = UInt8(PV_SHADOW_STI) }
  cpu.pointee.rflags |= Flag.if
  return finish(cpu, op)
}

private func privilegedNothing(_ cpu: CPU, _ op: Operation) -> Operation? {
  cpu.pointee.cpl > 0 ? raiseGP(cpu, op) : finish(cpu, op)
}

// MARK: - Control and debug registers

/// MOV with a control or debug register.
func lowerControlMove(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let (to, from) = (i.operands.0, i.operands.1)
  let isWrite = to.kind == .control || to.kind == .debug
  let system = isWrite ? to : from
  op.extra = system.register
  op.size = op.flags & UInt16(PV_OP_CODE64) != 0 ? 8 : 4
  op.flags |= UInt16(PV_OP_ENDS_BLOCK)
  switch system.kind {
  case .control:
    guard [0, 2, 3, 4, 8].contains(system.register) else { return false }
    op.handler = isWrite ? writeControl : readControl
  case .debug:
    guard system.register < 8 else { return false }
    op.handler = isWrite ? writeDebug : readDebug
  default: return false
  }
  return true
}

private func readControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  let value: UInt64
  switch op.pointee.extra {
  case 0: value = cpu.pointee.cr0
  case 2: value = cpu.pointee.cr2
  case 3: value = cpu.pointee.cr3
  case 4: value = cpu.pointee.cr4
  default: value = cpu.pointee.cr8
  }
  cpu.set(op.pointee.dst, op.pointee.size == 8 ? value : value & 0xFFFF_FFFF)
  return finish(cpu, op)
}

private func writeControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  var value = cpu.get(op.pointee.src, UInt64.self)
  if op.pointee.size != 8 { value &= 0xFFFF_FFFF }
  let v = VCPU.of(cpu)
  if cpu.isArchitectural { return writeOwnControl(cpu, op, v, value) }
  switch op.pointee.extra {
  case 0:
    // PG needs PE, NW needs CD; the upper half is reserved.
    let paging = value >> 31 & 1 != 0
    if value >> 32 != 0 || (paging && value & 1 == 0) || (value >> 29 & 3 == 1) { return raiseGP(cpu, op) }
    cpu.pointee.cr0 = value | 0x10
    v.flushTranslations()
  case 2: cpu.pointee.cr2 = value
  case 3: v.setPageTableBase(value & ~(1 << 63))
  case 4:
    cpu.pointee.cr4 = value
    v.flushTranslations()
  default:
    if value > 15 { return raiseGP(cpu, op) }
    cpu.pointee.cr8 = value
  }
  refreshVectorState(cpu)
  v.system.controlWritten?(Int(op.pointee.extra))
  return finish(cpu, op)
}

/// MOV to a control register of a processor that stands for itself.
private func writeOwnControl(_ cpu: CPU, _ op: Operation, _ v: VCPU, _ value: UInt64) -> Operation? {
  let done: Bool
  switch op.pointee.extra {
  case 0: done = v.setControlZero(value)
  case 2:
    cpu.pointee.cr2 = value
    done = true
  case 3: done = v.setControlThree(value)
  case 4: done = v.setControlFour(value)
  default:
    done = value <= 15
    if done { cpu.pointee.cr8 = value }
  }
  if !done { return raiseGP(cpu, op) }
  if let written = v.system.controlWritten { withHostModes { written(Int(op.pointee.extra)) } }
  return finish(cpu, op)
}

/// DR4 and DR5 are DR6 and DR7 unless CR4.DE is set.
private func debugNumber(_ cpu: CPU, _ op: Operation) -> Int? {
  let n = Int(op.pointee.extra)
  if n == 4 || n == 5 { return cpu.pointee.cr4 & 8 != 0 ? nil : n + 2 }
  return n
}

/// DR7.GD: an access to a debug register is a fault, which clears it.
private func isGuarded(_ cpu: CPU) -> Bool {
  guard cpu.isArchitectural, cpu.pointee.dr.7 & DebugStatus.guarded != 0 else { return false }
  cpu.pointee.dr.6 |= DebugStatus.access
  cpu.pointee.dr.7 &= ~DebugStatus.guarded
  return true
}

private func readDebug(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let n = debugNumber(cpu, op) else { return raise(cpu, op, .ud) }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  if isGuarded(cpu) { return raise(cpu, op, .db) }
  let value = withUnsafeBytes(of: &cpu.pointee.dr) { $0.load(fromByteOffset: n * 8, as: UInt64.self) }
  cpu.set(op.pointee.dst, op.pointee.size == 8 ? value : value & 0xFFFF_FFFF)
  return finish(cpu, op)
}

private func writeDebug(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let n = debugNumber(cpu, op) else { return raise(cpu, op, .ud) }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  if isGuarded(cpu) { return raise(cpu, op, .db) }
  var value = cpu.get(op.pointee.src, UInt64.self)
  if op.pointee.size != 8 { value &= 0xFFFF_FFFF }
  if n >= 6 && value >> 32 != 0 { return raiseGP(cpu, op) }
  if n == 6 { value = value & 0xE00F | 0xFFFF_0FF0 }
  if n == 7 { value = value & 0xFFFF_2BFF | 0x400 }
  withUnsafeMutableBytes(of: &cpu.pointee.dr) { $0.storeBytes(of: value, toByteOffset: n * 8, as: UInt64.self) }
  if cpu.isArchitectural && n != 6 { VCPU.of(cpu).armDebug() }
  return finish(cpu, op)
}

private func clearTaskSwitched(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  cpu.pointee.cr0 &= ~8
  refreshVectorState(cpu)
  return finish(cpu, op)
}

private func source16(_ cpu: CPU, _ op: Operation) -> UInt16? {
  op.pointee.extra == 0 ? cpu.get(op.pointee.dst, UInt16.self) : read(cpu, op, cpu.effectiveAddress(op), UInt16.self)
}

private func loadStatusWord(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  guard let value = source16(cpu, op) else { return raise(cpu, op) }
  // PE can be set and not cleared.
  if cpu.isArchitectural {
    _ = VCPU.of(cpu).setControlZero(cpu.pointee.cr0 & ~0xE | UInt64(value & 0xF))
    return finish(cpu, op)
  }
  cpu.pointee.cr0 = cpu.pointee.cr0 & ~0xE | UInt64(value & 0xF)
  refreshVectorState(cpu)
  VCPU.of(cpu).system.controlWritten?(0)
  return finish(cpu, op)
}

// MARK: - Descriptor tables

private func loadTable(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  let address = cpu.effectiveAddress(op)
  let wide = op.pointee.flags & UInt16(PV_OP_CODE64) != 0
  guard let limit = read(cpu, op, address, UInt16.self), var base = readSized(cpu, op, address &+ 2, wide ? 8 : 4) else {
    return raise(cpu, op)
  }
  if !wide && op.pointee.size == 2 { base &= 0xFF_FFFF }
  if !isCanonical(base) { return raiseGP(cpu, op) }
  let table = pv_segment(base: base, limit: UInt32(limit), selector: 0, attributes: 0)
  if op.pointee.extra == 0 { cpu.pointee.gdt = table } else { cpu.pointee.idt = table }
  return finish(cpu, op)
}

private func loadLocalTable(_ cpu: CPU, _ op: Operation) -> Operation? { loadSystemSegment(cpu, op, task: false) }
private func loadTaskRegister(_ cpu: CPU, _ op: Operation) -> Operation? { loadSystemSegment(cpu, op, task: true) }

private func loadSystemSegment(_ cpu: CPU, _ op: Operation, task: Bool) -> Operation? {
  if cpu.hasParagraphs { return raise(cpu, op, .ud) }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  guard let selector = source16(cpu, op) else { return raise(cpu, op) }
  do throws(SegmentFault) {
    try VCPU.of(cpu).loadSystemSegment(selector, task: task)
  } catch {
    return raise(cpu, op, error)
  }
  return finish(cpu, op)
}

extension VCPU {
  /// LLDT and LTR (SDM volume 2).
  fileprivate func loadSystemSegment(_ selector: UInt16, task: Bool) throws(SegmentFault) {
    if selector & 0xFFFC == 0 {
      if task { throw SegmentFault(.gp, 0) }
      cpu.pointee.ldt = pv_segment(base: 0, limit: 0, selector: selector, attributes: 0)
      return
    }
    guard selector & 4 == 0, let d = try descriptor(selector), d.isSystem,
      d.type == (task ? 9 : 2) || (task && d.type == 1 && !cpu.longMode)
    else {
      throw SegmentFault(.gp, selector: selector)
    }
    if !d.isPresent { throw SegmentFault(.np, selector: selector) }
    var base = d.base
    if cpu.longMode {
      base |= try upperHalf(selector) << 32
      if !isCanonical(base) { throw SegmentFault(.gp, selector: selector) }
    }
    var segment = pv_segment(base: base, limit: d.limit, selector: selector, attributes: d.attributes)
    guard task else {
      cpu.pointee.ldt = segment
      return
    }
    // The TSS becomes busy.
    if descriptorReader == nil {
      try writeSystem(cpu.pointee.gdt.base &+ UInt64(selector & 0xFFF8) &+ 5, UInt8(truncatingIfNeeded: d.raw >> 40) | 2)
    }
    segment.attributes |= 2
    cpu.pointee.tr = segment
  }
}

private func invalidatePage(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  let v = VCPU.of(cpu)
  // A walker that watches its tables has forgotten already what does not hold any more.
  if cpu.pointee.own_paging == 0 { v.flushTranslations() }
  v.system.invalidate?(cpu.effectiveAddress(op))
  return finish(cpu, op)
}

private func invalidateAll(_ cpu: CPU, _ op: Operation) -> Operation? {
  // CPUID offers no INVPCID to those that would see more than a #GP(0) of it.
  if cpu.isArchitectural { return raise(cpu, op, .ud) }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  let v = VCPU.of(cpu)
  if cpu.pointee.own_paging == 0 { v.flushTranslations() }
  v.system.invalidate?(nil)
  return finish(cpu, op)
}

// MARK: - Model-specific registers

private func readModelSpecific(_ cpu: CPU, _ op: Operation) -> Operation? {
  let number = UInt32(truncatingIfNeeded: cpu.pointee.gpr.1)
  let v = VCPU.of(cpu)
  guard cpu.pointee.cpl == 0 else { return raiseGP(cpu, op) }
  let own = cpu.isArchitectural ? v.ownRegister(number) : nil
  guard let value = own ?? withHostModes({ v.system.readMSR?(number) }) else { return raiseGP(cpu, op) }
  cpu.pointee.gpr.0 = value & 0xFFFF_FFFF
  cpu.pointee.gpr.2 = value >> 32
  return finish(cpu, op)
}

private func writeModelSpecific(_ cpu: CPU, _ op: Operation) -> Operation? {
  let number = UInt32(truncatingIfNeeded: cpu.pointee.gpr.1)
  let value = cpu.pointee.gpr.2 << 32 | cpu.pointee.gpr.0 & 0xFFFF_FFFF
  let v = VCPU.of(cpu)
  guard cpu.pointee.cpl == 0 else { return raiseGP(cpu, op) }
  if cpu.isArchitectural, let done = v.setOwnRegister(number, value) { return done ? finish(cpu, op) : raiseGP(cpu, op) }
  guard let write = v.system.writeMSR, withHostModes({ write(number, value) }) else { return raiseGP(cpu, op) }
  return finish(cpu, op)
}

private func swapGS(_ cpu: CPU, _ op: Operation) -> Operation? {
  if op.pointee.flags & UInt16(PV_OP_CODE64) == 0 { return raise(cpu, op, .ud) }
  if cpu.pointee.cpl > 0 { return raiseGP(cpu, op) }
  let base = cpu.pointee.seg.5.base
  cpu.pointee.seg.5.base = cpu.pointee.kernel_gs_base
  cpu.pointee.kernel_gs_base = base
  return finish(cpu, op)
}

private func returnFromCall(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard cpu.isArchitectural else { return raiseGP(cpu, op) }
  if cpu.pointee.efer & 1 == 0 || cpu.pointee.mode != 0 { return raise(cpu, op, .ud) }
  guard VCPU.with(cpu, { $0.systemReturn(wide: op.pointee.size == 8) }) else { return raiseGP(cpu, op) }
  return leave(cpu, cpu.pointee.rip)
}

private func exitFromCall(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard cpu.isArchitectural, VCPU.of(cpu).systemExit(wide: op.pointee.size == 8) else { return raiseGP(cpu, op) }
  return leave(cpu, cpu.pointee.rip)
}

private func writeExtendedControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr4 & (1 << 18) == 0 { return raise(cpu, op, .ud) }
  let value = cpu.pointee.gpr.2 << 32 | cpu.pointee.gpr.0 & 0xFFFF_FFFF
  // x87 cannot be cleared, AVX needs SSE, and there is nothing above.
  let offered = cpu.isArchitectural ? VCPU.of(cpu).offeredExtendedControl : 7
  let legal = value & 1 != 0 && value & ~offered == 0 && (value & 4 == 0 || value & 2 != 0)
  if cpu.pointee.cpl > 0 || UInt32(truncatingIfNeeded: cpu.pointee.gpr.1) != 0 || !legal { return raiseGP(cpu, op) }
  cpu.pointee.xcr0 = value
  refreshVectorState(cpu)
  return finish(cpu, op)
}
