import CHost

// The state that SSE and AVX operations depend on besides registers: who may use them, and MXCSR.
//
// CR0, CR4, XCR0 and MXCSR change rarely, and what they allow is condensed in `vector_ready`: an operation tests its bits in
// one load and branch. Whoever changes one of the four clears the field (or calls `refreshVectorState`); an operation that
// finds a bit clear looks at the registers themselves.
//
// While guest code runs, the host's MXCSR holds the guest's rounding, DAZ and FTZ bits with every exception masked, and
// collects the guest's flags; `mxcsr` in the state is exact after `syncMXCSR`.

let readySSE = UInt8(PV_VECTOR_SSE)
let readyAVX = UInt8(PV_VECTOR_AVX)
let readyMasked = UInt8(PV_VECTOR_MASKED)

enum MXCSR {
  static let flags: UInt32 = 0x3F
  static let daz: UInt32 = 0x40
  static let masks: UInt32 = 0x1F80
  static let ftz: UInt32 = 0x8000
  static let initial: UInt32 = 0x1F80
  /// Bits that may be set; LDMXCSR of another is #GP(0).
  static let writable: UInt32 = 0xFFFF
}

/// Condenses CR0, CR4, XCR0 and MXCSR into `vector_ready`.
public func refreshVectorState(_ cpu: CPU) {
  var ready: UInt32 = 0
  if cpu.pointee.cr0 & 0xC == 0 && cpu.pointee.cr4 & 0x200 != 0 { ready |= UInt32(PV_VECTOR_SSE) }
  if cpu.pointee.cr0 & 8 == 0 && cpu.pointee.cr4 & 0x40000 != 0 && cpu.pointee.xcr0 & 6 == 6 { ready |= UInt32(PV_VECTOR_AVX) }
  if cpu.pointee.mxcsr & MXCSR.masks == MXCSR.masks { ready |= UInt32(PV_VECTOR_MASKED) }
  cpu.pointee.vector_ready = ready
}

/// Call before guest code runs: gives the host's floating point the guest's modes.
public func vectorStateEnter(_ cpu: CPU) {
  refreshVectorState(cpu)
  loadMXCSR(cpu)
}

/// Call after guest code ran: brings the guest's exception flags and x87 state home and gives the host its own modes back.
public func vectorStateLeave(_ cpu: CPU) {
  settleX87(cpu)
  syncMXCSR(cpu)
  #if arch(x86_64)
    ph_set_mxcsr(MXCSR.initial)
  #endif
}

/// Brings the exception flags collected so far into `mxcsr` (before STMXCSR, FXSAVE, XSAVE).
func syncMXCSR(_ cpu: CPU) {
  #if arch(x86_64)
    cpu.pointee.mxcsr |= ph_get_mxcsr() & MXCSR.flags
  #endif
}

/// Makes a new value of `mxcsr` take effect (after LDMXCSR, FXRSTOR, XRSTOR), in a handler.
func loadMXCSR(_ cpu: CPU) {
  let value = cpu.pointee.mxcsr
  if value & MXCSR.masks == MXCSR.masks {
    cpu.pointee.vector_ready |= UInt32(PV_VECTOR_MASKED)
  } else {
    cpu.pointee.vector_ready &= ~UInt32(PV_VECTOR_MASKED)
  }
  #if arch(x86_64)
    var host = value & MXCSR.writable | MXCSR.masks
    // Flushing to zero needs a masked underflow.
    if value & 0x800 == 0 { host &= ~MXCSR.ftz }
    ph_set_mxcsr(host)
  #endif
}

/// Runs code of ours in the middle of guest code under the host's own modes: what it computes (a dictionary's size is
/// floating-point arithmetic in Swift) must neither follow the guest's rounding nor leave flags that the guest would see.
@inline(__always) func withHostModes<R>(_ body: () throws -> R) rethrows -> R {
  #if arch(x86_64)
    let saved = ph_get_mxcsr()
    ph_set_mxcsr(MXCSR.initial)
    defer { ph_set_mxcsr(saved) }
    return try body()
  #else
    return try body()
  #endif
}

/// Goes to the slow path where `need` (PV_VECTOR_* bits) is not all in `vector_ready`.
@inline(__always) func isReady(_ cpu: CPU, _ need: UInt8) -> Bool {
  ~UInt8(truncatingIfNeeded: cpu.pointee.vector_ready) & need == 0
}

