import CHost

// What handlers are written in: registers by byte offset, effective addresses, guest memory through the TLB, and the ways
// to leave. Invariants: `op` points into a live block and its offsets were made by the lowering, so they stay inside
// `pv_vcpu`; host pointers from the TLB are used at once.

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// Register at a byte offset into pv_vcpu (`op.dst`, `op.src` …; AH is RAX's offset + 1).
  @inline(__always) func get<T: FixedWidthInteger>(_ offset: UInt16, _: T.Type) -> T {
    UnsafeRawPointer(self).loadUnaligned(fromByteOffset: Int(offset), as: T.self)
  }

  /// Writes an integer register as the architecture does: 32-bit writes clear the upper half, 8- and 16-bit keep it.
  @inline(__always) func set<T: FixedWidthInteger & UnsignedInteger>(_ offset: UInt16, _ value: T) {
    if T.bitWidth == 32 {
      UnsafeMutableRawPointer(self).storeBytes(of: UInt64(truncatingIfNeeded: value), toByteOffset: Int(offset), as: UInt64.self)
    } else {
      UnsafeMutableRawPointer(self).storeBytes(of: value, toByteOffset: Int(offset), as: T.self)
    }
  }

  /// Host address of the state at a byte offset: vector, x87 and scratch registers.
  @inline(__always) func address(_ offset: UInt16) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(self) + Int(offset) }

  /// Linear address of the operation's memory operand.
  @inline(__always) func effectiveAddress(_ op: Operation) -> UInt64 {
    let o = op.pointee
    var a = get(o.base, UInt64.self) &+ (get(o.index, UInt64.self) &<< UInt64(o.scale)) &+ UInt64(bitPattern: o.disp)
    if o.flags & UInt16(PV_OP_ADDRESS32 | PV_OP_ADDRESS16) != 0 {
      a &= o.flags & UInt16(PV_OP_ADDRESS16) != 0 ? 0xFFFF : 0xFFFF_FFFF
      a = a &+ get(o.segbase, UInt64.self)
      return o.flags & UInt16(PV_OP_CODE64) != 0 ? a : a & 0xFFFF_FFFF
    }
    return a &+ get(o.segbase, UInt64.self)
  }

  /// The linear address the operation would have without its segment base (LEA).
  @inline(__always) func effectiveOffset(_ op: Operation) -> UInt64 {
    let o = op.pointee
    let a = get(o.base, UInt64.self) &+ (get(o.index, UInt64.self) &<< UInt64(o.scale)) &+ UInt64(bitPattern: o.disp)
    if o.flags & UInt16(PV_OP_ADDRESS32) != 0 { return a & 0xFFFF_FFFF }
    if o.flags & UInt16(PV_OP_ADDRESS16) != 0 { return a & 0xFFFF }
    return a
  }

  /// RIP of the operation itself, and of the next one.
  @inline(__always) func rip(of op: Operation) -> UInt64 { pointee.block_rip &+ UInt64(op.pointee.offset) }
  @inline(__always) func ripAfter(_ op: Operation) -> UInt64 {
    pointee.block_rip &+ UInt64(op.pointee.offset) &+ UInt64(op.pointee.length)
  }
}

// MARK: - Guest memory
//
// Each returns nil after it has recorded the fault (vector, error code, CR2); the handler then returns `raise(cpu, op)`.

/// Reads a `T` of guest memory at a linear address.
@inline(__always) func read<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _: T.Type) -> T? {
  if let host = pv_readable(cpu, linear, UInt64(MemoryLayout<T>.size)) {
    return host.loadUnaligned(as: T.self)
  }
  return readMissed(cpu, op, linear, T.self)
}

// The slow paths are functions of their own: a local variable whose address is taken would keep the handler's call of the next one
// from being a tail call.
@inline(never) private func readMissed<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _: T.Type) -> T? {
  var value: T = 0
  let done = withUnsafeMutableBytes(of: &value) { readSlow(cpu, op, linear, $0.baseAddress!, MemoryLayout<T>.size) }
  return done ? value : nil
}

@inline(never) private func writeMissed<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ value: T) -> Bool {
  withUnsafeBytes(of: value) { writeSlow(cpu, op, linear, $0.baseAddress!, MemoryLayout<T>.size) }
}

