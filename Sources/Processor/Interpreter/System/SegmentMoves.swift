import CHost
import X86

// Moves to and from segment registers, and far pointer loads (SDM volume 2: MOV, PUSH, POP, LDS).

private func selectorOffset(_ register: UInt8) -> UInt16 {
  StateOffset.segmentBase(Int(register)) &+ UInt16(MemoryLayout<pv_segment>.offset(of: \.selector) ?? 0)
}

/// MOV with a segment, control or debug register.
func lowerSystemMove(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let (to, from) = (i.operands.0, i.operands.1)
  if to.kind == .segment {
    guard to.register <= 5, to.register != UInt8(PV_CS) else { return false }
    op.extra = to.register
    endBlockAfterStackSegment(&op)
    op.handler = from.kind == .memory ? loadSegmentFromMemory : loadSegmentFromRegister
    return true
  }
  if from.kind == .segment {
    guard from.register <= 5 else { return false }
    op.src = selectorOffset(from.register)
    if to.kind == .memory {
      op.handler = storeSegmentToMemory
    } else {
      op.handler = i.operandSize == 2 ? storeSegment16 : storeSegmentWide
    }
    return true
  }
  return lowerControlMove(i, &op)
}

/// PUSH and POP of a segment register.
func lowerSystemStack(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let register = i.operands.0.register
  guard i.operands.0.kind == .segment, register <= 5 else { return false }
  op.flags |= UInt16(PV_OP_STACK_SEGMENT)
  op.extra = register
  op.size = i.operandSize == 2 ? 2 : op.flags & UInt16(PV_OP_CODE64) != 0 ? 8 : 4
  if i.mnemonic == Mnemonic("push") {
    op.src = selectorOffset(register)
    op.handler = pushSegment
    return true
  }
  guard register != UInt8(PV_CS) else { return false }
  endBlockAfterStackSegment(&op)
  op.handler = popSegment
  return true
}

func registerSegmentLoads(_ table: inout LoweringTable) {
  func far(_ name: String, _ register: Int) {
    table.register(name) { i, op in
      guard i.operands.1.kind == .memory else { return false }
      op.extra = UInt8(register)
      op.size = i.operandSize
      endBlockAfterStackSegment(&op)
      op.handler = loadFarPointer
      return true
    }
  }
  far("lds", PV_DS)
  far("les", PV_ES)
  far("lss", PV_SS)
  far("lfs", PV_FS)
  far("lgs", PV_GS)
}

/// Bases are looked up as code runs, so only SS, which begins an interrupt shadow and decides the stack's size, ends a block.
private func endBlockAfterStackSegment(_ op: inout pv_op) {
  if op.extra == UInt8(PV_SS) { op.flags |= UInt16(PV_OP_ENDS_BLOCK) }
}

private func afterLoad(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard op.pointee.extra == UInt8(PV_SS) else { return next(cpu, op) }
  if cpu.pointee.cpl == 0 || cpu.isArchitectural { cpu.pointee.interrupt_shadow = UInt8(PV_SHADOW_STACK) }
  return leave(cpu, cpu.ripAfter(op))
}

/// Another decoding may be right for what follows.
private func afterModeChange(_ cpu: CPU, _ op: Operation) -> Operation? {
  if op.pointee.extra == UInt8(PV_SS) { return afterLoad(cpu, op) }
  let block = cpu.pointee.block.unsafelyUnwrapped
  cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(op.pointee.ordinal) &- 1
  return leave(cpu, cpu.ripAfter(op))
}

private func finishLoad(_ cpu: CPU, _ op: Operation, _ selector: UInt16) -> Operation? {
  let mode = cpu.pointee.mode
  if let fault = VCPU.of(cpu).loadSegment(Int(op.pointee.extra), selector: selector) { return raise(cpu, op, fault) }
  return mode == cpu.pointee.mode ? afterLoad(cpu, op) : afterModeChange(cpu, op)
}

private func loadSegmentFromRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  finishLoad(cpu, op, cpu.get(op.pointee.src, UInt16.self))
}

private func loadSegmentFromMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let selector = read(cpu, op, cpu.effectiveAddress(op), UInt16.self) else { return raise(cpu, op) }
  return finishLoad(cpu, op, selector)
}

private func storeSegment16(_ cpu: CPU, _ op: Operation) -> Operation? {
  cpu.set(op.pointee.dst, cpu.get(op.pointee.src, UInt16.self))
  return next(cpu, op)
}

private func storeSegmentWide(_ cpu: CPU, _ op: Operation) -> Operation? {
  cpu.set(op.pointee.dst, UInt64(cpu.get(op.pointee.src, UInt16.self)))
  return next(cpu, op)
}

private func storeSegmentToMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.get(op.pointee.src, UInt16.self)) else { return raise(cpu, op) }
  return next(cpu, op)
}

