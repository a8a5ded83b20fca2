import CHost
import X86

/// What general-purpose arithmetic is done in.
typealias MachineWord = FixedWidthInteger & UnsignedInteger

/// Where an instruction's first two operands are.
enum Form {
  case rr, ri, rm, mr, mi
  /// One operand.
  case r, m
  case other

  init(_ instruction: Instruction) {
    let a = instruction.operands.0.kind
    let b = instruction.operands.1.kind
    let aRegister = a == .general || a == .generalHigh
    let bRegister = b == .general || b == .generalHigh
    switch (aRegister, a == .memory) {
    case (true, _):
      self = bRegister ? .rr : b == .immediate ? .ri : b == .memory ? .rm : b == .none ? .r : .other
    case (_, true):
      self = bRegister ? .mr : b == .immediate ? .mi : b == .none ? .m : .other
    default: self = .other
    }
  }
}

extension pv_op {
  /// Takes the handler for an operand size in bytes; false where there is none.
  @inline(__always) mutating func take(
    _ size: UInt8, _ byte: pv_handler?, _ word: pv_handler?, _ double: pv_handler?, _ quad: pv_handler?
  ) -> Bool {
    switch size {
    case 1: return take(byte)
    case 2: return take(word)
    case 4: return take(double)
    case 8: return take(quad)
    default: return false
    }
  }

  @inline(__always) mutating func take(_ handler: pv_handler?) -> Bool {
    guard let handler else { return false }
    self.handler = handler
    return true
  }

  /// Takes a handler after which nothing of this block runs.
  @inline(__always) mutating func takeLast(_ handler: pv_handler?) -> Bool {
    flags |= UInt16(PV_OP_ENDS_BLOCK)
    return take(handler)
  }

  /// Takes the first handler if so, else the second, after either of which nothing of this block runs.
  mutating func takeLast(_ first: Bool, _ a: pv_handler, _ b: pv_handler) -> Bool { takeLast(first ? a : b) }

  var isCode64: Bool { flags & UInt16(PV_OP_CODE64) != 0 }
}

// MARK: - Memory operands in fast paths
//
// A handler that calls a slow path and then goes on cannot end in a tail call that keeps its frame small: so the fast path
// asks the TLB only, and a miss goes, in tail position, to a second copy of the handler that may call.

/// Host address of a readable `T` that the TLB has in one page, or nil.
@inline(__always) func readable<T>(_ cpu: CPU, _ linear: UInt64, _: T.Type) -> UnsafeMutableRawPointer? {
  pv_readable(cpu, linear, UInt64(MemoryLayout<T>.size))
}

/// Host address of a writable `T` that the TLB has in one page, or nil.
@inline(__always) func writable<T>(_ cpu: CPU, _ linear: UInt64, _: T.Type) -> UnsafeMutableRawPointer? {
  pv_writable(cpu, linear, UInt64(MemoryLayout<T>.size))
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// The operation's immediate as a `T`.
  @inline(__always) func immediate<T: MachineWord>(_ op: Operation, _: T.Type) -> T { T(truncatingIfNeeded: op.pointee.imm) }

  /// Linear address of the memory operand displaced by `offset` bytes (bit strings).
  @inline(__always) func effectiveAddress(_ op: Operation, plus offset: UInt64) -> UInt64 {
    let flags = op.pointee.flags
    let base = get(op.pointee.segbase, UInt64.self)
    if flags & UInt16(PV_OP_ADDRESS32 | PV_OP_ADDRESS16) == 0 { return effectiveAddress(op) &+ offset }
    let mask: UInt64 = flags & UInt16(PV_OP_ADDRESS16) != 0 ? 0xFFFF : 0xFFFF_FFFF
    let linear = ((effectiveOffset(op) &+ offset) & mask) &+ base
    return flags & UInt16(PV_OP_CODE64) != 0 ? linear : linear & 0xFFFF_FFFF
  }

  /// RAX, RCX … by number.
  @inline(__always) func general(_ number: Int) -> UInt64 { get(UInt16(truncatingIfNeeded: number &* 8), UInt64.self) }

  @inline(__always) var rax: UInt64 {
    get { pointee.gpr.0 }
    nonmutating set { pointee.gpr.0 = newValue }
  }
  @inline(__always) var rcx: UInt64 {
    get { pointee.gpr.1 }
    nonmutating set { pointee.gpr.1 = newValue }
  }
  @inline(__always) var rdx: UInt64 {
    get { pointee.gpr.2 }
    nonmutating set { pointee.gpr.2 = newValue }
  }
  @inline(__always) var rbx: UInt64 {
    get { pointee.gpr.3 }
    nonmutating set { pointee.gpr.3 = newValue }
  }
  @inline(__always) var rsp: UInt64 {
    get { pointee.gpr.4 }
    nonmutating set { pointee.gpr.4 = newValue }
  }
  @inline(__always) var rbp: UInt64 {
    get { pointee.gpr.5 }
    nonmutating set { pointee.gpr.5 = newValue }
  }
  @inline(__always) var rsi: UInt64 {
    get { pointee.gpr.6 }
    nonmutating set { pointee.gpr.6 = newValue }
  }
  @inline(__always) var rdi: UInt64 {
    get { pointee.gpr.7 }
    nonmutating set { pointee.gpr.7 = newValue }
  }

  /// CF, OF from the arguments, AF 0, ZF, SF and PF from the result.
  @inline(__always) func setFlags<T: MachineWord>(_ result: T, carry: Bool, overflow: Bool) {
    let c: UInt64 = carry ? 1 : 0
    let o: UInt64 = overflow ? 1 : 0
    pointee.lazy_result = signExtended(result)
    pointee.lazy_aux = c << 63 | (c ^ o) << 62
  }

  /// CF from the argument, ZF and SF from the result, OF, AF and PF 0: how the bit-manipulation extensions leave them.
  @inline(__always) func setFlagsWithoutParity<T: MachineWord>(_ result: T, carry: Bool) {
    let wide = signExtended(result)
    pointee.lazy_result = wide
    pointee.lazy_aux = (carry ? 3 << 62 : 0) | ((wide & 0xFF) ^ 1) << 8
  }
}
