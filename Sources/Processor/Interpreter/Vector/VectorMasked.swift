import CHost
import X86

// Masked loads and stores, and gathers: element by element, and what the mask leaves out is not touched.

// MARK: - VMASKMOV, VPMASKMOV

@inline(__always) private func maskedLoad<T: FixedWidthInteger & UnsignedInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let size = MemoryLayout<T>.size
  let bytes = Int(op.pointee.size)
  let mask = cpu.address(op.pointee.src)
  let base = cpu.effectiveAddress(op)
  let scratch = cpu.address(StateOffset.scratch)
  scratch.storeBytes(of: V256(), as: V256.self)
  var at = 0
  while at < bytes {
    if mask.loadUnaligned(fromByteOffset: at, as: T.self).leadingZeroBitCount == 0 {
      guard let value = read(cpu, op, base &+ UInt64(at), T.self) else { return raise(cpu, op) }
      scratch.storeBytes(of: value, toByteOffset: at, as: T.self)
    }
    at &+= size
  }
  cpu.address(op.pointee.dst).storeBytes(of: scratch.loadUnaligned(as: V256.self), as: V256.self)
  return next(cpu, op)
}

@inline(__always) private func maskedStore<T: FixedWidthInteger & UnsignedInteger>(_ cpu: CPU, _ op: Operation, _: T.Type) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let size = MemoryLayout<T>.size
  let bytes = Int(op.pointee.size)
  let mask = cpu.address(op.pointee.src)
  let source = cpu.address(op.pointee.src2)
  let base = cpu.effectiveAddress(op)
  // Nothing is stored if any element faults: those on a second page are looked at first.
  var at = 0
  while at < bytes {
    if mask.loadUnaligned(fromByteOffset: at, as: T.self).leadingZeroBitCount == 0 {
      guard readForWrite(cpu, op, base &+ UInt64(at), T.self) != nil else { return raise(cpu, op) }
    }
    at &+= size
  }
  at = 0
  while at < bytes {
    if mask.loadUnaligned(fromByteOffset: at, as: T.self).leadingZeroBitCount == 0 {
      let value = source.loadUnaligned(fromByteOffset: at, as: T.self)
      guard write(cpu, op, base &+ UInt64(at), value) else { return raise(cpu, op) }
    }
    at &+= size
  }
  return next(cpu, op)
}

private func lowerMaskedMove(_ instruction: Instruction, _ op: inout pv_op, quadwords: Bool) -> Bool {
  op.size = instruction.vectorLength
  if instruction.operand(0).kind == .memory {
    op.handler = quadwords ? { cpu, op in maskedStore(cpu, op, UInt64.self) } : { cpu, op in maskedStore(cpu, op, UInt32.self) }
  } else {
    op.handler = quadwords ? { cpu, op in maskedLoad(cpu, op, UInt64.self) } : { cpu, op in maskedLoad(cpu, op, UInt32.self) }
  }
  return instruction.vectorLength > 0
}

// MARK: - MASKMOVDQU

/// Stores bytes of operand 0 at RDI where operand 1's bytes have their sign.
private func maskedByteStore(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  let source = cpu.address(op.pointee.dst)
  let mask = cpu.address(op.pointee.src)
  let base = cpu.effectiveAddress(op)
  // Both halves are checked whatever the mask, the upper first (as measured on silicon).
  guard readForWrite(cpu, op, base &+ 8, UInt64.self) != nil else { return raise(cpu, op) }
  guard readForWrite(cpu, op, base, UInt64.self) != nil else { return raise(cpu, op) }
  for i in 0..<16 where mask.load(fromByteOffset: i, as: UInt8.self) & 0x80 != 0 {
    guard write(cpu, op, base &+ UInt64(i), source.load(fromByteOffset: i, as: UInt8.self)) else { return raise(cpu, op) }
  }
  return next(cpu, op)
}

private func lowerByteStore(_ instruction: Instruction, _ op: inout pv_op) -> Bool {
  op.extra = instruction.vectorNeed
  op.base = StateOffset.general(7)
  op.index = StateOffset.zero
  op.disp = 0
  op.handler = { cpu, op in maskedByteStore(cpu, op) }
  return true
}

// MARK: - Gathers

