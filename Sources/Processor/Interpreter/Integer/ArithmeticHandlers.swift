import CHost
import X86

// One named function per operation, form and size: each becomes a C function of its own without a thunk in between, and has a
// name in a profile.

func registerArithmetic(_ table: inout LoweringTable) {
  table.register("add") { lowerAdd($0, &$1) }
  table.register("adc") { lowerAdc($0, &$1) }
  table.register("sub") { lowerSub($0, &$1) }
  table.register("sbb") { lowerSbb($0, &$1) }
  table.register("cmp") { lowerCmp($0, &$1) }
}

// MARK: - add

private func lowerAdd(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, add8rr, add16rr, add32rr, add64rr)
  case .ri:
    op.isFusible(size, .none, .none, .add32ri, .add64ri)
    return op.take(size, add8ri, add16ri, add32ri, add64ri)
  case .rm: return op.take(size, add8rm, add16rm, add32rm, add64rm)
  case .mr: return op.take(size, add8mr, add16mr, add32mr, add64mr)
  case .mi: return op.take(size, add8mi, add16mi, add32mi, add64mi)
  default: return false
  }
}
@inline(__always) private func add8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, Add.self) }
@inline(__always) private func add16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, Add.self) }
@inline(__always) private func add32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, Add.self) }
@inline(__always) private func add64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, Add.self) }
@inline(__always) private func add8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, Add.self) }
@inline(__always) private func add16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, Add.self) }
@inline(__always) private func add32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, Add.self) }
@inline(__always) private func add64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, Add.self) }
@inline(__always) private func add8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, Add.self) }
@inline(__always) private func add16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, Add.self) }
@inline(__always) private func add32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, Add.self) }
@inline(__always) private func add64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, Add.self) }
@inline(__always) private func add8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, Add.self) }
@inline(__always) private func add16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, Add.self) }
@inline(__always) private func add32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, Add.self) }
@inline(__always) private func add64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, Add.self) }
@inline(__always) private func add8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, Add.self) }
@inline(__always) private func add16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, Add.self) }
@inline(__always) private func add32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, Add.self) }
@inline(__always) private func add64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, Add.self) }

// MARK: - adc

private func lowerAdc(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, adc8rr, adc16rr, adc32rr, adc64rr)
  case .ri: return op.take(size, adc8ri, adc16ri, adc32ri, adc64ri)
  case .rm: return op.take(size, adc8rm, adc16rm, adc32rm, adc64rm)
  case .mr: return op.take(size, adc8mr, adc16mr, adc32mr, adc64mr)
  case .mi: return op.take(size, adc8mi, adc16mi, adc32mi, adc64mi)
  default: return false
  }
}
@inline(__always) private func adc8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, AddWithCarry.self) }
@inline(__always) private func adc16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, AddWithCarry.self) }
@inline(__always) private func adc32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, AddWithCarry.self) }
@inline(__always) private func adc64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, AddWithCarry.self) }
@inline(__always) private func adc8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, AddWithCarry.self) }
@inline(__always) private func adc16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, AddWithCarry.self) }
@inline(__always) private func adc32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, AddWithCarry.self) }
@inline(__always) private func adc64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, AddWithCarry.self) }
@inline(__always) private func adc8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, AddWithCarry.self) }
@inline(__always) private func adc16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, AddWithCarry.self) }
@inline(__always) private func adc32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, AddWithCarry.self) }
@inline(__always) private func adc64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, AddWithCarry.self) }
@inline(__always) private func adc8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, AddWithCarry.self) }
@inline(__always) private func adc16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, AddWithCarry.self) }
@inline(__always) private func adc32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, AddWithCarry.self) }
@inline(__always) private func adc64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, AddWithCarry.self) }
@inline(__always) private func adc8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, AddWithCarry.self) }
@inline(__always) private func adc16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, AddWithCarry.self) }
@inline(__always) private func adc32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, AddWithCarry.self) }
@inline(__always) private func adc64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, AddWithCarry.self) }

// MARK: - sub

