import CHost
import X86

// IN, OUT, INS, OUTS. Where CPL > IOPL, and in virtual-8086 mode, the TSS may grant single ports if the processor stands for itself;
// else they raise #GP(0). Where they are allowed, the platform's hooks answer; without hooks there are no ports, and that is a #GP(0)
// too.

func registerPorts(_ table: inout LoweringTable) {
  table.register("in") { i, op in
    port(i.operands.1, i, &op)
    op.size = i.operands.0.size
    op.handler = input
    return true
  }
  table.register("out") { i, op in
    port(i.operands.0, i, &op)
    op.size = i.operands.1.size
    op.handler = output
    return true
  }
  for (suffix, size) in [("b", UInt8(1)), ("w", 2), ("d", 4)] {
    for (name, isInput) in [("ins", true), ("outs", false)] {
      table.register(name + suffix) { i, op in
        op.size = size
        op.extra = i.addressSize
        op.handler = isInput ? inputString : outputString
        op.flags |= UInt16(PV_OP_ENDS_BLOCK)
        return true
      }
    }
  }
}

/// `extra` 1: the port is in DX, else it is `imm`.
private func port(_ operand: Instruction.Operand, _ i: Instruction, _ op: inout pv_op) {
  op.extra = operand.kind == .immediate ? 0 : 1
  op.imm = i.immediate & 0xFF
  op.flags |= UInt16(PV_OP_ENDS_BLOCK)
}

private func portNumber(_ cpu: CPU, _ op: Operation) -> UInt16 {
  UInt16(truncatingIfNeeded: op.pointee.extra == 1 ? cpu.pointee.gpr.2 : UInt64(bitPattern: op.pointee.imm))
}

private func input(_ cpu: CPU, _ op: Operation) -> Operation? {
  if let refused = refusal(cpu, op, portNumber(cpu, op)) { return refused.leaving }
  guard let hook = VCPU.with(cpu, { $0.system.portIn }) else { return raiseGP(cpu, op) }
  let value = withHostModes { hook(portNumber(cpu, op), Int(op.pointee.size)) }
  watch(cpu, portNumber(cpu, op), Int(op.pointee.size))
  switch op.pointee.size {
  case 1: cpu.set(0, UInt8(truncatingIfNeeded: value))
  case 2: cpu.set(0, UInt16(truncatingIfNeeded: value))
  default: cpu.set(0, value)
  }
  return leave(cpu, cpu.ripAfter(op))
}

private func output(_ cpu: CPU, _ op: Operation) -> Operation? {
  if let refused = refusal(cpu, op, portNumber(cpu, op)) { return refused.leaving }
  guard let hook = VCPU.with(cpu, { $0.system.portOut }) else { return raiseGP(cpu, op) }
  let size = Int(op.pointee.size)
  let value = cpu.pointee.gpr.0 & (size == 4 ? 0xFFFF_FFFF : size == 2 ? 0xFFFF : 0xFF)
  withHostModes { hook(portNumber(cpu, op), size, UInt32(truncatingIfNeeded: value)) }
  watch(cpu, portNumber(cpu, op), size)
  return leave(cpu, cpu.ripAfter(op))
}

/// A breakpoint may be on the port.
@inline(__always) private func watch(_ cpu: CPU, _ port: UInt16, _ size: Int) {
  if cpu.pointee.debug_armed & UInt16(PV_DEBUG_PORT) != 0 { VCPU.of(cpu).notePort(port, size) }
}

/// That an instruction is over before it began: what its handler returns.
private struct Refusal {
  var leaving: Operation?
}

/// Whether CPL, IOPL and the TSS refuse a port: then the exception has been raised.
@inline(__always) private func refusal(_ cpu: CPU, _ op: Operation, _ port: UInt16) -> Refusal? {
  if cpu.ioAllowed && !cpu.isVirtual8086 { return nil }
  return refusalByTask(cpu, op, port)
}

@inline(never) private func refusalByTask(_ cpu: CPU, _ op: Operation, _ port: UInt16) -> Refusal? {
  guard cpu.isArchitectural else { return Refusal(leaving: raiseGP(cpu, op)) }
  do throws(SegmentFault) {
    return try VCPU.of(cpu).taskGrants(port, Int(op.pointee.size)) ? nil : Refusal(leaving: raiseGP(cpu, op))
  } catch {
    return Refusal(leaving: raise(cpu, op, error))
  }
}

