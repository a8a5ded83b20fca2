import CHost
import X86

// PUSH, POP, PUSHA, POPA, ENTER, LEAVE. In 64-bit mode the stack pointer is RSP, else ESP beside SS's base. Nothing moves if the
// access faults.

/// A pushed `T`'s linear address and the stack pointer after it.
@inline(__always) func stackBelow<T: MachineWord>(_ cpu: CPU, _ code64: Bool, _: T.Type) -> (linear: UInt64, pointer: UInt64) {
  let size = UInt64(MemoryLayout<T>.size)
  if code64 {
    let pointer = cpu.rsp &- size
    return (pointer, pointer)
  }
  let pointer = (cpu.rsp &- size) & 0xFFFF_FFFF
  return (stackLinear(cpu, false, pointer), pointer)
}

@inline(__always) func stackLinear(_ cpu: CPU, _ code64: Bool, _ pointer: UInt64) -> UInt64 {
  code64 ? pointer : (pointer &+ cpu.pointee.seg.2.base) & 0xFFFF_FFFF
}

/// The stack pointer moved up.
@inline(__always) func stackAbove(_ cpu: CPU, _ code64: Bool, _ bytes: UInt64) -> UInt64 {
  code64 ? cpu.rsp &+ bytes : (cpu.rsp &+ bytes) & 0xFFFF_FFFF
}

/// The instruction has another memory operand, so that its own segment flag says nothing about its stack access: a
/// non-canonical stack address is #SS.
func stackFault(_ cpu: CPU, _ op: Operation, _ linear: UInt64) -> Operation? {
  isCanonical(linear) ? raise(cpu, op) : raise(cpu, op, .ss, 0)
}

// MARK: - PUSH

@inline(__always) private func push<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ value: T, code64: Bool) -> Operation? {
  let (linear, pointer) = stackBelow(cpu, code64, T.self)
  guard let p = writable(cpu, linear, T.self) else { return pushSlow(cpu, op, value, code64: code64) }
  p.storeBytes(of: value, as: T.self)
  cpu.rsp = pointer
  return next(cpu, op)
}

@inline(never) private func pushSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ value: T, code64: Bool) -> Operation? {
  let (linear, pointer) = stackBelow(cpu, code64, T.self)
  guard write(cpu, op, linear, value) else { return stackFault(cpu, op, linear) }
  cpu.rsp = pointer
  return next(cpu, op)
}

@inline(__always) private func push64r(_ c: CPU, _ o: Operation) -> Operation? {
  push(c, o, c.get(o.pointee.dst, UInt64.self), code64: true)
}
@inline(__always) private func push64i(_ c: CPU, _ o: Operation) -> Operation? {
  push(c, o, UInt64(bitPattern: o.pointee.imm), code64: true)
}

@inline(__always) private func pushM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return pushSlow(cpu, op, value, code64: code64)
}

private func lowerPush(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let code64 = op.isCode64
  let size: UInt8 = i.operandSize == 2 ? 2 : code64 ? 8 : 4
  switch i.operands.0.kind {
  case .general:
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if code64 { return op.take(size, nil, { push($0, $1, $0.get($1.pointee.dst, UInt16.self), code64: true) }, nil, push64r) }
    return op.take(
      size, nil, { push($0, $1, $0.get($1.pointee.dst, UInt16.self), code64: false) },
      { push($0, $1, $0.get($1.pointee.dst, UInt32.self), code64: false) }, nil)
  case .immediate:
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if code64 { return op.take(size, nil, { push($0, $1, $0.immediate($1, UInt16.self), code64: true) }, nil, push64i) }
    return op.take(
      size, nil, { push($0, $1, $0.immediate($1, UInt16.self), code64: false) },
      { push($0, $1, $0.immediate($1, UInt32.self), code64: false) }, nil)
  case .memory:
    if code64 { return op.take(size, nil, { pushM($0, $1, UInt16.self, code64: true) }, nil, { pushM($0, $1, UInt64.self, code64: true) }) }
    return op.take(size, nil, { pushM($0, $1, UInt16.self, code64: false) }, { pushM($0, $1, UInt32.self, code64: false) }, nil)
  default: return lowerSystemStack(i, &op)
  }
}

// MARK: - POP

