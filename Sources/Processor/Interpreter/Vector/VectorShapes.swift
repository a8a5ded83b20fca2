import CHost
import X86

// How vector operations get their operands.
//
// A kernel computes 16 bytes; a handler ("shape") finds its operands, calls it once or for each half of a YMM register, and
// clears what the encoding clears. So an instruction is a kernel and a shape, and the few that matter most have a handler of
// their own. `op.data` is the kernel, `op.extra` what must be ready (bits 2:0) and the alignment mask of the memory operand
// (bits 7:3), `op.size` the bytes of the memory operand, `op.src3` the distance of the upper half's source.

/// (destination, first source, second source, immediate, cpu). Sources may be the destination.
typealias Kernel =
  @convention(c) (
    UnsafeMutableRawPointer, UnsafeRawPointer, UnsafeRawPointer, UInt64, UnsafeMutablePointer<pv_vcpu>
  ) -> Void

typealias Handler = @convention(c) (UnsafeMutablePointer<pv_vcpu>, UnsafeMutablePointer<pv_op>) -> UnsafeMutablePointer<pv_op>?

typealias V128 = SIMD2<UInt64>
typealias V256 = SIMD4<UInt64>

extension UnsafeMutablePointer where Pointee == pv_op {
  @inline(__always) var kernel: Kernel { unsafeBitCast(UInt(truncatingIfNeeded: pointee.data), to: Kernel.self) }
  @inline(__always) var immediate: UInt64 { UInt64(bitPattern: pointee.imm) }
}

@inline(__always) func clearUpper(_ destination: UnsafeMutableRawPointer) {
  destination.storeBytes(of: V128(), toByteOffset: 16, as: V128.self)
}

// MARK: - Memory operands
//
// A handler looks in the TLB itself, and everything else is left to a function that is not inlined and does the whole
// operation: with no other way out than calls in tail position, the handler needs no frame.

/// Host address of `count` readable bytes, if the TLB has them in one page.
@inline(__always) func readHit(_ cpu: CPU, _ linear: UInt64, _ count: Int) -> UnsafeRawPointer? {
  pv_readable(cpu, linear, UInt64(truncatingIfNeeded: count)).map { UnsafeRawPointer($0) }
}

/// Host address of `count` writable bytes, if the TLB has them in one page.
@inline(__always) func writeHit(_ cpu: CPU, _ linear: UInt64, _ count: Int) -> UnsafeMutableRawPointer? {
  pv_writable(cpu, linear, UInt64(truncatingIfNeeded: count))
}

/// Whether an address is aligned as `op.extra` asks.
@inline(__always) func isAligned(_ op: Operation, _ linear: UInt64) -> Bool { linear & UInt64(op.pointee.extra >> 3) == 0 }

/// Host address of the operation's memory operand of `count` bytes, aligned as `op.extra` asks, if the TLB has it.
@inline(__always) func operandHit(_ cpu: CPU, _ op: Operation, _ count: Int) -> UnsafeRawPointer? {
  let linear = cpu.effectiveAddress(op)
  return isAligned(op, linear) ? readHit(cpu, linear, count) : nil
}

/// Host address of the operation's memory operand of `count` bytes, or nil after a fault.
@inline(__always) func vectorOperand(_ cpu: CPU, _ op: Operation, _ count: Int) -> UnsafeRawPointer? {
  let linear = cpu.effectiveAddress(op)
  guard isAligned(op, linear) else {
    misaligned(cpu)
    return nil
  }
  return readBytes(cpu, op, linear, count, cpu.address(StateOffset.scratch))
}

/// Records #GP(0), for a handler that returns `raise(cpu, op)`.
@inline(never) func misaligned(_ cpu: CPU) {
  cpu.pointee.vector = Vector.gp.rawValue
  cpu.pointee.error_code = 0
  cpu.pointee.has_error_code = 1
}

// MARK: - Shapes

@inline(__always) private func compute(_ cpu: CPU, _ op: Operation, _ b: UnsafeRawPointer) {
  op.kernel(cpu.address(op.pointee.dst), cpu.address(op.pointee.src), b, op.immediate, cpu)
}

/// The upper half comes first: a widening source is then not overwritten too early.
@inline(__always) private func computeHalves(_ cpu: CPU, _ op: Operation, _ b: UnsafeRawPointer) {
  let d = cpu.address(op.pointee.dst)
  let a = cpu.address(op.pointee.src)
  op.kernel(d + 16, a + 16, b + Int(op.pointee.src3), op.immediate, cpu)
  op.kernel(d, a, b, op.immediate, cpu)
}

/// 16 bytes, all in registers, legacy encoding; also everything whose destination is a general register or the flags.
func vectorRegisters(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  compute(cpu, op, cpu.address(op.pointee.src2))
  return next(cpu, op)
}

