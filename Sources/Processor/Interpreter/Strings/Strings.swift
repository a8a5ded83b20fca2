import CHost
import X86

// MOVS, STOS, LODS, CMPS and SCAS, once or repeated.
//
// A repeated instruction costs a cycle, and one more for every iteration. Its iterations go as far as the budget does; then the
// counters hold what is left and the instruction is run again after the deadline's event. How far that is does not depend on
// what follows it in its block: the cycles paid for the block's rest are counted in, and given back if it is not reached.
//
// `op.dst` is the source's segment base and `op.src` the destination's, `op.base` unused.

func registerStrings(_ table: inout LoweringTable) {
  for (suffix, size) in [("b", 1), ("w", 2), ("d", 4), ("q", 8)] as [(String, UInt8)] {
    table.register("movs" + suffix) { i, op in
      prepareString(i, &op, size)
        && op.take(
          size, { stringMove($0, $1, UInt8.self) }, { stringMove($0, $1, UInt16.self) }, { stringMove($0, $1, UInt32.self) },
          { stringMove($0, $1, UInt64.self) })
    }
    table.register("stos" + suffix) { i, op in
      prepareString(i, &op, size)
        && op.take(
          size, { stringStore($0, $1, UInt8.self) }, { stringStore($0, $1, UInt16.self) }, { stringStore($0, $1, UInt32.self) },
          { stringStore($0, $1, UInt64.self) })
    }
    table.register("lods" + suffix) { i, op in
      prepareString(i, &op, size)
        && op.take(
          size, { stringLoad($0, $1, UInt8.self) }, { stringLoad($0, $1, UInt16.self) }, { stringLoad($0, $1, UInt32.self) },
          { stringLoad($0, $1, UInt64.self) })
    }
    table.register("cmps" + suffix) { i, op in
      prepareString(i, &op, size)
        && op.take(
          size, { stringCompare($0, $1, UInt8.self) }, { stringCompare($0, $1, UInt16.self) },
          { stringCompare($0, $1, UInt32.self) }, { stringCompare($0, $1, UInt64.self) })
    }
    table.register("scas" + suffix) { i, op in
      prepareString(i, &op, size)
        && op.take(
          size, { stringScan($0, $1, UInt8.self) }, { stringScan($0, $1, UInt16.self) }, { stringScan($0, $1, UInt32.self) },
          { stringScan($0, $1, UInt64.self) })
    }
  }
}

private func prepareString(_ i: Instruction, _ op: inout pv_op, _ size: UInt8) -> Bool {
  // SSE2 has a MOVSD and a CMPSD of its own.
  guard i.operandCount == 0 else { return false }
  op.size = size
  op.base = StateOffset.zero
  op.index = StateOffset.zero
  op.disp = 0
  op.dst = op.segbase
  op.src = op.isCode64 ? StateOffset.zero : StateOffset.segmentBase(0)
  return true
}

/// The pointers and the count of a string instruction, in the address size.
struct StringCursor {
  let mask: UInt64
  let code64: Bool
  let repeats: Bool
  let source: UInt64
  let destination: UInt64

  @inline(__always) init(_ cpu: CPU, _ op: Operation) {
    let flags = op.pointee.flags
    mask = flags & UInt16(PV_OP_ADDRESS32) != 0 ? 0xFFFF_FFFF : flags & UInt16(PV_OP_ADDRESS16) != 0 ? 0xFFFF : ~0
    code64 = flags & UInt16(PV_OP_CODE64) != 0
    repeats = flags & UInt16(PV_OP_REP | PV_OP_REPNE) != 0
    source = cpu.get(op.pointee.dst, UInt64.self)
    destination = cpu.get(op.pointee.src, UInt64.self)
  }

  @inline(__always) func count(_ cpu: CPU) -> UInt64 { cpu.rcx & mask }
  @inline(__always) func from(_ cpu: CPU) -> UInt64 { linear(cpu.rsi & mask, source) }
  @inline(__always) func to(_ cpu: CPU) -> UInt64 { linear(cpu.rdi & mask, destination) }
  @inline(__always) private func linear(_ offset: UInt64, _ base: UInt64) -> UInt64 {
    code64 ? offset &+ base : (offset &+ base) & 0xFFFF_FFFF
  }

