import CHost
import X86

/// Byte offsets into pv_vcpu that operations name registers by.
enum StateOffset {
  // Computed from C's constants: a stored one would be initialized lazily, and so checked at every use.
  @inline(__always) static var zero: UInt16 { UInt16(truncatingIfNeeded: PV_AT_ZERO) }
  @inline(__always) static var blockRIP: UInt16 { UInt16(truncatingIfNeeded: PV_AT_BLOCK_RIP) }
  @inline(__always) static var segments: Int { PV_AT_SEGMENTS }
  @inline(__always) static var x87: Int { PV_AT_X87 }
  @inline(__always) static var ymm: Int { PV_AT_YMM }
  @inline(__always) static var scratch: UInt16 { UInt16(truncatingIfNeeded: PV_AT_SCRATCH) }
  static func general(_ register: Int) -> UInt16 { UInt16(register * 8) }
  static func vector(_ register: Int) -> UInt16 { UInt16(ymm + register * 32) }
  static func mmx(_ register: Int) -> UInt16 { UInt16(x87 + register * 16) }
  static func segmentBase(_ segment: Int) -> UInt16 { UInt16(segments + segment * MemoryLayout<pv_segment>.stride) }
}

/// Fills in what every lowerer needs: operands by offset, the effective address, immediates, sizes.
func prepare(_ instruction: Instruction, offset: Int, mode: CodeMode, _ op: inout pv_op) {
  func place(_ operand: Instruction.Operand) -> UInt16 {
    let register = Int(operand.register)
    switch operand.kind {
    case .general: return StateOffset.general(register & 15)
    case .generalHigh: return StateOffset.general(register & 3) + 1
    case .vector: return StateOffset.vector(register & 15)
    case .mmx: return StateOffset.mmx(register & 7)
    default: return UInt16(register)
    }
  }
  let operands = instruction.operands
  op.dst = place(operands.0)
  op.src = place(operands.1)
  op.src2 = place(operands.2)
  op.src3 = place(operands.3)
  op.length = instruction.length
  op.size = instruction.operandSize
  op.imm = instruction.immediate
  var flags: UInt16 = mode == .long64 ? UInt16(PV_OP_CODE64) : 0
  if instruction.prefixes.contains(.lock) { flags |= UInt16(PV_OP_LOCK) }
  if instruction.prefixes.contains(.rep) { flags |= UInt16(PV_OP_REP) }
  if instruction.prefixes.contains(.repne) { flags |= UInt16(PV_OP_REPNE) }
  if instruction.addressSize == 4 { flags |= UInt16(PV_OP_ADDRESS32) }
  if instruction.addressSize == 2 { flags |= UInt16(PV_OP_ADDRESS16) }
  if instruction.segment == 2 { flags |= UInt16(PV_OP_STACK_SEGMENT) }
  op.flags = flags
  if operands.0.kind == .relative || operands.1.kind == .relative {
    op.imm = Int64(offset) &+ Int64(instruction.length) &+ instruction.immediate
  }
  op.disp = instruction.displacement
  op.scale = instruction.scale
  op.base = StateOffset.zero
  op.index = StateOffset.zero
  if instruction.base == -2 {
    op.base = StateOffset.blockRIP
    op.disp = instruction.displacement &+ Int64(offset) &+ Int64(instruction.length)
  } else if instruction.base >= 0 {
    op.base = StateOffset.general(Int(instruction.base) & 15)
  }
  if instruction.index >= 0 { op.index = StateOffset.general(Int(instruction.index) & 15) }
  let segment = Int(instruction.segment)
  op.segbase = mode == .long64 && segment < 4 ? StateOffset.zero : StateOffset.segmentBase(min(segment, 5))
}