private func lowerSub(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, sub8rr, sub16rr, sub32rr, sub64rr)
  case .ri:
    op.isFusible(size, .none, .none, .sub32ri, .sub64ri)
    return op.take(size, sub8ri, sub16ri, sub32ri, sub64ri)
  case .rm: return op.take(size, sub8rm, sub16rm, sub32rm, sub64rm)
  case .mr: return op.take(size, sub8mr, sub16mr, sub32mr, sub64mr)
  case .mi: return op.take(size, sub8mi, sub16mi, sub32mi, sub64mi)
  default: return false
  }
}
@inline(__always) private func sub8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, Subtract.self) }
@inline(__always) private func sub16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, Subtract.self) }
@inline(__always) private func sub32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, Subtract.self) }
@inline(__always) private func sub64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, Subtract.self) }
@inline(__always) private func sub8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, Subtract.self) }
@inline(__always) private func sub16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, Subtract.self) }
@inline(__always) private func sub32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, Subtract.self) }
@inline(__always) private func sub64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, Subtract.self) }
@inline(__always) private func sub8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, Subtract.self) }
@inline(__always) private func sub16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, Subtract.self) }
@inline(__always) private func sub32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, Subtract.self) }
@inline(__always) private func sub64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, Subtract.self) }
@inline(__always) private func sub8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, Subtract.self) }
@inline(__always) private func sub16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, Subtract.self) }
@inline(__always) private func sub32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, Subtract.self) }
@inline(__always) private func sub64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, Subtract.self) }
@inline(__always) private func sub8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, Subtract.self) }
@inline(__always) private func sub16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, Subtract.self) }
@inline(__always) private func sub32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, Subtract.self) }
@inline(__always) private func sub64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, Subtract.self) }

// MARK: - sbb

private func lowerSbb(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, sbb8rr, sbb16rr, sbb32rr, sbb64rr)
  case .ri: return op.take(size, sbb8ri, sbb16ri, sbb32ri, sbb64ri)
  case .rm: return op.take(size, sbb8rm, sbb16rm, sbb32rm, sbb64rm)
  case .mr: return op.take(size, sbb8mr, sbb16mr, sbb32mr, sbb64mr)
  case .mi: return op.take(size, sbb8mi, sbb16mi, sbb32mi, sbb64mi)
  default: return false
  }
}
@inline(__always) private func sbb8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, SubtractWithBorrow.self) }
@inline(__always) private func sbb64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, SubtractWithBorrow.self) }

// MARK: - cmp

private func lowerCmp(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr:
    op.isFusible(size, .cmp8rr, .cmp16rr, .cmp32rr, .cmp64rr)
    return op.take(size, cmp8rr, cmp16rr, cmp32rr, cmp64rr)
  case .ri:
    op.isFusible(size, .cmp8ri, .cmp16ri, .cmp32ri, .cmp64ri)
    return op.take(size, cmp8ri, cmp16ri, cmp32ri, cmp64ri)
  case .rm:
    op.isFusible(size, .none, .none, .cmp32rm, .cmp64rm)
    return op.take(size, cmp8rm, cmp16rm, cmp32rm, cmp64rm)
  case .mr: return op.take(size, cmp8mr, cmp16mr, cmp32mr, cmp64mr)
  case .mi:
    op.isFusible(size, .cmp8mi, .none, .cmp32mi, .cmp64mi)
    return op.take(size, cmp8mi, cmp16mi, cmp32mi, cmp64mi)
  default: return false
  }
}
@inline(__always) private func cmp8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, Compare.self) }
@inline(__always) private func cmp16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, Compare.self) }
@inline(__always) private func cmp32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, Compare.self) }
@inline(__always) private func cmp64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, Compare.self) }
@inline(__always) private func cmp8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, Compare.self) }
@inline(__always) private func cmp16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, Compare.self) }
@inline(__always) private func cmp32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, Compare.self) }
@inline(__always) private func cmp64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, Compare.self) }
@inline(__always) private func cmp8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, Compare.self) }
@inline(__always) private func cmp16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, Compare.self) }
@inline(__always) private func cmp32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, Compare.self) }
@inline(__always) private func cmp64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, Compare.self) }
@inline(__always) private func cmp8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, Compare.self) }
@inline(__always) private func cmp16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, Compare.self) }
@inline(__always) private func cmp32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, Compare.self) }
@inline(__always) private func cmp64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, Compare.self) }
@inline(__always) private func cmp8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, Compare.self) }
@inline(__always) private func cmp16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, Compare.self) }
@inline(__always) private func cmp32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, Compare.self) }
@inline(__always) private func cmp64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, Compare.self) }