extension VCPU {
  /// Whether the I/O map of the TSS grants `size` ports (SDM volume 1, 19.5.2).
  fileprivate func taskGrants(_ port: UInt16, _ size: Int) throws(SegmentFault) -> Bool {
    let task = cpu.pointee.tr
    guard task.attributes & 8 != 0, task.limit >= 0x67 else { return false }
    let map: UInt16 = try readSystem(task.base &+ 0x66)
    let place = UInt32(map) &+ UInt32(port >> 3)
    // The map is read a word at a time.
    guard place < task.limit else { return false }
    let bits: UInt16 = try readSystem(task.base &+ UInt64(place))
    return bits >> (port & 7) & (1 << UInt16(size) &- 1) == 0
  }
}

private func addressMask(_ op: Operation) -> UInt64 {
  op.pointee.extra == 8 ? ~0 : op.pointee.extra == 4 ? 0xFFFF_FFFF : 0xFFFF
}

private func advance(_ value: UInt64, _ by: UInt64, _ mask: UInt64) -> UInt64 {
  // 16-bit pointers keep what is above them, 32-bit ones clear it, as any register write does.
  mask == 0xFFFF ? value & ~mask | (value &+ by) & mask : (value &+ by) & mask
}

private func stringStep(_ cpu: CPU, _ op: Operation) -> UInt64 {
  let size = UInt64(op.pointee.size)
  return cpu.pointee.rflags & Flag.df != 0 ? 0 &- size : size
}

private func segmentedAddress(_ cpu: CPU, _ op: Operation, _ offset: UInt64, _ base: UInt64) -> UInt64 {
  cpu.pointee.mode == 0 ? offset &+ base : (offset &+ base) & 0xFFFF_FFFF
}

private func isRepeated(_ op: Operation) -> Bool { op.pointee.flags & UInt16(PV_OP_REP | PV_OP_REPNE) != 0 }

/// One iteration is done: goes on, or comes back for the next one. Each is an instruction of its own to the clock.
private func afterIteration(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isRepeated(op) else { return leave(cpu, cpu.ripAfter(op)) }
  let mask = addressMask(op)
  cpu.pointee.gpr.1 = advance(cpu.pointee.gpr.1, ~0, mask)
  return leave(cpu, cpu.pointee.gpr.1 & mask == 0 ? cpu.ripAfter(op) : cpu.rip(of: op))
}

private func inputString(_ cpu: CPU, _ op: Operation) -> Operation? {
  if let refused = refusal(cpu, op, UInt16(truncatingIfNeeded: cpu.pointee.gpr.2)) { return refused.leaving }
  guard let hook = VCPU.of(cpu).system.portIn else { return raiseGP(cpu, op) }
  let mask = addressMask(op)
  if isRepeated(op) && cpu.pointee.gpr.1 & mask == 0 { return leave(cpu, cpu.ripAfter(op)) }
  let size = Int(op.pointee.size)
  let base = cpu.pointee.mode == 0 ? 0 : cpu.pointee.seg.0.base
  let address = segmentedAddress(cpu, op, cpu.pointee.gpr.7 & mask, base)
  let destination = StateOffset.segmentBase(Int(PV_ES))
  if cpu.isSegmented, !segmentAllows(cpu, destination, cpu.pointee.gpr.7 & mask, UInt64(size), write: true) {
    return raiseSegment(cpu, op, destination)
  }
  // The device is read only if its value has somewhere to go.
  guard readForWrite(cpu, op, address, UInt8.self) != nil,
    readForWrite(cpu, op, address &+ UInt64(size - 1), UInt8.self) != nil
  else { return raise(cpu, op) }
  if isRepeated(op), let done = inputRow(cpu, op, address, mask) { return afterIterations(cpu, op, done) }
  let value = withHostModes { hook(UInt16(truncatingIfNeeded: cpu.pointee.gpr.2), size) }
  watch(cpu, UInt16(truncatingIfNeeded: cpu.pointee.gpr.2), size)
  guard writeSized(cpu, op, address, UInt64(value), size) else { return raise(cpu, op) }
  cpu.pointee.gpr.7 = advance(cpu.pointee.gpr.7, stringStep(cpu, op), mask)
  return afterIteration(cpu, op)
}

/// Iterations of REP INS or OUTS that may be done at once from an address: upwards, within the page and the segment, and no more
/// than fit before the deadline.
private func rowLength(_ cpu: CPU, _ op: Operation, _ address: UInt64, _ offset: UInt64, _ mask: UInt64, segment: UInt16, write: Bool)
  -> Int
{
  guard cpu.pointee.rflags & (Flag.df | Flag.tf) == 0, cpu.pointee.debug_armed == 0 else { return 0 }
  let size = UInt64(op.pointee.size)
  let left = cpu.pointee.gpr.1 & mask
  let most = min(left, (4096 - address & 4095) / size, UInt64(max(cpu.pointee.budget, 0)) &+ 1)
  guard most > 1, offset <= mask &- most &* size else { return 0 }
  if cpu.isSegmented, !segmentAllows(cpu, segment, offset, most &* size, write: write) { return 0 }
  return Int(most)
}