/// Elements `T` at base + index << scale, for indices `I`. An element is done when its mask is cleared, so a fault leaves the
/// rest to be done when the instruction is restarted. `op.data` is the number of elements, `op.src` the index register,
/// `op.src2` the mask.
@inline(__always) private func gather<T: FixedWidthInteger & UnsignedInteger, I: FixedWidthInteger & SignedInteger>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: I.Type
) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let d = cpu.address(op.pointee.dst)
  let mask = cpu.address(op.pointee.src2)
  let index = cpu.address(op.pointee.src)
  let count = Int(truncatingIfNeeded: op.pointee.data)
  let size = MemoryLayout<T>.size
  let segment = cpu.get(op.pointee.segbase, UInt64.self)
  let base = cpu.get(op.pointee.base, UInt64.self) &+ UInt64(bitPattern: op.pointee.disp)
  let truncated = op.pointee.flags & UInt16(PV_OP_ADDRESS32) != 0
  // What stays of a mask element is its sign, spread: an element half done is not seen.
  for i in 0..<count {
    let sign = mask.loadUnaligned(fromByteOffset: i &* size, as: T.self).leadingZeroBitCount == 0
    mask.storeBytes(of: sign ? T.max : 0, toByteOffset: i &* size, as: T.self)
  }
  for i in 0..<count where mask.loadUnaligned(fromByteOffset: i &* size, as: T.self) != 0 {
    let offset = index.loadUnaligned(fromByteOffset: i &* MemoryLayout<I>.size, as: I.self)
    var address = base &+ (UInt64(truncatingIfNeeded: offset) &<< UInt64(op.pointee.scale))
    if truncated { address &= 0xFFFF_FFFF }
    address = address &+ segment
    if op.pointee.flags & UInt16(PV_OP_CODE64) == 0 { address &= 0xFFFF_FFFF }
    guard let value = read(cpu, op, address, T.self) else { return raise(cpu, op) }
    d.storeBytes(of: value, toByteOffset: i &* size, as: T.self)
    mask.storeBytes(of: 0, toByteOffset: i &* size, as: T.self)
  }
  // The whole mask ends up zero, and so does what is above the elements.
  mask.storeBytes(of: V256(), as: V256.self)
  let used = count &* size
  if used < 16 { d.storeBytes(of: 0, toByteOffset: 8, as: UInt64.self) }
  if used < 32 { clearUpper(d) }
  return next(cpu, op)
}

/// `elementBytes` and `indexBytes` are 4 or 8.
private func lowerGather(_ instruction: Instruction, _ op: inout pv_op, _ elementBytes: Int, _ indexBytes: Int) -> Bool {
  guard instruction.operand(1).kind == .memory, instruction.index >= 0 else { return false }
  let d = instruction.operand(0).register
  let mask = instruction.operand(2).register
  // The three registers must differ.
  if d == mask || UInt8(truncatingIfNeeded: Int(instruction.index)) == d || UInt8(truncatingIfNeeded: Int(instruction.index)) == mask {
    return false
  }
  op.data = UInt64(Int(instruction.vectorLength) / max(elementBytes, indexBytes))
  op.src = StateOffset.vector(Int(instruction.index) & 15)
  op.index = StateOffset.zero
  switch (elementBytes, indexBytes) {
  case (4, 4): op.handler = { cpu, op in gather(cpu, op, UInt32.self, Int32.self) }
  case (8, 4): op.handler = { cpu, op in gather(cpu, op, UInt64.self, Int32.self) }
  case (4, 8): op.handler = { cpu, op in gather(cpu, op, UInt32.self, Int64.self) }
  default: op.handler = { cpu, op in gather(cpu, op, UInt64.self, Int64.self) }
  }
  return instruction.vectorLength > 0
}

func registerVectorMasked(_ table: inout LoweringTable) {
  table.register("vmaskmovps", "vpmaskmovd") { lowerMaskedMove($0, &$1, quadwords: false) }
  table.register("vmaskmovpd", "vpmaskmovq") { lowerMaskedMove($0, &$1, quadwords: true) }
  table.register("maskmovdqu", "vmaskmovdqu") { lowerByteStore($0, &$1) }
  table.register("vpgatherdd", "vgatherdps") { lowerGather($0, &$1, 4, 4) }
  table.register("vpgatherdq", "vgatherdpd") { lowerGather($0, &$1, 8, 4) }
  table.register("vpgatherqd", "vgatherqps") { lowerGather($0, &$1, 4, 8) }
  table.register("vpgatherqq", "vgatherqpd") { lowerGather($0, &$1, 8, 8) }
}
