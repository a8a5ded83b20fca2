import CHost
import X86

// String instructions in segments that are not flat. One whose elements are all inside runs as it is; another runs as far as it may,
// and what is left of it is looked at again.

/// Puts the check before a string operation. `dst` and `src` are the segments of the source and the destination.
func checkString(_ op: inout pv_op, _ i: Instruction) {
  let name = i.mnemonic.name
  let hasSource = name.hasPrefix("movs") || name.hasPrefix("lods") || name.hasPrefix("cmps")
  let hasDestination = !name.hasPrefix("lods")
  let writes = name.hasPrefix("movs") || name.hasPrefix("stos")
  op.disp = Int64(bitPattern: UInt64(UInt(bitPattern: unsafeBitCast(op.handler, to: UnsafeRawPointer.self))))
  // What it touches: bit 0 the source, bit 1 the destination, bit 2 that it writes there, bit 3 that it compares.
  let compares = name.hasPrefix("cmps") || name.hasPrefix("scas")
  op.extra = (hasSource ? 1 : 0) | (hasDestination ? 2 : 0) | (writes ? 4 : 0) | (compares ? 8 : 0)
  op.handler = checkedString
}

/// A string operation that runs by itself: a copy of it, and behind it what hands itself back.
func makeLimitedString() -> Operation {
  let operation = Operation.allocate(capacity: 2)
  operation.initialize(repeating: pv_op.blank, count: 2)
  operation[1].handler = { _, op in op }
  return operation
}

extension pv_op {
  fileprivate var unchecked: pv_handler {
    unsafeBitCast(UnsafeRawPointer(bitPattern: UInt(truncatingIfNeeded: UInt64(bitPattern: disp))), to: pv_handler.self)
  }
}

/// How many elements from `offset` on lie in a segment before the offset wraps: 0 if the first does not.
private func elementsInside(
  _ cpu: CPU, _ segment: UInt16, _ offset: UInt64, _ size: UInt64, _ mask: UInt64, down: Bool, write: Bool
) -> UInt64 {
  if !segmentAllows(cpu, segment, offset, size, write: write) { return 0 }
  let place = cpu.address(segment).assumingMemoryBound(to: pv_segment.self)
  let expandsDown = !cpu.hasParagraphs && place.pointee.expandsDown
  let limit = UInt64(place.pointee.limit)
  if down {
    let lowest = expandsDown ? limit &+ 1 : 0
    return (offset &- min(lowest, offset)) / size &+ 1
  }
  let highest = min(expandsDown ? 0xFFFF_FFFF : limit, mask)
  // The first is inside, even where its end is beyond what the address size reaches.
  return offset &+ size > highest ? 1 : (highest &- (offset &+ size &- 1)) / size &+ 1
}

private func checkedString(_ cpu: CPU, _ op: Operation) -> Operation? {
  let flags = op.pointee.flags
  let mask: UInt64 = flags & UInt16(PV_OP_ADDRESS16) != 0 ? 0xFFFF : 0xFFFF_FFFF
  let repeats = flags & UInt16(PV_OP_REP | PV_OP_REPNE) != 0
  let count = repeats ? cpu.rcx & mask : 1
  if count == 0 { return op.pointee.unchecked(cpu, op) }
  let size = UInt64(op.pointee.size)
  let down = cpu.pointee.rflags & Flag.df != 0
  var inside = count
  if op.pointee.extra & 1 != 0 {
    inside = min(inside, elementsInside(cpu, op.pointee.dst, cpu.rsi & mask, size, mask, down: down, write: false))
    if inside == 0 { return raiseSegment(cpu, op, op.pointee.dst) }
  }
  if op.pointee.extra & 2 != 0 {
    inside = min(inside, elementsInside(cpu, op.pointee.src, cpu.rdi & mask, size, mask, down: down, write: op.pointee.extra & 4 != 0))
    if inside == 0 { return raiseSegment(cpu, op, op.pointee.src) }
  }
  if inside == count { return op.pointee.unchecked(cpu, op) }
  return runPart(cpu, op, inside, of: count, mask)
}

/// Runs `inside` of a repetition's `count` iterations, and comes back to the instruction for the others.
@inline(never) private func runPart(_ cpu: CPU, _ op: Operation, _ inside: UInt64, of count: UInt64, _ mask: UInt64) -> Operation? {
  let part = VCPU.with(cpu) { $0.limitedString }
  part.pointee = op.pointee
  part.pointee.handler = op.pointee.unchecked
  let held = count &- inside
  func setCount(_ value: UInt64) { cpu.rcx = mask == 0xFFFF ? cpu.rcx & ~0xFFFF | value & mask : value & mask }
  setCount(inside)
  let following = part.pointee.handler(cpu, part)
  let left = (cpu.rcx & mask) &+ held
  setCount(left)
  // A fault or the deadline: the instruction is not over.
  guard following != nil else {
    if cpu.pointee.exit == UInt32(PV_EXIT_NONE) && cpu.pointee.rip != cpu.rip(of: op) { cpu.pointee.rip = resumed(cpu, op, left) }
    return nil
  }
  let compares = op.pointee.extra & 8 != 0
  let ended = compares && cpu.zf == (op.pointee.flags & UInt16(PV_OP_REPNE) != 0)
  if ended { return next(cpu, op) }
  let block = cpu.pointee.block.unsafelyUnwrapped
  cpu.pointee.budget &+= Int64(block.pointee.count) &- Int64(op.pointee.ordinal) &- 1
  return leave(cpu, cpu.rip(of: op))
}

/// Where a part that ended with the budget goes on: behind the instruction only if a comparison ended it.
private func resumed(_ cpu: CPU, _ op: Operation, _ left: UInt64) -> UInt64 {
  let compares = op.pointee.extra & 8 != 0
  let ended = compares && cpu.zf == (op.pointee.flags & UInt16(PV_OP_REPNE) != 0)
  return left == 0 || ended ? cpu.ripAfter(op) : cpu.rip(of: op)
}
