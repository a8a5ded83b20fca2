import CHost
import X86

// The control instructions. Those named fn… do not wait: a pending exception stays pending.
//
// Instruction and operand pointers and the opcode are not kept: every image has zeros there, and loading an image ignores them.

func registerX87Control(_ table: inout LoweringTable) {
  let names: [(String, pv_handler)] = [
    ("fwait", wait), ("fninit", initialize), ("fnclex", clearExceptions), ("fldcw", loadControl),
    ("fnstcw", storeControl), ("fincstp", incrementTop), ("fdecstp", decrementTop), ("ffree", free), ("ffreep", freeAndPop),
  ]
  for (name, handler) in names {
    table.register(name) { _, op in
      op.handler = handler
      return x87Available
    }
  }
  table.register("fnop") { i, op in
    // DB E0, E1 and E4 (FNENI, FNDISI, FNSETPM) do not wait.
    let waits = !InstructionTable.shared.forms[Int(i.form)].flags.contains(.alternative)
    op.handler = waits ? doNothing : doNothingAtOnce
    return x87Available
  }
  table.register("fnstsw") { i, op in
    op.handler = i.operands.0.kind == .memory ? storeStatus : storeStatusToAX
    return x87Available
  }
  let images: [(String, pv_handler)] = [
    ("fnstenv", storeEnvironment), ("fldenv", loadEnvironment), ("fnsave", saveState), ("frstor", restoreState),
  ]
  for (name, handler) in images {
    table.register(name) { i, op in
      op.extra = i.operandSize == 2 ? 1 : 0
      op.handler = handler
      return x87Available
    }
  }
}

@inline(__always) private func isOff(_ cpu: CPU) -> Bool {
  settleX87(cpu)
  return cpu.pointee.cr0 & 0xC != 0
}

/// FWAIT looks at CR0.MP and TS, not at EM.
private func wait(_ cpu: CPU, _ op: Operation) -> Operation? {
  settleX87(cpu)
  if cpu.pointee.cr0 & 0xA == 0xA { return raise(cpu, op, .nm) }
  if cpu.pointee.x87_control_status >> 16 & Status.summary != 0 { return raise(cpu, op, .mf) }
  return next(cpu, op)
}

private func doNothing(_ cpu: CPU, _ op: Operation) -> Operation? {
  x87Ready(cpu) ? next(cpu, op) : x87Blocked(cpu, op)
}

private func doNothingAtOnce(_ cpu: CPU, _ op: Operation) -> Operation? {
  isOff(cpu) ? x87Blocked(cpu, op) : next(cpu, op)
}

private func reset(_ cpu: CPU) {
  cpu.pointee.x87_control_status = 0x37F
  cpu.pointee.x87_top = 0
  cpu.pointee.x87_tags = 0
}

private func initialize(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  reset(cpu)
  return next(cpu, op)
}

private func clearExceptions(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  cpu.pointee.x87_control_status &= 0x7F00_FFFF
  return next(cpu, op)
}

/// FCW's writable bits; bit 6 always reads as 1.
func legalControl(_ value: UInt16) -> UInt32 { UInt32(value) & 0x1F7F | 0x40 }

private func loadControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  guard let value = read(cpu, op, cpu.effectiveAddress(op), UInt16.self) else { return raise(cpu, op) }
  cpu.pointee.x87_control_status = cpu.pointee.x87_control_status & 0xFFFF_0000 | legalControl(value)
  cpu.updateSummary()
  return next(cpu, op)
}

private func storeControl(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.x87Control) else { return raise(cpu, op) }
  return next(cpu, op)
}

private func storeStatus(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.x87Status) else { return raise(cpu, op) }
  return next(cpu, op)
}

private func storeStatusToAX(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  cpu.set(0, cpu.x87Status)
  return next(cpu, op)
}

private func incrementTop(_ cpu: CPU, _ op: Operation) -> Operation? { moveTop(cpu, op, 1) }
private func decrementTop(_ cpu: CPU, _ op: Operation) -> Operation? { moveTop(cpu, op, 7) }

private func moveTop(_ cpu: CPU, _ op: Operation, _ by: UInt32) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  cpu.pointee.x87_top = (cpu.pointee.x87_top &+ by) & 7
  cpu.clearC1()
  return next(cpu, op)
}

private func free(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  cpu.pointee.x87_tags &= ~(1 << ((cpu.pointee.x87_top &+ UInt32(op.pointee.dst)) & 7))
  cpu.clearC1()
  return next(cpu, op)
}

private func freeAndPop(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  cpu.pointee.x87_tags &= ~(1 << ((cpu.pointee.x87_top &+ UInt32(op.pointee.dst)) & 7))
  cpu.clearC1()
  cpu.pop()
  return next(cpu, op)
}

// MARK: - Environment and state

/// The full tag word: valid 0, zero 1, special 2, empty 3, by physical register.
private func fullTags(_ cpu: CPU) -> UInt16 {
  var tags: UInt16 = 0
  for physical in 0..<UInt32(8) {
    var tag: UInt16 = 3
    if cpu.pointee.x87_tags >> physical & 1 != 0 {
      let register = cpu.st(physical &- cpu.pointee.x87_top)
      let significand = register.load(as: UInt64.self)
      let exponent = register.load(fromByteOffset: 8, as: UInt16.self) & 0x7FFF
      if exponent == 0 {
        tag = significand == 0 ? 1 : 2
      } else {
        tag = exponent == 0x7FFF || significand >> 63 == 0 ? 2 : 0
      }
    }
    tags |= tag << UInt16(physical * 2)
  }
  return tags
}