/// The same with the last source in memory.
func vectorMemory(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let b = operandHit(cpu, op, Int(op.pointee.size)) else { return vectorMemorySlow(cpu, op) }
  compute(cpu, op, b)
  return next(cpu, op)
}

@inline(never) private func vectorMemorySlow(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let b = vectorOperand(cpu, op, Int(op.pointee.size)) else { return raise(cpu, op) }
  compute(cpu, op, b)
  return next(cpu, op)
}

/// VEX.128: bytes 31:16 of the destination are cleared.
func vectorRegisters128(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  compute(cpu, op, cpu.address(op.pointee.src2))
  clearUpper(cpu.address(op.pointee.dst))
  return next(cpu, op)
}

func vectorMemory128(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let b = operandHit(cpu, op, Int(op.pointee.size)) else { return vectorMemory128Slow(cpu, op) }
  compute(cpu, op, b)
  clearUpper(cpu.address(op.pointee.dst))
  return next(cpu, op)
}

@inline(never) private func vectorMemory128Slow(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let b = vectorOperand(cpu, op, Int(op.pointee.size)) else { return raise(cpu, op) }
  compute(cpu, op, b)
  clearUpper(cpu.address(op.pointee.dst))
  return next(cpu, op)
}

/// VEX.256 that treats both halves alike.
func vectorRegisters256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  computeHalves(cpu, op, cpu.address(op.pointee.src2))
  return next(cpu, op)
}

func vectorMemory256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  guard let b = operandHit(cpu, op, Int(op.pointee.size)) else { return vectorMemory256Slow(cpu, op) }
  computeHalves(cpu, op, b)
  return next(cpu, op)
}

@inline(never) private func vectorMemory256Slow(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard let b = vectorOperand(cpu, op, Int(op.pointee.size)) else { return raise(cpu, op) }
  computeHalves(cpu, op, b)
  return next(cpu, op)
}

/// VEX.256 whose source of 32 bytes becomes 16: the kernel leaves 8 bytes for each half.
func vectorNarrow256(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  var b = UnsafeRawPointer(cpu.address(op.pointee.src2))
  if op.pointee.size != 0 {
    guard let memory = vectorOperand(cpu, op, 32) else { return raise(cpu, op) }
    b = memory
  }
  let d = cpu.address(op.pointee.dst)
  let kernel = op.kernel
  let scratch = cpu.address(StateOffset.scratch) + 32
  kernel(scratch, b + 16, b + 16, op.immediate, cpu)
  kernel(d, b, b, op.immediate, cpu)
  (d + 8).copyMemory(from: scratch, byteCount: 8)
  clearUpper(d)
  return next(cpu, op)
}

/// The kernel's result goes to memory: `op.size` bytes of what it leaves, its source being register operand 1.
func vectorStore(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  let scratch = cpu.address(StateOffset.scratch)
  let source = cpu.address(op.pointee.src)
  op.kernel(scratch, source, source, op.immediate, cpu)
  guard writeBytes(cpu, op, cpu.effectiveAddress(op), scratch, Int(op.pointee.size)) else { return raise(cpu, op) }
  return next(cpu, op)
}

// MARK: - The host's instructions

/// Whether kernels may be the host's own instructions. Tests turn it off to look at the portable ones.
nonisolated(unsafe) var hostKernelsAllowed = true

/// The host's instruction of a legacy name, if it has it.
func hostKernel(_ name: String) -> Kernel? { hostKernelsAllowed ? pv_host_kernel(name) : nil }

// MARK: - Lowering

/// What an instruction's lowering needs to know beyond its kernel.
struct VectorForm {
  var kernel: Kernel
  /// Bytes of the memory operand of a 16-byte operation.
  var memory = 16
  /// Distance of the upper half's source from the lower's (0: both take the same).
  var stride = 16
  /// It looks at MXCSR and may raise #XM.
  var float = false
  /// VEX.L is ignored.
  var scalar = false
  /// The destination is no vector register: nothing of it is cleared.
  var general = false
  /// Legacy memory operands need no alignment although they have 16 bytes.
  var unaligned = false
  /// There is no 256-bit form.
  var only128 = false
  /// What the kernel gets as immediate instead of the instruction's.
  var code: Int64?
}

extension VectorForm {
  /// Of a floating-point operation by its legacy name: the host's instruction, or else the soft-float.
  init(float name: String, memory: Int = 16, stride: Int = 16, scalar: Bool = false, general: Bool = false) {
    self.init(host: hostKernel(name), code: softCode(name), memory: memory, scalar: scalar)
    self.stride = stride
    self.general = general
  }

  /// Of a floating-point operation that the host may have, and the soft-float's code for it.
  init(host: Kernel?, code: Int64?, memory: Int = 16, scalar: Bool = false) {
    self.init(kernel: host ?? softFloat, memory: memory, float: true, scalar: scalar)
    self.code = host == nil ? code : nil
  }
}