@inline(__always) private func pop<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let p = readable(cpu, stackLinear(cpu, code64, cpu.rsp), T.self) else { return popSlow(cpu, op, T.self, code64: code64) }
  let value = p.loadUnaligned(as: T.self)
  cpu.rsp = stackAbove(cpu, code64, UInt64(MemoryLayout<T>.size))
  // After the stack pointer: POP RSP gets the value.
  cpu.set(op.pointee.dst, value)
  return next(cpu, op)
}

@inline(never) private func popSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let value = read(cpu, op, stackLinear(cpu, code64, cpu.rsp), T.self) else { return raise(cpu, op) }
  cpu.rsp = stackAbove(cpu, code64, UInt64(MemoryLayout<T>.size))
  cpu.set(op.pointee.dst, value)
  return next(cpu, op)
}

@inline(__always) private func pop64r(_ c: CPU, _ o: Operation) -> Operation? { pop(c, o, UInt64.self, code64: true) }

/// The destination's address is computed with the stack pointer already moved.
@inline(__always) private func popM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  let old = cpu.rsp
  let linear = stackLinear(cpu, code64, old)
  guard let value = read(cpu, op, linear, T.self) else { return stackFault(cpu, op, linear) }
  cpu.rsp = stackAbove(cpu, code64, UInt64(MemoryLayout<T>.size))
  guard write(cpu, op, cpu.effectiveAddress(op), value) else {
    cpu.rsp = old
    return raise(cpu, op)
  }
  return next(cpu, op)
}

private func lowerPop(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let code64 = op.isCode64
  let size: UInt8 = i.operandSize == 2 ? 2 : code64 ? 8 : 4
  switch i.operands.0.kind {
  case .general:
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if code64 { return op.take(size, nil, { pop($0, $1, UInt16.self, code64: true) }, nil, pop64r) }
    return op.take(size, nil, { pop($0, $1, UInt16.self, code64: false) }, { pop($0, $1, UInt32.self, code64: false) }, nil)
  case .memory:
    if code64 { return op.take(size, nil, { popM($0, $1, UInt16.self, code64: true) }, nil, { popM($0, $1, UInt64.self, code64: true) }) }
    return op.take(size, nil, { popM($0, $1, UInt16.self, code64: false) }, { popM($0, $1, UInt32.self, code64: false) }, nil)
  default: return lowerSystemStack(i, &op)
  }
}

func registerStack(_ table: inout LoweringTable) {
  table.register("push") { lowerPush($0, &$1) }
  table.register("pop") { lowerPop($0, &$1) }
  table.register("leave") { i, op in
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    if op.isCode64 {
      return op.take(i.operandSize == 2 ? 2 : 8, nil, { leaveFrame($0, $1, UInt16.self, code64: true) }, nil, leave64)
    }
    return op.take(
      i.operandSize == 2 ? 2 : 4, nil, { leaveFrame($0, $1, UInt16.self, code64: false) },
      { leaveFrame($0, $1, UInt32.self, code64: false) }, nil)
  }
  table.register("enter") { i, op in
    op.flags |= UInt16(PV_OP_STACK_SEGMENT)
    op.imm = i.immediate & 0xFFFF
    op.extra = UInt8(truncatingIfNeeded: i.immediate2 & 31)
    if op.isCode64 {
      return op.take(
        i.operandSize == 2 ? 2 : 8, nil, { enterFrame($0, $1, UInt16.self, code64: true) }, nil,
        { enterFrame($0, $1, UInt64.self, code64: true) })
    }
    return op.take(
      i.operandSize == 2 ? 2 : 4, nil, { enterFrame($0, $1, UInt16.self, code64: false) },
      { enterFrame($0, $1, UInt32.self, code64: false) }, nil)
  }
  for name in ["pushaw", "pushad"] {
    table.register(name) { i, op in
      op.flags |= UInt16(PV_OP_STACK_SEGMENT)
      guard !op.isCode64 else { return false }
      return op.take(i.operandSize == 2 ? 2 : 4, nil, { pushAll($0, $1, UInt16.self) }, { pushAll($0, $1, UInt32.self) }, nil)
    }
  }
  for name in ["popaw", "popad"] {
    table.register(name) { i, op in
      op.flags |= UInt16(PV_OP_STACK_SEGMENT)
      guard !op.isCode64 else { return false }
      return op.take(i.operandSize == 2 ? 2 : 4, nil, { popAll($0, $1, UInt16.self) }, { popAll($0, $1, UInt32.self) }, nil)
    }
  }
}

