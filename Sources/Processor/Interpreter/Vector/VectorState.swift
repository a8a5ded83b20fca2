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

/// Call after guest code ran: brings the guest's exception flags home and gives the host its own modes back.
public func vectorStateLeave(_ cpu: CPU) {
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

/// Ends a trial run of one operation.
private func trialEnd(_ cpu: CPU, _ op: Operation) -> Operation? { op }

/// Runs a floating-point operation while MXCSR leaves some exception unmasked: on a copy, with every exception masked and
/// the flags clear; where an unmasked one was raised the destination is put back and #XM raised instead.
@inline(never) private func runUnmasked(_ cpu: CPU, _ op: Operation) -> Operation? {
  let trial = UnsafeMutablePointer<pv_op>.allocate(capacity: 2)
  defer { trial.deallocate() }
  trial[0] = op.pointee
  trial[1] = pv_op.blank
  trial[1].handler = { cpu, op in trialEnd(cpu, op) }
  let before = cpu.pointee.mxcsr
  let result = cpu.pointee.lazy_result
  let aux = cpu.pointee.lazy_aux
  let destination = cpu.address(op.pointee.dst)
  // The last register of `ymm` is followed by `scratch`, so 32 bytes are always there.
  let saved = destination.loadUnaligned(as: SIMD4<UInt64>.self)
  syncMXCSR(cpu)
  let old = cpu.pointee.mxcsr & MXCSR.flags
  cpu.pointee.mxcsr &= ~MXCSR.flags
  loadMXCSR(cpu)
  cpu.pointee.vector_ready |= UInt32(PV_VECTOR_MASKED)
  let end = trial[0].handler(cpu, trial)
  syncMXCSR(cpu)
  var raised = cpu.pointee.mxcsr & MXCSR.flags
  cpu.pointee.mxcsr = before | old
  let unmasked = raised & ~(before >> 7)
  let faulted = end == nil
  if faulted || unmasked != 0 {
    destination.storeBytes(of: saved, as: SIMD4<UInt64>.self)
    cpu.pointee.lazy_result = result
    cpu.pointee.lazy_aux = aux
    // An unmasked exception of the operands keeps the result's from being looked for.
    if unmasked & 7 != 0 { raised &= 7 }
    if faulted { raised = 0 }
  }
  cpu.pointee.mxcsr |= raised
  loadMXCSR(cpu)
  if faulted { return raise(cpu, op) }
  if unmasked != 0 { return raise(cpu, op, cpu.pointee.cr4 & 0x400 != 0 ? .xm : .ud) }
  return next(cpu, op)
}
