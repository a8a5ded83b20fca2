import CHost
import X86

// Floating-point arithmetic, comparisons, conversions and roundings. The kernels are the host's own instructions where it has
// them (CHost/floating.h), else the soft-float's; here they meet their names and shapes.

func registerVectorFloat(_ table: inout LoweringTable) {
  for operation in ["add", "sub", "mul", "div", "min", "max", "sqrt"] { table.four(operation) }
  for name in ["haddps", "haddpd", "hsubps", "hsubpd", "addsubps", "addsubpd"] {
    table.vector(name, VectorForm(float: name))
  }
  for name in ["fmadd", "fmsub", "fnmadd", "fnmsub", "fmaddsub", "fmsubadd"] {
    for order in ["132", "213", "231"] {
      for (type, bytes) in [("ps", 16), ("pd", 16), ("ss", 4), ("sd", 8)] where bytes == 16 || name.count < 7 {
        let full = "v" + name + order + type
        table.vectorOnly(full, VectorForm(float: full, memory: bytes, scalar: bytes < 16))
      }
    }
  }
}

extension LoweringTable {
  /// Registers an operation on packed and scalar singles and doubles.
  fileprivate mutating func four(_ operation: String) {
    for (type, bytes) in [("ps", 16), ("pd", 16), ("ss", 4), ("sd", 8)] {
      let name = operation + type
      vector(name, VectorForm(float: name, memory: bytes, scalar: bytes < 16))
    }
  }
}

// MARK: - Forms with an immediate: a kernel for each of its values

private let types: [(name: String, bytes: Int)] = [("ps", 16), ("pd", 16), ("ss", 4), ("sd", 8)]

func registerVectorImmediates(_ table: inout LoweringTable) {
  for (index, type) in types.enumerated() {
    let kind = UInt32(index)
    let bytes = type.bytes
    let compare: Lowerer = { instruction, op in
      let predicate = UInt32(truncatingIfNeeded: instruction.immediate) & (instruction.vectorLength > 0 ? 31 : 7)
      let host = hostKernelsAllowed ? pv_float_compare(kind, predicate) : nil
      let code = softCode(.compare, type: kind, parameter: UInt64(predicate))
      return lowerVector(VectorForm(host: host, code: code, memory: bytes, scalar: bytes < 16), instruction, &op)
    }
    table.register(type.name == "sd" ? "cmpsd.sse" : "cmp" + type.name, lowerer: compare)
    table.register("vcmp" + type.name, lowerer: compare)
    table.register("round" + type.name, "vround" + type.name) { instruction, op in
      let control = UInt32(truncatingIfNeeded: instruction.immediate) & 15
      let host = hostKernelsAllowed ? pv_float_round(kind, control) : nil
      let code = softCode(.round, type: kind, parameter: UInt64(control))
      return lowerVector(VectorForm(host: host, code: code, memory: bytes, scalar: bytes < 16), instruction, &op)
    }
  }
  for (index, name) in ["dpps", "dppd"].enumerated() {
    table.register(name, "v" + name) { instruction, op in
      // The kernel puts the sum everywhere; what is not asked for is cleared after it.
      let factors = UInt32(truncatingIfNeeded: instruction.immediate >> 4) & 15
      let host = hostKernelsAllowed ? pv_float_dot(UInt32(index), factors) : nil
      var form = VectorForm(host: host, code: softCode(.dot, type: UInt32(index), parameter: UInt64(factors)))
      form.only128 = index == 1
      let wanted = UInt16(truncatingIfNeeded: instruction.immediate) & 15
      guard lowerVector(form, instruction, &op) else { return false }
      op.src3 = wanted | UInt16(index) << 4 | UInt16(instruction.vectorLength) << 8
      op.handler = { cpu, op in dotProduct(cpu, op) }
      return true
    }
  }
}

/// Clears elements of a sum by immediate bits 3:0 (singles) or 1:0 (doubles).
@inline(__always) private func maskSum(_ d: UnsafeMutableRawPointer, _ wanted: UInt16, doubles: Bool) {
  if doubles {
    for i in 0..<2 where (wanted >> UInt16(i)) & 1 == 0 { d.storeBytes(of: 0, toByteOffset: i &* 8, as: UInt64.self) }
  } else {
    for i in 0..<4 where (wanted >> UInt16(i)) & 1 == 0 { d.storeBytes(of: 0, toByteOffset: i &* 4, as: UInt32.self) }
  }
}

