import CHost
import X86

// MMX: integer vectors in the low 8 bytes of the x87 registers, by physical number (SDM volume 1, chapter 9; volume 3, 13.2).
// Mnemonics are shared with SSE: a form with an MMX operand is ours, the others stay with whoever registered them before.

/// Whether an MMX instruction may go on: no CR0.EM or TS, no pending x87 exception. Look before touching memory.
@inline(__always) func mmxReady(_ cpu: CPU) -> Bool { x87Ready(cpu) }

/// What keeps an MMX instruction from going on.
@inline(never) func mmxBlocked(_ cpu: CPU, _ op: Operation) -> Operation? {
  if cpu.pointee.cr0 & 4 != 0 { return raise(cpu, op, .ud) }
  return raise(cpu, op, cpu.pointee.cr0 & 8 != 0 ? .nm : .mf)
}

/// What every MMX instruction but EMMS does to the x87 state, once it cannot fault any more: TOP = 0, every register in use.
@inline(__always) func enterMMX(_ cpu: CPU) {
  cpu.pointee.x87_top = 0
  cpu.pointee.x87_tags = 0xFF
}

/// Writes an MMX register (`StateOffset.mmx`): the register's upper 16 bits become ones.
@inline(__always) func setMMX(_ cpu: CPU, _ offset: UInt16, _ value: UInt64) {
  let register = cpu.address(offset)
  register.storeBytes(of: value, as: UInt64.self)
  register.storeBytes(of: 0xFFFF, toByteOffset: 8, as: UInt16.self)
}

func registerMMX(_ table: inout LoweringTable) {
  table.register("emms") { _, op in
    op.handler = emptyState
    return true
  }
  for operation in MMXOperation.allCases {
    wrap(&table, "\(operation)") { i, op in
      op.extra = operation.rawValue
      switch i.operands.1.kind {
      case .memory: op.handler = i.operands.1.size == 4 ? computeFromHalf : computeFromMemory
      case .immediate: op.handler = computeFromImmediate
      default: op.handler = computeFromRegister
      }
      return true
    }
  }
  wrap(&table, "movq", lowerMove)
  wrap(&table, "movd", lowerMove)
  wrap(&table, "movntq") { _, op in
    op.handler = storeAll
    return true
  }
  wrap(&table, "pshufw") { i, op in withSource(i, &op, shuffleWords, shuffleWordsMemory) }
  wrap(&table, "palignr") { i, op in withSource(i, &op, align, alignMemory) }
  wrap(&table, "pinsrw") { i, op in withSource(i, &op, insertWord, insertWordMemory) }
  wrap(&table, "pextrw") { _, op in
    op.handler = extractWord
    return true
  }
  wrap(&table, "pmovmskb") { _, op in
    op.handler = moveMask
    return true
  }
  wrap(&table, "maskmovq") { i, op in
    // The destination is DS:rDI.
    op.base = StateOffset.general(7)
    op.index = StateOffset.zero
    op.disp = 0
    op.scale = 0
    let segment = Int(i.segment)
    let flat = op.flags & UInt16(PV_OP_CODE64) != 0 && segment < 4
    op.segbase = flat ? StateOffset.zero : StateOffset.segmentBase(min(segment, 5))
    op.handler = storeMasked
    return true
  }
}

private func withSource(_ i: Instruction, _ op: inout pv_op, _ register: @escaping pv_handler, _ memory: @escaping pv_handler) -> Bool {
  op.handler = i.operands.1.kind == .memory ? memory : register
  return true
}

private func wrap(_ table: inout LoweringTable, _ name: String, _ ours: @escaping Lowerer) {
  let previous = Mnemonic(name).flatMap { table[$0] }
  table.register(name) { i, op in
    if i.operands.0.kind == .mmx || i.operands.1.kind == .mmx { return ours(i, &op) }
    return previous?(i, &op) ?? false
  }
}

private func lowerMove(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let (to, from) = (i.operands.0, i.operands.1)
  switch (to.kind, from.kind) {
  case (.mmx, .mmx): op.handler = moveRegister
  case (.mmx, .memory): op.handler = from.size == 4 ? loadHalf : loadAll
  case (.memory, .mmx): op.handler = to.size == 4 ? storeHalf : storeAll
  case (.mmx, .general): op.handler = from.size == 8 ? moveRegister : moveFromGeneral32
  case (.general, .mmx): op.handler = to.size == 8 ? moveToGeneral : moveToGeneral32
  default: return false
  }
  return true
}

private func emptyState(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  cpu.pointee.x87_top = 0
  cpu.pointee.x87_tags = 0
  return next(cpu, op)
}

// MARK: - Two operands

private func compute(_ cpu: CPU, _ op: Operation, _ source: UInt64) -> Operation? {
  enterMMX(cpu)
  let operation = MMXOperation(rawValue: op.pointee.extra) ?? .pxor
  setMMX(cpu, op.pointee.dst, operation.apply(cpu.get(op.pointee.dst, UInt64.self), source))
  return next(cpu, op)
}

private func computeFromRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return compute(cpu, op, cpu.get(op.pointee.src, UInt64.self))
}

private func computeFromImmediate(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return compute(cpu, op, UInt64(UInt8(truncatingIfNeeded: op.pointee.imm)))
}

private func computeFromMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let source = read(cpu, op, cpu.effectiveAddress(op), UInt64.self) else { return raise(cpu, op) }
  return compute(cpu, op, source)
}