private func loadFarPointer(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int(op.pointee.size)
  let address = cpu.effectiveAddress(op)
  guard let offset = readSized(cpu, op, address, size), let selector = read(cpu, op, address &+ UInt64(size), UInt16.self) else {
    return raise(cpu, op)
  }
  let register = Int(op.pointee.extra)
  let mode = cpu.pointee.mode
  if let fault = VCPU.of(cpu).loadSegment(register, selector: selector) { return raise(cpu, op, fault) }
  if size == 2 {
    cpu.set(op.pointee.dst, UInt16(truncatingIfNeeded: offset))
  } else {
    cpu.set(op.pointee.dst, offset)
  }
  return mode == cpu.pointee.mode ? afterLoad(cpu, op) : afterModeChange(cpu, op)
}

// MARK: - Stack

/// Reads 1, 2, 4 or 8 bytes, zero-extended.
func readSized(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ size: Int) -> UInt64? {
  switch size {
  case 1: return read(cpu, op, linear, UInt8.self).map { UInt64($0) }
  case 2: return read(cpu, op, linear, UInt16.self).map { UInt64($0) }
  case 4: return read(cpu, op, linear, UInt32.self).map { UInt64($0) }
  default: return read(cpu, op, linear, UInt64.self)
  }
}

func writeSized(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ value: UInt64, _ size: Int) -> Bool {
  switch size {
  case 1: return write(cpu, op, linear, UInt8(truncatingIfNeeded: value))
  case 2: return write(cpu, op, linear, UInt16(truncatingIfNeeded: value))
  case 4: return write(cpu, op, linear, UInt32(truncatingIfNeeded: value))
  default: return write(cpu, op, linear, value)
  }
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// The bits of RSP that address the stack: by SS.B outside 64-bit mode.
  var stackMask: UInt64 {
    pointee.mode == 0 ? ~0 : pointee.seg.2.attributes & 0x400 != 0 ? 0xFFFF_FFFF : 0xFFFF
  }

  /// Linear address `offset` bytes above the stack pointer.
  func stackLinear(_ offset: Int64) -> UInt64 {
    let pointer = pointee.gpr.4 &+ UInt64(bitPattern: offset)
    if pointee.mode == 0 { return pointer }
    return ((pointer & stackMask) &+ pointee.seg.2.base) & 0xFFFF_FFFF
  }

  func moveStackPointer(_ by: Int64) { setStackPointer(pointee.gpr.4 &+ UInt64(bitPattern: by)) }

  func setStackPointer(_ value: UInt64) {
    let mask = stackMask
    pointee.gpr.4 = mask == 0xFFFF ? pointee.gpr.4 & ~mask | value & mask : value & mask
  }
}

/// Reads `size` bytes `offset` above the stack pointer; nil after recording a fault.
func readStack(_ cpu: CPU, _ op: Operation, _ offset: Int64, _ size: Int) -> UInt64? {
  guard stackHas(cpu, offset, size) else { return nil }
  return readSized(cpu, op, cpu.stackLinear(offset), size)
}

/// Writes there; false after recording a fault.
func writeStack(_ cpu: CPU, _ op: Operation, _ offset: Int64, _ value: UInt64, _ size: Int) -> Bool {
  guard stackHas(cpu, offset, size) else { return false }
  return writeSized(cpu, op, cpu.stackLinear(offset), value, size)
}

/// Whether the stack segment has `size` bytes `offset` above the stack pointer; else #SS(0) is recorded.
func stackHas(_ cpu: CPU, _ offset: Int64, _ size: Int) -> Bool {
  guard cpu.isSegmented else { return true }
  let pointer = (cpu.pointee.gpr.4 &+ UInt64(bitPattern: offset)) & cpu.stackMask
  if VCPU.with(cpu, { $0.stackAllows(cpu.pointee.seg.2, pointer, UInt64(size)) }) { return true }
  cpu.pointee.vector = Vector.ss.rawValue
  cpu.pointee.error_code = 0
  cpu.pointee.has_error_code = 1
  return false
}

private func pushSegment(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int64(op.pointee.size)
  let selector = cpu.get(op.pointee.src, UInt16.self)
  // With a 32-bit operand size only the selector's two bytes are written, as recent processors do.
  let width = size == 4 ? 2 : Int(size)
  guard writeStack(cpu, op, -size, UInt64(selector), width) else { return raise(cpu, op) }
  cpu.moveStackPointer(-size)
  return next(cpu, op)
}

private func popSegment(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let value = readStack(cpu, op, 0, 2) else { return raise(cpu, op) }
  let selector = UInt16(truncatingIfNeeded: value)
  let register = Int(op.pointee.extra)
  let mask = cpu.stackMask
  let mode = cpu.pointee.mode
  if let fault = VCPU.of(cpu).loadSegment(register, selector: selector) { return raise(cpu, op, fault) }
  // The pointer moves under the size it was read with, also where SS itself was loaded.
  let pointer = cpu.pointee.gpr.4 &+ UInt64(op.pointee.size)
  cpu.pointee.gpr.4 = mask == 0xFFFF ? cpu.pointee.gpr.4 & ~mask | pointer & mask : pointer & mask
  return mode == cpu.pointee.mode ? afterLoad(cpu, op) : afterModeChange(cpu, op)
}