/// `op.src3`: bits 3:0 the elements wanted, bit 4 doubles, bits 15:8 the vector length.
private func dotProduct(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, op.pointee.extra & 7) else { return vectorSlow(cpu, op, op.pointee.extra & 7) }
  var b = UnsafeRawPointer(cpu.address(op.pointee.src2))
  if op.pointee.size != 0 {
    guard let memory = vectorOperand(cpu, op, Int(op.pointee.size)) else { return raise(cpu, op) }
    b = memory
  }
  let d = cpu.address(op.pointee.dst)
  let a = cpu.address(op.pointee.src)
  let kernel = op.kernel
  let wanted = op.pointee.src3 & 15
  let doubles = op.pointee.src3 & 16 != 0
  if op.pointee.src3 >> 8 == 32 {
    kernel(d + 16, a + 16, b + 16, op.immediate, cpu)
    maskSum(d + 16, wanted, doubles: doubles)
  } else if op.pointee.src3 >> 8 == 16 {
    clearUpper(d)
  }
  kernel(d, a, b, op.immediate, cpu)
  maskSum(d, wanted, doubles: doubles)
  return next(cpu, op)
}

// MARK: - Conversions

func registerVectorConversions(_ table: inout LoweringTable) {
  // Vectors to vectors of the same size.
  for name in ["cvtdq2ps", "cvtps2dq", "cvttps2dq"] { table.vector(name, VectorForm(float: name)) }
  // Half a vector to a whole one.
  table.vector("cvtdq2pd", VectorForm(float: "cvtdq2pd", memory: 8, stride: 8))
  table.vector("cvtps2pd", VectorForm(float: "cvtps2pd", memory: 8, stride: 8))
  table.vectorOnly("vcvtph2ps", VectorForm(float: "cvtph2ps", memory: 8, stride: 8))
  // A whole vector to half of one.
  for name in ["cvtpd2ps", "cvtpd2dq", "cvttpd2dq"] {
    let form = VectorForm(float: name)
    table.register(name, "v" + name) { lowerNarrow(form, $0, &$1) }
  }
  table.vector("cvtss2sd", VectorForm(float: "cvtss2sd", memory: 4, scalar: true))
  table.vector("cvtsd2ss", VectorForm(float: "cvtsd2ss", memory: 8, scalar: true))
  table.register("vcvtps2ph") { lowerHalfStore($0, &$1) }
  // Integers in general registers.
  for name in ["cvtsi2ss", "cvtsi2sd"] {
    table.register(name, "v" + name) { instruction, op in
      let size = Int(instruction.operand(instruction.placeCount - 1).size)
      let form = VectorForm(float: name + (size == 8 ? "64" : "32"), memory: size, scalar: true)
      return lowerVector(form, instruction, &op)
    }
  }
  for (name, bytes) in [("cvtss2si", 4), ("cvttss2si", 4), ("cvtsd2si", 8), ("cvttsd2si", 8)] {
    table.register(name, "v" + name) { instruction, op in
      let full = name + (instruction.operand(0).size == 8 ? "64" : "32")
      return lowerVector(VectorForm(float: full, memory: bytes, scalar: true, general: true), instruction, &op)
    }
  }
}

private func lowerNarrow(_ form: VectorForm, _ instruction: Instruction, _ op: inout pv_op) -> Bool {
  guard lowerVector(form, instruction, &op) else { return false }
  if instruction.vectorLength == 32 { op.handler = { cpu, op in vectorNarrow256(cpu, op) } }
  return true
}

/// VCVTPS2PH to a register is a narrowing; to memory it stores 8 or 16 bytes.
private func lowerHalfStore(_ instruction: Instruction, _ op: inout pv_op) -> Bool {
  // Immediate bit 2 takes the rounding of MXCSR; else it is bits 1:0.
  let control = UInt32(truncatingIfNeeded: instruction.immediate) & 7
  let host = hostKernelsAllowed ? pv_float_half(control) : nil
  let form = VectorForm(host: host, code: softCode(.singlesToHalves, parameter: UInt64(control)))
  guard instruction.operand(0).kind == .memory else { return lowerNarrow(form, instruction, &op) }
  op.extra = readyAVX
  op.size = instruction.vectorLength / 2
  op.data = UInt64(UInt(bitPattern: unsafeBitCast(form.kernel, to: Int.self)))
  if let code = form.code { op.imm = code }
  op.handler = { cpu, op in storeHalves(cpu, op) }
  return true
}

private func storeHalves(_ cpu: CPU, _ op: Operation) -> Operation? {
  guard isReady(cpu, readyAVX) else { return vectorSlow(cpu, op, readyAVX) }
  let scratch = cpu.address(StateOffset.scratch)
  let source = cpu.address(op.pointee.src)
  // Nothing may be stored if an unmasked exception is raised, so this is not left to the common way of trying.
  let trial = isReady(cpu, readyMasked) ? nil : FloatTrial(cpu)
  op.kernel(scratch, source, source, op.immediate, cpu)
  if op.pointee.size == 16 { op.kernel(scratch + 8, source + 16, source + 16, op.immediate, cpu) }
  if let trial, trial.end(cpu, faulted: false) { return raiseFloat(cpu, op) }
  guard writeBytes(cpu, op, cpu.effectiveAddress(op), scratch, Int(op.pointee.size)) else { return raise(cpu, op) }
  return next(cpu, op)
}