// MARK: - ENTER, LEAVE

@inline(__always) private func leave64(_ c: CPU, _ o: Operation) -> Operation? { leaveFrame(c, o, UInt64.self, code64: true) }

@inline(__always) private func leaveFrame<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let p = readable(cpu, stackLinear(cpu, code64, frame(cpu, code64)), T.self) else {
    return leaveFrameSlow(cpu, op, T.self, code64: code64)
  }
  return leaveFrame(cpu, op, p.loadUnaligned(as: T.self), code64: code64)
}

@inline(never) private func leaveFrameSlow<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  guard let value = read(cpu, op, stackLinear(cpu, code64, frame(cpu, code64)), T.self) else { return raise(cpu, op) }
  return leaveFrame(cpu, op, value, code64: code64)
}

@inline(__always) private func frame(_ cpu: CPU, _ code64: Bool) -> UInt64 { code64 ? cpu.rbp : cpu.rbp & 0xFFFF_FFFF }

@inline(__always) private func leaveFrame<T: MachineWord>(_ cpu: CPU, _ op: Operation, _ saved: T, code64: Bool) -> Operation? {
  let pointer = frame(cpu, code64) &+ UInt64(MemoryLayout<T>.size)
  cpu.rsp = code64 ? pointer : pointer & 0xFFFF_FFFF
  cpu.set(StateOffset.general(5), saved)
  return next(cpu, op)
}

@inline(__always) private func enterFrame<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, code64: Bool) -> Operation? {
  let mask: UInt64 = code64 ? ~0 : 0xFFFF_FFFF
  let size = UInt64(MemoryLayout<T>.size)
  let level = op.pointee.extra
  var pointer = (cpu.rsp &- size) & mask
  guard write(cpu, op, stackLinear(cpu, code64, pointer), T(truncatingIfNeeded: cpu.rbp)) else { return raise(cpu, op) }
  let newFrame = pointer
  if level > 0 {
    var from = cpu.rbp & mask
    for _ in 1..<max(level, 1) {
      from = (from &- size) & mask
      guard let value = read(cpu, op, stackLinear(cpu, code64, from), T.self) else { return raise(cpu, op) }
      pointer = (pointer &- size) & mask
      guard write(cpu, op, stackLinear(cpu, code64, pointer), value) else { return raise(cpu, op) }
    }
    pointer = (pointer &- size) & mask
    guard write(cpu, op, stackLinear(cpu, code64, pointer), T(truncatingIfNeeded: newFrame)) else { return raise(cpu, op) }
  }
  pointer = (pointer &- UInt64(bitPattern: op.pointee.imm)) & mask
  // The last thing checked is that the new top of the stack could be written.
  guard readForWrite(cpu, op, stackLinear(cpu, code64, pointer), T.self) != nil else { return raise(cpu, op) }
  cpu.set(StateOffset.general(5), T(truncatingIfNeeded: newFrame))
  cpu.rsp = pointer
  return next(cpu, op)
}

// MARK: - PUSHA, POPA

@inline(__always) private func pushAll<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let size = UInt64(MemoryLayout<T>.size)
  var pointer = cpu.rsp & 0xFFFF_FFFF
  for register in 0..<8 {
    pointer = (pointer &- size) & 0xFFFF_FFFF
    let value = T(truncatingIfNeeded: cpu.general(register))
    guard write(cpu, op, stackLinear(cpu, false, pointer), value) else { return raise(cpu, op) }
  }
  cpu.rsp = pointer
  return next(cpu, op)
}

@inline(__always) private func popAll<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  let size = UInt64(MemoryLayout<T>.size)
  let start = cpu.rsp & 0xFFFF_FFFF
  // Twice: first that nothing faults, so that no register has changed if something does.
  for pass in 0..<2 {
    var pointer = start
    for register in (0..<8).reversed() {
      guard let value = read(cpu, op, stackLinear(cpu, false, pointer), T.self) else { return raise(cpu, op) }
      if pass == 1 && register != 4 { cpu.set(StateOffset.general(register), value) }
      pointer = (pointer &+ size) & 0xFFFF_FFFF
    }
  }
  cpu.rsp = (start &+ 8 &* size) & 0xFFFF_FFFF
  return next(cpu, op)
}
