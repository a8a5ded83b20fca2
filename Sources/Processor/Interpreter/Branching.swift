import CHost

// How one block follows another. The budget is charged for a whole block when it is entered; a block that does not fit is
// left to the run loop, which runs just the part that does.

/// Enters a block at a linear address.
@inline(__always) private func enter(_ cpu: CPU, _ block: UnsafeMutablePointer<pv_block>, _ rip: UInt64) -> Operation? {
  let budget = cpu.pointee.budget &- Int64(block.pointee.count)
  if budget < 0 || cpu.pointee.native_enabled != 0 { return leave(cpu, rip) }
  cpu.pointee.budget = budget
  cpu.pointee.block_rip = rip
  cpu.pointee.block = block
  return block.pointee.ops
}

/// Ends the block at a direct branch's target (`op.imm` from the block's first byte).
@inline(__always) func branchTaken(_ cpu: CPU, _ op: Operation) -> Operation? {
  let target = cpu.pointee.block_rip &+ UInt64(bitPattern: op.pointee.imm)
  if let block = op.pointee.link0, block.pointee.valid != 0 { return enter(cpu, block, target) }
  return branchSlow(cpu, op, target, taken: true)
}

/// Ends the block at the next instruction.
@inline(__always) func branchNotTaken(_ cpu: CPU, _ op: Operation) -> Operation? {
  let target = cpu.ripAfter(op)
  if let block = op.pointee.link1, block.pointee.valid != 0 { return enter(cpu, block, target) }
  return branchSlow(cpu, op, target, taken: false)
}

/// The decoded block at a key.
@inline(__always) private func findBlock(_ cpu: CPU, _ key: UInt64) -> UnsafeMutablePointer<pv_block>? {
  var candidate = cpu.pointee.block_table[BlockCache.bucket(key)]
  while let block = candidate {
    if block.pointee.key == key { return block }
    candidate = block.pointee.next
  }
  return nil
}

/// Ends the block at a computed target, which is checked.
@inline(__always) func jumpIndirect(_ cpu: CPU, _ op: Operation, _ target: UInt64) -> Operation? {
  var target = target
  if cpu.pointee.mode != 0 {
    target &= 0xFFFF_FFFF
  } else {
    let top = Int64(bitPattern: target) >> 47
    if top != 0 && top != -1 { return raise(cpu, op, .gp, 0) }
  }
  let entry = TranslationSets.fetch(cpu.pointee.tlb) + Int(truncatingIfNeeded: (target >> 12) & UInt64(TranslationSets.fetchSlots - 1))
  guard entry.pointee.tag == target & ~4095 else { return leave(cpu, target) }
  let key = UInt64(entry.pointee.frame) << 12 | target & 4095 | UInt64(cpu.pointee.mode) << 56
  guard let block = findBlock(cpu, key) else { return leave(cpu, target) }
  return enter(cpu, block, target)
}

/// A direct branch that is not linked yet, or leaves the page.
@inline(never) private func branchSlow(_ cpu: CPU, _ op: Operation, _ target: UInt64, taken: Bool) -> Operation? {
  var target = target
  if cpu.pointee.mode != 0 { target &= 0xFFFF_FFFF }
  let running = cpu.pointee.block!
  if (target ^ cpu.pointee.block_rip) >> 12 == 0 && running.pointee.valid != 0 && !VCPU.with(cpu, { running == $0.blocks.single }) {
    let mode = running.pointee.key >> 56
    let address = running.pointee.key & ~(UInt64(0xFF) << 56) & ~4095 | target & 4095
    if let block = findBlock(cpu, address | mode << 56) {
      if taken { op.pointee.link0 = block } else { op.pointee.link1 = block }
      return enter(cpu, block, target)
    }
    return leave(cpu, target)
  }
  return jumpIndirect(cpu, op, target)
}