@inline(never) private func readForWriteMissed<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _: T.Type) -> T? {
  var value: T = 0
  let done = withUnsafeMutableBytes(of: &value) { readForWriteSlow(cpu, op, linear, $0.baseAddress!, MemoryLayout<T>.size) }
  return done ? value : nil
}

/// Writes a `T` of guest memory at a linear address. Nothing is written if any byte of it faults.
@inline(__always) func write<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ value: T) -> Bool {
  if let host = pv_writable(cpu, linear, UInt64(MemoryLayout<T>.size)) {
    host.storeBytes(of: value, as: T.self)
    return true
  }
  return writeMissed(cpu, op, linear, value)
}

/// Reads a `T` that the same instruction will write (read-modify-write): faults as a write does. The `write` that follows
/// at the same address then cannot fail, except where a page-table page refuses the value: check it too.
@inline(__always) func readForWrite<T: FixedWidthInteger>(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _: T.Type) -> T? {
  if let host = pv_writable(cpu, linear, UInt64(MemoryLayout<T>.size)) {
    return host.loadUnaligned(as: T.self)
  }
  return readForWriteMissed(cpu, op, linear, T.self)
}

/// Host address of `count` readable bytes: the page itself, or `buffer` filled where the operand crosses pages.
@inline(__always) func readBytes(
  _ cpu: CPU, _ op: Operation, _ linear: UInt64, _ count: Int, _ buffer: UnsafeMutableRawPointer
) -> UnsafeRawPointer? {
  if let host = pv_readable(cpu, linear, UInt64(truncatingIfNeeded: count)) {
    return UnsafeRawPointer(host)
  }
  return readSlow(cpu, op, linear, buffer, count) ? UnsafeRawPointer(buffer) : nil
}

/// Writes `count` bytes (at most 4096). Nothing is written if any byte of it faults.
@inline(__always) func writeBytes(_ cpu: CPU, _ op: Operation, _ linear: UInt64, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
  if let host = pv_writable(cpu, linear, UInt64(truncatingIfNeeded: count)) {
    host.copyMemory(from: bytes, byteCount: count)
    return true
  }
  return writeSlow(cpu, op, linear, bytes, count)
}

// MARK: - Ways on

/// Goes on with the next operation of the block.
@inline(__always) func next(_ cpu: CPU, _ op: Operation) -> Operation? {
  let following = op + 1
  return following.pointee.handler(cpu, following)
}

/// Leaves because a memory access recorded a fault: state is as before the instruction.
@inline(__always) func raise(_ cpu: CPU, _ op: Operation) -> Operation? {
  cpu.pointee.fault_op = op
  cpu.pointee.exit = UInt32(PV_EXIT_EXCEPTION)
  return nil
}

/// Raises an exception at this operation.
@inline(never) func raise(_ cpu: CPU, _ op: Operation, _ vector: Vector, _ errorCode: UInt32? = nil) -> Operation? {
  cpu.pointee.vector = vector.rawValue
  cpu.pointee.error_code = errorCode ?? 0
  cpu.pointee.has_error_code = errorCode == nil ? 0 : 1
  return raise(cpu, op)
}

/// Ends the block: goes on at `rip` through the run loop (for rare transfers: mode may have changed).
@inline(__always) func leave(_ cpu: CPU, _ rip: UInt64) -> Operation? {
  cpu.pointee.rip = rip
  cpu.pointee.exit = UInt32(PV_EXIT_NONE)
  return nil
}

/// Ends the block after this instruction with an exit for the platform (`PV_EXIT_SYSCALL` …); RIP is the next
/// instruction's.
@inline(__always) func leave(_ cpu: CPU, _ op: Operation, exit: UInt32) -> Operation? {
  cpu.pointee.rip = cpu.ripAfter(op)
  cpu.pointee.exit = exit
  return nil
}

/// Exception vectors, as the manual names them.
public enum Vector: UInt32, Sendable {
  case de = 0, db = 1, nmi = 2, bp = 3, of = 4, br = 5, ud = 6, nm = 7, df = 8, ts = 10, np = 11, ss = 12, gp = 13, pf = 14, mf = 16,
    ac = 17, mc = 18, xm = 19
}