/// The control word (with its upper half in the 32-bit format) and then the last byte are touched before the rest, as processors
/// do: CR2 shows it.
private func touchEnds(_ cpu: CPU, _ op: Operation, _ address: UInt64, _ count: Int, write: Bool) -> Bool {
  let first: Bool
  switch (write, op.pointee.extra == 1) {
  case (true, true): first = readForWrite(cpu, op, address, UInt16.self) != nil
  case (true, false): first = readForWrite(cpu, op, address, UInt32.self) != nil
  case (false, true): first = read(cpu, op, address, UInt16.self) != nil
  case (false, false): first = read(cpu, op, address, UInt32.self) != nil
  }
  return first && touchEnd(cpu, op, address, count, write: write)
}

/// The environment is 28 bytes in the 32-bit format, 14 in the 16-bit one.
private func environmentSize(_ op: Operation) -> Int { op.pointee.extra == 1 ? 14 : 28 }

private func putEnvironment(_ cpu: CPU, _ op: Operation, _ image: UnsafeMutableRawPointer) {
  let words = [cpu.x87Control, cpu.x87Status, fullTags(cpu)]
  if op.pointee.extra == 1 {
    for n in 0..<7 { image.storeBytes(of: n < 3 ? words[n] : 0, toByteOffset: n * 2, as: UInt16.self) }
    return
  }
  for n in 0..<7 {
    var value: UInt32 = n < 3 ? UInt32(words[n]) : 0
    if n < 3 || n == 6 { value |= 0xFFFF_0000 }
    image.storeBytes(of: value, toByteOffset: n * 4, as: UInt32.self)
  }
}

private func takeEnvironment(_ cpu: CPU, _ op: Operation, _ image: UnsafeRawPointer) {
  let step = op.pointee.extra == 1 ? 2 : 4
  let control = image.loadUnaligned(as: UInt16.self)
  let status = image.loadUnaligned(fromByteOffset: step, as: UInt16.self)
  let full = image.loadUnaligned(fromByteOffset: 2 * step, as: UInt16.self)
  var tags: UInt8 = 0
  for n in 0..<8 where full >> UInt16(n * 2) & 3 != 3 { tags |= 1 << UInt8(n) }
  setX87State(cpu, control: control, status: status, tags: tags)
}

private func withImage(_ body: (UnsafeMutableRawPointer) -> Operation?) -> Operation? {
  withUnsafeTemporaryAllocation(byteCount: 112, alignment: 16) { body($0.baseAddress!) }
}

private func storeEnvironment(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  return withImage { image in
    putEnvironment(cpu, op, image)
    let address = cpu.effectiveAddress(op)
    guard touchEnds(cpu, op, address, environmentSize(op), write: true) else { return raise(cpu, op) }
    guard writeBytes(cpu, op, address, image, environmentSize(op)) else { return raise(cpu, op) }
    cpu.pointee.x87_control_status |= 0x3F
    cpu.updateSummary()
    return next(cpu, op)
  }
}

private func loadEnvironment(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  return withImage { buffer in
    let address = cpu.effectiveAddress(op)
    guard touchEnds(cpu, op, address, environmentSize(op), write: false) else { return raise(cpu, op) }
    guard let image = readBytes(cpu, op, address, environmentSize(op), buffer) else { return raise(cpu, op) }
    takeEnvironment(cpu, op, image)
    return next(cpu, op)
  }
}

private func saveState(_ cpu: CPU, _ op: Operation) -> Operation? {
  if isOff(cpu) { return x87Blocked(cpu, op) }
  return withImage { image in
    putEnvironment(cpu, op, image)
    let size = environmentSize(op)
    for i in 0..<UInt32(8) { copyRegisterUnaligned(image + size + Int(i) * 10, cpu.st(i)) }
    let address = cpu.effectiveAddress(op)
    guard touchEnds(cpu, op, address, size + 80, write: true) else { return raise(cpu, op) }
    guard writeBytes(cpu, op, address, image, size + 80) else { return raise(cpu, op) }
    reset(cpu)
    return next(cpu, op)
  }
}

private func copyRegisterUnaligned(_ to: UnsafeMutableRawPointer, _ from: UnsafeRawPointer) { to.copyMemory(from: from, byteCount: 10) }

private func restoreState(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard x87Ready(cpu) else { return x87Blocked(cpu, op) }
  return withImage { buffer in
    let size = environmentSize(op)
    let address = cpu.effectiveAddress(op)
    guard touchEnds(cpu, op, address, size + 80, write: false) else { return raise(cpu, op) }
    guard let image = readBytes(cpu, op, address, size + 80, buffer) else { return raise(cpu, op) }
    takeEnvironment(cpu, op, image)
    for i in 0..<UInt32(8) { copyRegister(cpu.st(i), image + size + Int(i) * 10) }
    return next(cpu, op)
  }
}
