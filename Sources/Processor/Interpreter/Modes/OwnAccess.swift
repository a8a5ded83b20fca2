import CHost

// Memory that the processor reads and writes on its own behalf: descriptor tables, task states, the stacks that it switches to. These
// accesses are the supervisor's at every privilege level (SDM volume 3, 4.6.1).
//
// They go through the same accesses as an instruction's, so that whatever those know of (devices, page tables, code) holds here too.

/// An operation that no block has, for accesses that belong to none. Its number is beyond any block's, so nothing behind it is changed
/// when the store drops code; there is a second one all the same.
private func makeOperation(stack: Bool) -> Operation {
  let operation = Operation.allocate(capacity: 2)
  operation.initialize(repeating: pv_op.blank, count: 2)
  operation.pointee.ordinal = UInt16.max
  operation.pointee.flags = stack ? UInt16(PV_OP_STACK_SEGMENT) : 0
  return operation
}

nonisolated(unsafe) private let systemOperation = makeOperation(stack: false)
nonisolated(unsafe) private let stackOperation = makeOperation(stack: true)

extension VCPU {
  /// Runs `body` with the supervisor's view of memory.
  @inline(__always) func asSupervisor<R>(_ body: () throws(SegmentFault) -> R) throws(SegmentFault) -> R {
    let cpl = cpu.pointee.cpl
    guard cpl == 3 else { return try body() }
    setPrivilege(0)
    defer { setPrivilege(cpl) }
    return try body()
  }

  /// What the access that failed recorded.
  private var recorded: SegmentFault {
    let vector = Vector(rawValue: cpu.pointee.vector) ?? .gp
    return SegmentFault(vector, cpu.pointee.error_code, linear: vector == .pf ? cpu.pointee.cr2 : nil)
  }

  /// An access to a table or a task state: SMAP counts for it whatever RFLAGS.AC says (SDM volume 3, 4.6.1).
  @inline(__always) private func implicitly<R>(_ body: () -> R) -> R { cpu.isExcused ? withoutExcuse(body) : body() }

  @inline(never) private func withoutExcuse<R>(_ body: () -> R) -> R {
    cpu.pointee.rflags &= ~Flag.ac
    selectTranslations()
    defer {
      cpu.pointee.rflags |= Flag.ac
      selectTranslations()
    }
    return body()
  }

  /// Reads a table or a task state at a linear address with the rights of CPL.
  func systemRead<T: FixedWidthInteger & UnsignedInteger>(_ linear: UInt64, as: T.Type = T.self) throws(SegmentFault) -> T {
    guard let value = implicitly({ read(cpu, systemOperation, wrapped(linear), T.self) }) else { throw recorded }
    return value
  }

  /// Writes at a linear address with the rights of CPL; what goes to the stack is the program's own access.
  func systemWrite<T: FixedWidthInteger & UnsignedInteger>(_ linear: UInt64, _ value: T, stack: Bool = false) throws(SegmentFault) {
    let done =
      stack
      ? write(cpu, stackOperation, wrapped(linear), value) : implicitly { write(cpu, systemOperation, wrapped(linear), value) }
    guard done else { throw recorded }
  }

  /// Whether a write to a table or a task state would fault, without writing.
  func systemProbe(_ linear: UInt64) throws(SegmentFault) {
    guard implicitly({ readForWrite(cpu, systemOperation, wrapped(linear), UInt8.self) }) != nil else { throw recorded }
  }

  /// Outside IA-32e mode linear addresses have 32 bits.
  @inline(__always) private func wrapped(_ linear: UInt64) -> UInt64 { cpu.longMode ? linear : linear & 0xFFFF_FFFF }
}