extension Instruction {
  /// Operand `i`, or one of kind none.
  func operand(_ i: Int) -> Operand {
    switch i {
    case 0: operands.0
    case 1: operands.1
    case 2: operands.2
    case 3: operands.3
    case 4: operands.4
    default: Operand()
    }
  }

  /// Register and memory operands, which come before immediates.
  var placeCount: Int {
    var count = 0
    while count < min(Int(operandCount), 5), operand(count).kind != .immediate { count += 1 }
    return count
  }

  var usesMMX: Bool { (0..<min(Int(operandCount), 5)).contains { operand($0).kind == .mmx } }
  /// Readiness bits of this encoding.
  var vectorNeed: UInt8 { vectorLength > 0 ? readyAVX : readySSE }
}

/// Fills in kernel, shape and operands of an instruction whose places are (d), (d, b) or (d, a, b).
func lowerVector(_ form: VectorForm, _ instruction: Instruction, _ op: inout pv_op) -> Bool {
  guard !instruction.usesMMX else { return false }
  let places = instruction.placeCount
  guard places >= 1 && places <= 3 else { return false }
  let vex = instruction.vectorLength > 0
  let wide = instruction.vectorLength == 32 && !form.scalar
  if wide && form.only128 { return false }
  let memory = instruction.operand(places - 1).kind == .memory
  if instruction.operand(0).kind == .memory { return false }
  let last = places == 1 ? op.dst : places == 2 ? op.src : op.src2
  op.src = places < 3 ? op.dst : op.src
  op.src2 = memory ? StateOffset.scratch : last
  op.src3 = UInt16(form.stride)
  op.data = UInt64(UInt(bitPattern: unsafeBitCast(form.kernel, to: Int.self)))
  if let code = form.code { op.imm = code }
  op.extra = instruction.vectorNeed | (form.float ? readyMasked : 0)
  // A source that both halves share is not twice as long.
  let doubled = wide && form.stride != 0
  op.size = memory ? UInt8(doubled ? form.memory * 2 : form.memory) : 0
  if memory && !vex && form.memory == 16 && !form.unaligned { op.extra |= 15 << 3 }
  if wide {
    op.handler = memory ? { cpu, op in vectorMemory256(cpu, op) } : { cpu, op in vectorRegisters256(cpu, op) }
  } else if vex && !form.general {
    op.handler = memory ? { cpu, op in vectorMemory128(cpu, op) } : { cpu, op in vectorRegisters128(cpu, op) }
  } else {
    op.handler = memory ? { cpu, op in vectorMemory(cpu, op) } : { cpu, op in vectorRegisters(cpu, op) }
  }
  return true
}

extension LoweringTable {
  /// Registers a legacy instruction and its VEX form, which has a "v" before its name.
  mutating func vector(_ name: String, _ form: VectorForm) {
    register(name, "v" + name) { instruction, op in lowerVector(form, instruction, &op) }
  }

  /// Registers one name exactly.
  mutating func vectorOnly(_ name: String, _ form: VectorForm) {
    register(name) { instruction, op in lowerVector(form, instruction, &op) }
  }

  /// An integer operation on 16 bytes for which the host may have an instruction.
  mutating func hosted(_ name: String, only128: Bool = false, _ kernel: @escaping Kernel) {
    vector(name, VectorForm(kernel: hostKernel(name) ?? kernel, only128: only128))
  }

  /// An integer operation on 16 bytes.
  mutating func vector(_ name: String, _ kernel: @escaping Kernel) { vector(name, VectorForm(kernel: kernel)) }
}

// MARK: - Immediates whose upper bits are the upper half's

@inline(__always) private func halved256(_ cpu: CPU, _ op: Operation, _ bits: UInt64) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  var b = UnsafeRawPointer(cpu.address(op.pointee.src2))
  if op.pointee.size != 0 {
    guard let memory = vectorOperand(cpu, op, 32) else { return raise(cpu, op) }
    b = memory
  }
  let d = cpu.address(op.pointee.dst)
  let a = cpu.address(op.pointee.src)
  let kernel = op.kernel
  kernel(d + 16, a + 16, b + 16, op.immediate >> bits, cpu)
  kernel(d, a, b, op.immediate, cpu)
  return next(cpu, op)
}

extension LoweringTable {
  /// Registers an operation whose immediate has `bits` (2 or 4) bits for each half; with its VEX form if `both`.
  mutating func halved(_ name: String, _ form: VectorForm, bits: Int, both: Bool = true) {
    let lowerer: Lowerer = { instruction, op in
      guard lowerVector(form, instruction, &op) else { return false }
      guard instruction.vectorLength == 32 else { return true }
      op.handler = bits == 2 ? { cpu, op in halved256(cpu, op, 2) } : { cpu, op in halved256(cpu, op, 4) }
      return true
    }
    register(name, lowerer: lowerer)
    if both { register("v" + name, lowerer: lowerer) }
  }
}