/// PUNPCKL… read 32 bits of memory only.
private func computeFromHalf(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let source = read(cpu, op, cpu.effectiveAddress(op), UInt32.self) else { return raise(cpu, op) }
  return compute(cpu, op, UInt64(source))
}

// MARK: - Moves

private func load(_ cpu: CPU, _ op: Operation, _ value: UInt64) -> Operation? {
  enterMMX(cpu)
  setMMX(cpu, op.pointee.dst, value)
  return next(cpu, op)
}

private func moveRegister(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return load(cpu, op, cpu.get(op.pointee.src, UInt64.self))
}

private func moveFromGeneral32(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return load(cpu, op, UInt64(cpu.get(op.pointee.src, UInt32.self)))
}

private func loadAll(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let value = read(cpu, op, cpu.effectiveAddress(op), UInt64.self) else { return raise(cpu, op) }
  return load(cpu, op, value)
}

private func loadHalf(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let value = read(cpu, op, cpu.effectiveAddress(op), UInt32.self) else { return raise(cpu, op) }
  return load(cpu, op, UInt64(value))
}

private func storeAll(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.get(op.pointee.src, UInt64.self)) else { return raise(cpu, op) }
  enterMMX(cpu)
  return next(cpu, op)
}

private func storeHalf(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard write(cpu, op, cpu.effectiveAddress(op), cpu.get(op.pointee.src, UInt32.self)) else { return raise(cpu, op) }
  enterMMX(cpu)
  return next(cpu, op)
}

private func moveToGeneral(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  enterMMX(cpu)
  cpu.set(op.pointee.dst, cpu.get(op.pointee.src, UInt64.self))
  return next(cpu, op)
}

private func moveToGeneral32(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  enterMMX(cpu)
  cpu.set(op.pointee.dst, cpu.get(op.pointee.src, UInt32.self))
  return next(cpu, op)
}

// MARK: - Shuffles

private func shuffleWords(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return load(cpu, op, shuffled(cpu.get(op.pointee.src, UInt64.self), op.pointee.imm))
}

private func shuffleWordsMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let value = read(cpu, op, cpu.effectiveAddress(op), UInt64.self) else { return raise(cpu, op) }
  return load(cpu, op, shuffled(value, op.pointee.imm))
}

private func shuffled(_ value: UInt64, _ order: Int64) -> UInt64 {
  var result: UInt64 = 0
  for n in 0..<UInt64(4) {
    let from = (UInt64(bitPattern: order) >> (2 * n)) & 3
    result |= ((value >> (16 * from)) & 0xFFFF) << (16 * n)
  }
  return result
}

private func align(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return load(cpu, op, aligned(cpu.get(op.pointee.dst, UInt64.self), cpu.get(op.pointee.src, UInt64.self), op.pointee.imm))
}

private func alignMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let value = read(cpu, op, cpu.effectiveAddress(op), UInt64.self) else { return raise(cpu, op) }
  return load(cpu, op, aligned(cpu.get(op.pointee.dst, UInt64.self), value, op.pointee.imm))
}

/// Bytes `count` … `count` + 7 of high:low. Swift's >> and << give 0 beyond the width.
private func aligned(_ high: UInt64, _ low: UInt64, _ count: Int64) -> UInt64 {
  let bits = UInt64(bitPattern: count & 0xFF) &* 8
  return bits < 64 ? low >> bits | high << (64 &- bits) : high >> (bits &- 64)
}

private func insert(_ cpu: CPU, _ op: Operation, _ word: UInt16) -> Operation? {
  let shift = UInt64(bitPattern: op.pointee.imm & 3) &* 16
  let kept = cpu.get(op.pointee.dst, UInt64.self) & ~(0xFFFF << shift)
  return load(cpu, op, kept | UInt64(word) << shift)
}

private func insertWord(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  return insert(cpu, op, cpu.get(op.pointee.src, UInt16.self))
}

private func insertWordMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  guard let word = read(cpu, op, cpu.effectiveAddress(op), UInt16.self) else { return raise(cpu, op) }
  return insert(cpu, op, word)
}

private func extractWord(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  enterMMX(cpu)
  let shift = UInt64(bitPattern: op.pointee.imm & 3) &* 16
  cpu.set(op.pointee.dst, (cpu.get(op.pointee.src, UInt64.self) >> shift) & 0xFFFF)
  return next(cpu, op)
}

private func moveMask(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  enterMMX(cpu)
  let value = cpu.get(op.pointee.src, UInt64.self)
  var mask: UInt64 = 0
  for n in 0..<UInt64(8) { mask |= ((value >> (8 * n + 7)) & 1) << n }
  cpu.set(op.pointee.dst, mask)
  return next(cpu, op)
}

/// MASKMOVQ. All eight bytes are checked for writing, also with an empty mask (as measured on silicon).
private func storeMasked(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard mmxReady(cpu) else { return mmxBlocked(cpu, op) }
  let mask = cpu.get(op.pointee.src, UInt64.self)
  let address = cpu.effectiveAddress(op)
  guard let old = readForWrite(cpu, op, address, UInt64.self) else { return raise(cpu, op) }
  if mask & 0x8080_8080_8080_8080 != 0 {
    var select: UInt64 = 0
    for n in 0..<UInt64(8) where (mask >> (8 * n + 7)) & 1 != 0 { select |= 0xFF << (8 * n) }
    let value = old & ~select | cpu.get(op.pointee.dst, UInt64.self) & select
    guard write(cpu, op, address, value) else { return raise(cpu, op) }
  }
  enterMMX(cpu)
  return next(cpu, op)
}
