import CHost
import X86

// BSF, BSR, LZCNT, TZCNT, POPCNT.
//
// Undefined flags as silicon leaves them: BSF and BSR clear CF, OF, SF and AF, and PF is the parity of the index (of 0 where
// the source is 0, when the destination keeps all 64 bits); LZCNT and TZCNT clear OF, SF, AF and PF.

func registerScans(_ table: inout LoweringTable) {
  table.register("bsf") { i, op in
    source(
      i, &op, { scanR($0, $1, UInt16.self, ScanForward.self) }, { scanR($0, $1, UInt32.self, ScanForward.self) },
      { scanR($0, $1, UInt64.self, ScanForward.self) }, { scanM($0, $1, UInt16.self, ScanForward.self) },
      { scanM($0, $1, UInt32.self, ScanForward.self) }, { scanM($0, $1, UInt64.self, ScanForward.self) })
  }
  table.register("bsr") { i, op in
    source(
      i, &op, { scanR($0, $1, UInt16.self, ScanReverse.self) }, { scanR($0, $1, UInt32.self, ScanReverse.self) },
      { scanR($0, $1, UInt64.self, ScanReverse.self) }, { scanM($0, $1, UInt16.self, ScanReverse.self) },
      { scanM($0, $1, UInt32.self, ScanReverse.self) }, { scanM($0, $1, UInt64.self, ScanReverse.self) })
  }
  table.register("tzcnt") { i, op in
    source(
      i, &op, { scanR($0, $1, UInt16.self, CountTrailing.self) }, { scanR($0, $1, UInt32.self, CountTrailing.self) },
      { scanR($0, $1, UInt64.self, CountTrailing.self) }, { scanM($0, $1, UInt16.self, CountTrailing.self) },
      { scanM($0, $1, UInt32.self, CountTrailing.self) }, { scanM($0, $1, UInt64.self, CountTrailing.self) })
  }
  table.register("lzcnt") { i, op in
    source(
      i, &op, { scanR($0, $1, UInt16.self, CountLeading.self) }, { scanR($0, $1, UInt32.self, CountLeading.self) },
      { scanR($0, $1, UInt64.self, CountLeading.self) }, { scanM($0, $1, UInt16.self, CountLeading.self) },
      { scanM($0, $1, UInt32.self, CountLeading.self) }, { scanM($0, $1, UInt64.self, CountLeading.self) })
  }
  table.register("popcnt") { i, op in
    source(
      i, &op, { scanR($0, $1, UInt16.self, CountBits.self) }, { scanR($0, $1, UInt32.self, CountBits.self) },
      { scanR($0, $1, UInt64.self, CountBits.self) }, { scanM($0, $1, UInt16.self, CountBits.self) },
      { scanM($0, $1, UInt32.self, CountBits.self) }, { scanM($0, $1, UInt64.self, CountBits.self) })
  }
}

private func source(
  _ i: Instruction, _ op: inout pv_op, _ r16: pv_handler, _ r32: pv_handler, _ r64: pv_handler, _ m16: pv_handler, _ m32: pv_handler,
  _ m64: pv_handler
) -> Bool {
  i.operands.1.kind == .memory ? op.take(i.operands.0.size, nil, m16, m32, m64) : op.take(i.operands.0.size, nil, r16, r32, r64)
}

/// Sets flags; nil leaves the destination as it was.
private protocol Scan {
  static func scan<T: MachineWord>(_ cpu: CPU, _ value: T) -> T?
}

private enum ScanForward: Scan {
  @inline(__always) static func scan<T: MachineWord>(_ cpu: CPU, _ value: T) -> T? { found(cpu, value, value.trailingZeroBitCount) }
}
private enum ScanReverse: Scan {
  @inline(__always) static func scan<T: MachineWord>(_ cpu: CPU, _ value: T) -> T? {
    found(cpu, value, T.bitWidth &- 1 &- value.leadingZeroBitCount)
  }
}
private enum CountTrailing: Scan {
  @inline(__always) static func scan<T: MachineWord>(_ cpu: CPU, _ value: T) -> T? { counted(cpu, value, value.trailingZeroBitCount) }
}
private enum CountLeading: Scan {
  @inline(__always) static func scan<T: MachineWord>(_ cpu: CPU, _ value: T) -> T? { counted(cpu, value, value.leadingZeroBitCount) }
}
private enum CountBits: Scan {
  @inline(__always) static func scan<T: MachineWord>(_ cpu: CPU, _ value: T) -> T? {
    let result = T(truncatingIfNeeded: value.nonzeroBitCount)
    cpu.setFlagsWithoutParity(result, carry: false)
    return result
  }
}

@inline(__always) private func found<T: MachineWord>(_ cpu: CPU, _ value: T, _ index: Int) -> T? {
  cpu.pointee.lazy_aux = 0
  guard value != 0 else {
    cpu.pointee.lazy_result = 0
    return nil
  }
  // Bit 8 keeps ZF clear for index 0.
  cpu.pointee.lazy_result = UInt64(truncatingIfNeeded: index) | 0x100
  return T(truncatingIfNeeded: index)
}

@inline(__always) private func counted<T: MachineWord>(_ cpu: CPU, _ value: T, _ count: Int) -> T? {
  let result = T(truncatingIfNeeded: count)
  cpu.setFlagsWithoutParity(result, carry: value == 0)
  return result
}

@inline(__always) private func scanR<T: MachineWord, S: Scan>(_ cpu: CPU, _ op: Operation, _: T.Type, _: S.Type) -> Operation? {
  if let result = S.scan(cpu, cpu.get(op.pointee.src, T.self)) { cpu.set(op.pointee.dst, result) }
  return next(cpu, op)
}

@inline(__always) private func scanM<T: MachineWord, S: Scan>(_ cpu: CPU, _ op: Operation, _: T.Type, _: S.Type) -> Operation? {
  guard let value = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  if let result = S.scan(cpu, value) { cpu.set(op.pointee.dst, result) }
  return next(cpu, op)
}
