import CHost
import X86

// LAR, LSL, VERR, VERW, and the stores of the table registers, which any privilege level may execute.

func registerDescriptorQueries(_ table: inout LoweringTable) {
  for (name, isLimit) in [("lar", false), ("lsl", true)] {
    table.register(name) { i, op in
      op.extra = i.operands.1.kind == .memory ? 1 : 0
      op.size = i.operandSize
      op.handler = isLimit ? loadLimit : loadAccessRights
      return true
    }
  }
  for (name, isWrite) in [("verr", false), ("verw", true)] {
    table.register(name) { i, op in
      op.extra = i.operands.0.kind == .memory ? 1 : 0
      op.src = op.dst
      op.handler = isWrite ? verifyWrite : verifyRead
      return true
    }
  }
  table.register("sgdt", lowerer: running(storeGlobalTable))
  table.register("sidt", lowerer: running(storeInterruptTable))
  let words: [(String, pv_handler)] = [
    ("sldt", { $0.hasParagraphs ? raise($0, $1, .ud) : store16($0, $1, UInt64($0.pointee.ldt.selector)) }),
    ("str", { $0.hasParagraphs ? raise($0, $1, .ud) : store16($0, $1, UInt64($0.pointee.tr.selector)) }),
    ("smsw", { store16($0, $1, $0.pointee.cr0) }),
  ]
  for (name, handler) in words {
    table.register(name) { i, op in
      op.extra = i.operands.0.kind == .memory ? 1 : 0
      op.size = i.operandSize
      op.handler = handler
      return true
    }
  }
}

private func selector(_ cpu: CPU, _ op: Operation) -> UInt16? {
  op.pointee.extra == 0 ? cpu.get(op.pointee.src, UInt16.self) : read(cpu, op, cpu.effectiveAddress(op), UInt16.self)
}

extension VCPU {
  /// The descriptor behind a selector if it is one that CPL and RPL may see; `systemTypes` has a bit for each system type that
  /// counts.
  fileprivate func visible(_ selector: UInt16, systemTypes: UInt16) throws(SegmentFault) -> Descriptor? {
    if selector & 0xFFFC == 0 { return nil }
    guard let d = try descriptor(selector) else { return nil }
    if d.isSystem && systemTypes >> UInt16(d.type) & 1 == 0 { return nil }
    if !d.isConforming && (cpu.pointee.cpl > d.dpl || UInt32(selector & 3) > d.dpl) { return nil }
    return d
  }
}

private func loadAccessRights(_ cpu: CPU, _ op: Operation) -> Operation? {
  // In IA-32e mode: LDT, available and busy TSS, call gate. In legacy mode also the 16-bit ones and the task gate.
  query(cpu, op, systemTypes: cpu.longMode ? 0x1A04 : 0x1A3E) { ($0.raw >> 32) & 0xFF_FF00 }
}

private func loadLimit(_ cpu: CPU, _ op: Operation) -> Operation? {
  query(cpu, op, systemTypes: cpu.longMode ? 0xA04 : 0xA0E) { UInt64($0.limit) }
}

private func query(_ cpu: CPU, _ op: Operation, systemTypes: UInt16, _ value: (Descriptor) -> UInt64) -> Operation? {
  if cpu.hasParagraphs { return raise(cpu, op, .ud) }
  guard let selector = selector(cpu, op) else { return raise(cpu, op) }
  do throws(SegmentFault) {
    let d = try VCPU.of(cpu).visible(selector, systemTypes: systemTypes)
    if let d {
      if op.pointee.size == 2 {
        cpu.set(op.pointee.dst, UInt16(truncatingIfNeeded: value(d)))
      } else {
        cpu.set(op.pointee.dst, value(d))
      }
    }
    cpu.setZF(d != nil)
  } catch {
    return raise(cpu, op, error)
  }
  return next(cpu, op)
}

private func verifyRead(_ cpu: CPU, _ op: Operation) -> Operation? { verify(cpu, op) { $0.isReadable } }
private func verifyWrite(_ cpu: CPU, _ op: Operation) -> Operation? { verify(cpu, op) { $0.isWritable } }

private func verify(_ cpu: CPU, _ op: Operation, _ allows: (Descriptor) -> Bool) -> Operation? {
  if cpu.hasParagraphs { return raise(cpu, op, .ud) }
  guard let selector = selector(cpu, op) else { return raise(cpu, op) }
  do throws(SegmentFault) {
    let d = try VCPU.of(cpu).visible(selector, systemTypes: 0)
    cpu.setZF(d.map(allows) ?? false)
  } catch {
    return raise(cpu, op, error)
  }
  return next(cpu, op)
}

// MARK: - Stores

/// CR4.UMIP makes these privileged.
private func hidden(_ cpu: CPU) -> Bool { cpu.pointee.cr4 & 0x800 != 0 && cpu.pointee.cpl > 0 }

private func storeGlobalTable(_ cpu: CPU, _ op: Operation) -> Operation? { storeTable(cpu, op, cpu.pointee.gdt) }
private func storeInterruptTable(_ cpu: CPU, _ op: Operation) -> Operation? { storeTable(cpu, op, cpu.pointee.idt) }

private func storeTable(_ cpu: CPU, _ op: Operation, _ table: pv_segment) -> Operation? {
  if hidden(cpu) { return raiseGP(cpu, op) }
  let count = op.pointee.flags & UInt16(PV_OP_CODE64) != 0 ? 10 : 6
  let (limit, base) = (UInt64(table.limit & 0xFFFF), table.base)
  var image = (limit | base << 16, base >> 48)
  let address = cpu.effectiveAddress(op)
  guard withUnsafeBytes(of: &image, { writeBytes(cpu, op, address, $0.baseAddress!, count) }) else { return raise(cpu, op) }
  return next(cpu, op)
}

/// To memory 16 bits, to a register as many as the operand size says.
private func store16(_ cpu: CPU, _ op: Operation, _ value: UInt64) -> Operation? {
  if hidden(cpu) { return raiseGP(cpu, op) }
  if op.pointee.extra == 1 {
    guard write(cpu, op, cpu.effectiveAddress(op), UInt16(truncatingIfNeeded: value)) else { return raise(cpu, op) }
    return next(cpu, op)
  }
  switch op.pointee.size {
  case 2: cpu.set(op.pointee.dst, UInt16(truncatingIfNeeded: value))
  case 4: cpu.set(op.pointee.dst, UInt32(truncatingIfNeeded: value))
  default: cpu.set(op.pointee.dst, value)
  }
  return next(cpu, op)
}
