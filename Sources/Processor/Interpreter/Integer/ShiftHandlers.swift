import CHost
import X86

// One named function per operation, form and size: each becomes a C function of its own without a thunk in between, and has a
// name in a profile.

func registerShifts(_ table: inout LoweringTable) {
  table.register("shl") { lowerShl($0, &$1) }
  table.register("shr") { lowerShr($0, &$1) }
  table.register("sar") { lowerSar($0, &$1) }
  table.register("rol") { lowerRol($0, &$1) }
  table.register("ror") { lowerRor($0, &$1) }
  table.register("rcl") { lowerRcl($0, &$1) }
  table.register("rcr") { lowerRcr($0, &$1) }
  registerDoubleShifts(&table)
}

// MARK: - shl

private func lowerShl(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, shl8r, shl16r, shl32r, shl64r)
  case .m: return op.take(size, shl8m, shl16m, shl32m, shl64m)
  case .ri: return op.take(size, shl8r, shl16r, shl32i, shl64i)
  default: return false
  }
}
@inline(__always) private func shl8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, ShiftLeft.self) }
@inline(__always) private func shl16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, ShiftLeft.self) }
@inline(__always) private func shl32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, ShiftLeft.self) }
@inline(__always) private func shl64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, ShiftLeft.self) }
@inline(__always) private func shl8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, ShiftLeft.self) }
@inline(__always) private func shl16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, ShiftLeft.self) }
@inline(__always) private func shl32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, ShiftLeft.self) }
@inline(__always) private func shl64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, ShiftLeft.self) }
@inline(__always) private func shl32i(_ c: CPU, _ o: Operation) -> Operation? { shiftI(c, o, UInt32.self, ShiftLeft.self) }
@inline(__always) private func shl64i(_ c: CPU, _ o: Operation) -> Operation? { shiftI(c, o, UInt64.self, ShiftLeft.self) }

// MARK: - shr

private func lowerShr(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, shr8r, shr16r, shr32r, shr64r)
  case .m: return op.take(size, shr8m, shr16m, shr32m, shr64m)
  case .ri: return op.take(size, shr8r, shr16r, shr32i, shr64i)
  default: return false
  }
}
@inline(__always) private func shr8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, ShiftRight.self) }
@inline(__always) private func shr16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, ShiftRight.self) }
@inline(__always) private func shr32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, ShiftRight.self) }
@inline(__always) private func shr64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, ShiftRight.self) }
@inline(__always) private func shr8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, ShiftRight.self) }
@inline(__always) private func shr16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, ShiftRight.self) }
@inline(__always) private func shr32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, ShiftRight.self) }
@inline(__always) private func shr64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, ShiftRight.self) }
@inline(__always) private func shr32i(_ c: CPU, _ o: Operation) -> Operation? { shiftI(c, o, UInt32.self, ShiftRight.self) }
@inline(__always) private func shr64i(_ c: CPU, _ o: Operation) -> Operation? { shiftI(c, o, UInt64.self, ShiftRight.self) }

// MARK: - sar

private func lowerSar(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, sar8r, sar16r, sar32r, sar64r)
  case .m: return op.take(size, sar8m, sar16m, sar32m, sar64m)
  case .ri: return op.take(size, sar8r, sar16r, sar32i, sar64i)
  default: return false
  }
}
@inline(__always) private func sar8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar32i(_ c: CPU, _ o: Operation) -> Operation? { shiftI(c, o, UInt32.self, ShiftArithmeticRight.self) }
@inline(__always) private func sar64i(_ c: CPU, _ o: Operation) -> Operation? { shiftI(c, o, UInt64.self, ShiftArithmeticRight.self) }

// MARK: - rol

private func lowerRol(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, rol8r, rol16r, rol32r, rol64r)
  case .m: return op.take(size, rol8m, rol16m, rol32m, rol64m)
  case .ri: return op.take(size, rol8r, rol16r, rol32r, rol64r)
  default: return false
  }
}
@inline(__always) private func rol8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, RotateLeft.self) }
@inline(__always) private func rol16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, RotateLeft.self) }
@inline(__always) private func rol32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, RotateLeft.self) }
@inline(__always) private func rol64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, RotateLeft.self) }
@inline(__always) private func rol8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, RotateLeft.self) }
@inline(__always) private func rol16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, RotateLeft.self) }
@inline(__always) private func rol32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, RotateLeft.self) }
@inline(__always) private func rol64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, RotateLeft.self) }

// MARK: - ror

private func lowerRor(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, ror8r, ror16r, ror32r, ror64r)
  case .m: return op.take(size, ror8m, ror16m, ror32m, ror64m)
  case .ri: return op.take(size, ror8r, ror16r, ror32r, ror64r)
  default: return false
  }
}
@inline(__always) private func ror8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, RotateRight.self) }
@inline(__always) private func ror16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, RotateRight.self) }
@inline(__always) private func ror32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, RotateRight.self) }
@inline(__always) private func ror64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, RotateRight.self) }
@inline(__always) private func ror8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, RotateRight.self) }
@inline(__always) private func ror16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, RotateRight.self) }
@inline(__always) private func ror32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, RotateRight.self) }
@inline(__always) private func ror64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, RotateRight.self) }

// MARK: - rcl

private func lowerRcl(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, rcl8r, rcl16r, rcl32r, rcl64r)
  case .m: return op.take(size, rcl8m, rcl16m, rcl32m, rcl64m)
  case .ri: return op.take(size, rcl8r, rcl16r, rcl32r, rcl64r)
  default: return false
  }
}
@inline(__always) private func rcl8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, RotateCarryLeft.self) }
@inline(__always) private func rcl16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, RotateCarryLeft.self) }
@inline(__always) private func rcl32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, RotateCarryLeft.self) }
@inline(__always) private func rcl64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, RotateCarryLeft.self) }
@inline(__always) private func rcl8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, RotateCarryLeft.self) }
@inline(__always) private func rcl16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, RotateCarryLeft.self) }
@inline(__always) private func rcl32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, RotateCarryLeft.self) }
@inline(__always) private func rcl64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, RotateCarryLeft.self) }

// MARK: - rcr

private func lowerRcr(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch shiftForm(i, &op) {
  case .r: return op.take(size, rcr8r, rcr16r, rcr32r, rcr64r)
  case .m: return op.take(size, rcr8m, rcr16m, rcr32m, rcr64m)
  case .ri: return op.take(size, rcr8r, rcr16r, rcr32r, rcr64r)
  default: return false
  }
}
@inline(__always) private func rcr8r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt8.self, RotateCarryRight.self) }
@inline(__always) private func rcr16r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt16.self, RotateCarryRight.self) }
@inline(__always) private func rcr32r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt32.self, RotateCarryRight.self) }
@inline(__always) private func rcr64r(_ c: CPU, _ o: Operation) -> Operation? { shiftR(c, o, UInt64.self, RotateCarryRight.self) }
@inline(__always) private func rcr8m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt8.self, RotateCarryRight.self) }
@inline(__always) private func rcr16m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt16.self, RotateCarryRight.self) }
@inline(__always) private func rcr32m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt32.self, RotateCarryRight.self) }
@inline(__always) private func rcr64m(_ c: CPU, _ o: Operation) -> Operation? { shiftM(c, o, UInt64.self, RotateCarryRight.self) }