/// Reads a row of elements from a device that gives them so; nil where it has to be asked one by one.
private func inputRow(_ cpu: CPU, _ op: Operation, _ address: UInt64, _ mask: UInt64) -> UInt64? {
  let vcpu = VCPU.of(cpu)
  guard let hook = vcpu.system.portInRow else { return nil }
  let offset = cpu.pointee.gpr.7 & mask
  let count = rowLength(cpu, op, address, offset, mask, segment: StateOffset.segmentBase(Int(PV_ES)), write: true)
  let size = Int(op.pointee.size)
  guard count > 1, let place = vcpu.writableNow(address, count * size) else { return nil }
  let buffer = UnsafeMutableRawBufferPointer(start: place, count: count * size)
  let done = withHostModes { hook(UInt16(truncatingIfNeeded: cpu.pointee.gpr.2), size, buffer) }
  guard done > 0 else { return nil }
  cpu.pointee.gpr.7 = advance(cpu.pointee.gpr.7, UInt64(min(done, count) * size), mask)
  return UInt64(min(done, count))
}

/// Likewise for output.
private func outputRow(_ cpu: CPU, _ op: Operation, _ address: UInt64, _ mask: UInt64) -> UInt64? {
  let vcpu = VCPU.of(cpu)
  guard let hook = vcpu.system.portOutRow else { return nil }
  let offset = cpu.pointee.gpr.6 & mask
  let count = rowLength(cpu, op, address, offset, mask, segment: op.pointee.segbase, write: false)
  let size = Int(op.pointee.size)
  guard count > 1, let place = vcpu.readableNow(address, count * size) else { return nil }
  let buffer = UnsafeRawBufferPointer(start: place, count: count * size)
  let done = withHostModes { hook(UInt16(truncatingIfNeeded: cpu.pointee.gpr.2), size, buffer) }
  guard done > 0 else { return nil }
  cpu.pointee.gpr.6 = advance(cpu.pointee.gpr.6, UInt64(min(done, count) * size), mask)
  return UInt64(min(done, count))
}

/// As `afterIteration`, after several; the first is paid for.
private func afterIterations(_ cpu: CPU, _ op: Operation, _ count: UInt64) -> Operation? {
  let mask = addressMask(op)
  cpu.pointee.budget &-= Int64(truncatingIfNeeded: count &- 1)
  cpu.pointee.gpr.1 = advance(cpu.pointee.gpr.1, 0 &- count, mask)
  return leave(cpu, cpu.pointee.gpr.1 & mask == 0 ? cpu.ripAfter(op) : cpu.rip(of: op))
}

private func outputString(_ cpu: CPU, _ op: Operation) -> Operation? {
  if let refused = refusal(cpu, op, UInt16(truncatingIfNeeded: cpu.pointee.gpr.2)) { return refused.leaving }
  guard let hook = VCPU.of(cpu).system.portOut else { return raiseGP(cpu, op) }
  let mask = addressMask(op)
  if isRepeated(op) && cpu.pointee.gpr.1 & mask == 0 { return leave(cpu, cpu.ripAfter(op)) }
  let size = Int(op.pointee.size)
  let base = cpu.get(op.pointee.segbase, UInt64.self)
  let address = segmentedAddress(cpu, op, cpu.pointee.gpr.6 & mask, base)
  if cpu.isSegmented, !segmentAllows(cpu, op.pointee.segbase, cpu.pointee.gpr.6 & mask, UInt64(size), write: false) {
    return raiseSegment(cpu, op, op.pointee.segbase)
  }
  guard let value = readSized(cpu, op, address, size) else { return raise(cpu, op) }
  if isRepeated(op), let done = outputRow(cpu, op, address, mask) { return afterIterations(cpu, op, done) }
  withHostModes { hook(UInt16(truncatingIfNeeded: cpu.pointee.gpr.2), size, UInt32(truncatingIfNeeded: value)) }
  watch(cpu, UInt16(truncatingIfNeeded: cpu.pointee.gpr.2), size)
  cpu.pointee.gpr.6 = advance(cpu.pointee.gpr.6, stringStep(cpu, op), mask)
  return afterIteration(cpu, op)
}