  /// In 64-bit code a repetition with 32-bit addresses clears the upper half of RCX, also where it is 0 or the first iteration
  /// faults; MOVS and STOS clear those of their pointers too (as measured on silicon).
  @inline(__always) func narrowCount(_ cpu: CPU) {
    if code64 && mask == 0xFFFF_FFFF { cpu.rcx &= mask }
  }

  @inline(__always) static func narrowPointers(_ cpu: CPU, _ op: Operation, source: Bool) {
    let flags = op.pointee.flags
    let wanted = UInt16(PV_OP_ADDRESS32 | PV_OP_CODE64)
    guard flags & wanted == wanted, flags & UInt16(PV_OP_REP | PV_OP_REPNE) != 0 else { return }
    cpu.rdi &= 0xFFFF_FFFF
    if source { cpu.rsi &= 0xFFFF_FFFF }
  }

  /// `register` moved by `bytes` in the address size.
  @inline(__always) func moved(_ register: UInt64, _ bytes: Int64) -> UInt64 {
    let value = register &+ UInt64(bitPattern: bytes)
    if mask == 0xFFFF { return register & ~0xFFFF | value & 0xFFFF }
    return value & mask
  }
  @inline(__always) func moveSource(_ cpu: CPU, _ bytes: Int64) { cpu.rsi = moved(cpu.rsi, bytes) }
  @inline(__always) func moveDestination(_ cpu: CPU, _ bytes: Int64) { cpu.rdi = moved(cpu.rdi, bytes) }
  @inline(__always) func countDown(_ cpu: CPU, _ iterations: UInt64) { cpu.rcx = moved(cpu.rcx, 0 &- Int64(bitPattern: iterations)) }

  /// How many elements of `size` bytes from `offset` (RSI or RDI in the address size) on lie in its page and do not wrap: at
  /// least 1 unless the first itself crosses.
  @inline(__always) func run(_ linear: UInt64, _ offset: UInt64, _ size: UInt64, down: Bool) -> UInt64 {
    let inPage = linear & 4095
    if down {
      if inPage &+ size > 4096 { return 0 }
      let elements = inPage / size &+ 1
      return mask == ~0 ? elements : min(elements, (offset & mask) / size &+ 1)
    }
    let elements = (4096 &- inPage) / size
    return mask == ~0 ? elements : min(elements, (mask &- (offset & mask)) / size &+ 1)
  }
}

/// The budget of a repeated instruction.
struct StringBudget {
  /// Paid for operations that follow in the block.
  let rest: Int64

  @inline(__always) init(_ cpu: CPU, _ op: Operation) {
    let count = cpu.pointee.block.unsafelyUnwrapped.pointee.count
    rest = Int64(count) &- Int64(op.pointee.ordinal) &- 1
  }

  /// Iterations that may still run: at least one, so that a step or a deadline always makes progress.
  @inline(__always) func available(_ cpu: CPU) -> UInt64 { UInt64(max(cpu.pointee.budget &+ rest, 0)) }

  @inline(__always) func charge(_ cpu: CPU, _ iterations: UInt64) {
    cpu.pointee.budget &-= Int64(truncatingIfNeeded: iterations)
    cpu.pointee.extra_cycles &+= iterations
  }

  /// Leaves to run the instruction again.
  @inline(__always) func interrupted(_ cpu: CPU, _ op: Operation) -> Operation? {
    cpu.pointee.budget &+= rest
    return leave(cpu, cpu.rip(of: op))
  }

  /// Goes on behind the finished instruction, if the rest of the block still fits.
  @inline(__always) func finished(_ cpu: CPU, _ op: Operation) -> Operation? {
    if cpu.pointee.budget >= 0 { return next(cpu, op) }
    cpu.pointee.budget &+= rest
    return leave(cpu, cpu.ripAfter(op))
  }
}

@inline(__always) func stringStep<T>(_ cpu: CPU, _: T.Type) -> Int64 {
  let size = Int64(MemoryLayout<T>.size)
  return cpu.pointee.rflags & Flag.df != 0 ? 0 &- size : size
}