/// Carries out, or refuses, an operation whose `need` was not in `vector_ready`: #UD, #NM, or a run with exceptions unmasked.
@inline(never) func vectorSlow(_ cpu: CPU, _ op: Operation, _ need: UInt8) -> Operation? {
  refreshVectorState(cpu)
  if isReady(cpu, need) { return op.pointee.handler(cpu, op) }
  if !isReady(cpu, need & ~readyMasked) {
    if need & readyAVX != 0 {
      if cpu.pointee.cr4 & 0x40000 == 0 || cpu.pointee.xcr0 & 6 != 6 { return raise(cpu, op, .ud) }
    } else if cpu.pointee.cr0 & 4 != 0 || cpu.pointee.cr4 & 0x200 == 0 {
      return raise(cpu, op, .ud)
    }
    return raise(cpu, op, .nm)
  }
  return runUnmasked(cpu, op)
}

// MARK: - Unmasked exceptions

/// A computation while MXCSR leaves some exception unmasked: every one is masked for it, and the flags start clear.
struct FloatTrial {
  private let before: UInt32

  init(_ cpu: CPU) {
    syncMXCSR(cpu)
    before = cpu.pointee.mxcsr
    cpu.pointee.mxcsr &= ~MXCSR.flags
    loadMXCSR(cpu)
  }

  /// An unmasked underflow is any tiny result, a masked one only a tiny and inexact one. Call between a run that raised none and
  /// `end`, with the destination as it was before: while results are flushed to zero, the host says which are tiny.
  func findTiny(_ cpu: CPU, _ run: () -> Void) -> Bool {
    #if arch(x86_64)
      guard before & 0x800 == 0 else { return false }
      let saved = ph_get_mxcsr()
      guard saved & 0x10 == 0 else { return false }
      ph_set_mxcsr((saved & ~MXCSR.flags) | MXCSR.ftz)
      run()
      let tiny = ph_get_mxcsr() & 0x10 != 0
      ph_set_mxcsr(saved)
      return tiny
    #else
      return false
    #endif
  }

  /// Puts the flags together. Whether an unmasked exception was raised.
  func end(_ cpu: CPU, faulted: Bool, tiny: Bool = false) -> Bool {
    syncMXCSR(cpu)
    var raised = cpu.pointee.mxcsr & MXCSR.flags | (tiny ? 0x10 : 0)
    let unmasked = raised & ~(before >> 7)
    // An unmasked exception of the operands keeps the result's from being looked for.
    if unmasked & 7 != 0 { raised &= 7 }
    cpu.pointee.mxcsr = faulted ? before : before | raised
    loadMXCSR(cpu)
    return unmasked != 0
  }
}

func raiseFloat(_ cpu: CPU, _ op: Operation) -> Operation? { raise(cpu, op, cpu.pointee.cr4 & 0x400 != 0 ? .xm : .ud) }

/// Runs a floating-point operation that stores nothing while MXCSR leaves some exception unmasked: on a copy; where one was
/// raised the destination is put back and #XM raised instead.
@inline(never) private func runUnmasked(_ cpu: CPU, _ op: Operation) -> Operation? {
  let copy = UnsafeMutablePointer<pv_op>.allocate(capacity: 2)
  defer { copy.deallocate() }
  copy[0] = op.pointee
  copy[1] = pv_op.blank
  copy[1].handler = { _, op in op }
  let result = cpu.pointee.lazy_result
  let aux = cpu.pointee.lazy_aux
  settleX87(cpu)
  let mmx = (cpu.pointee.x87_top, cpu.pointee.x87_tags)
  let destination = cpu.address(op.pointee.dst)
  // The last register of `ymm` is followed by `scratch`, so 32 bytes are always there.
  let saved = destination.loadUnaligned(as: SIMD4<UInt64>.self)
  let trial = FloatTrial(cpu)
  cpu.pointee.vector_ready |= UInt32(PV_VECTOR_MASKED)
  let faulted = copy[0].handler(cpu, copy) == nil
  var tiny = false
  if !faulted {
    let computed = destination.loadUnaligned(as: SIMD4<UInt64>.self)
    tiny = trial.findTiny(cpu) {
      destination.storeBytes(of: saved, as: SIMD4<UInt64>.self)
      _ = copy[0].handler(cpu, copy)
    }
    destination.storeBytes(of: computed, as: SIMD4<UInt64>.self)
  }
  let raised = trial.end(cpu, faulted: faulted, tiny: tiny)
  if faulted { return raise(cpu, op) }
  if raised {
    destination.storeBytes(of: saved, as: SIMD4<UInt64>.self)
    cpu.pointee.lazy_result = result
    cpu.pointee.lazy_aux = aux
    (cpu.pointee.x87_top, cpu.pointee.x87_tags) = mmx
    return raiseFloat(cpu, op)
  }
  return next(cpu, op)
}
