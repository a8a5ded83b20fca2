import CHost
import X86

// One named function per operation, form and size: each becomes a C function of its own without a thunk in between, and has a
// name in a profile.

func registerLogic(_ table: inout LoweringTable) {
  table.register("and") { lowerAnd($0, &$1) }
  table.register("or") { lowerOr($0, &$1) }
  table.register("xor") { lowerXor($0, &$1) }
  table.register("test") { lowerTest($0, &$1) }
}

// MARK: - and

private func lowerAnd(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr:
    op.isFusible(size, .none, .none, .and32rr, .none)
    return op.take(size, and8rr, and16rr, and32rr, and64rr)
  case .ri:
    op.isFusible(size, .none, .none, .and32ri, .none)
    return op.take(size, and8ri, and16ri, and32ri, and64ri)
  case .rm: return op.take(size, and8rm, and16rm, and32rm, and64rm)
  case .mr: return op.take(size, and8mr, and16mr, and32mr, and64mr)
  case .mi: return op.take(size, and8mi, and16mi, and32mi, and64mi)
  default: return false
  }
}
@inline(__always) private func and8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, And.self) }
@inline(__always) private func and16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, And.self) }
@inline(__always) private func and32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, And.self) }
@inline(__always) private func and64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, And.self) }
@inline(__always) private func and8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, And.self) }
@inline(__always) private func and16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, And.self) }
@inline(__always) private func and32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, And.self) }
@inline(__always) private func and64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, And.self) }
@inline(__always) private func and8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, And.self) }
@inline(__always) private func and16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, And.self) }
@inline(__always) private func and32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, And.self) }
@inline(__always) private func and64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, And.self) }
@inline(__always) private func and8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, And.self) }
@inline(__always) private func and16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, And.self) }
@inline(__always) private func and32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, And.self) }
@inline(__always) private func and64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, And.self) }
@inline(__always) private func and8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, And.self) }
@inline(__always) private func and16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, And.self) }
@inline(__always) private func and32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, And.self) }
@inline(__always) private func and64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, And.self) }

// MARK: - or

private func lowerOr(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, or8rr, or16rr, or32rr, or64rr)
  case .ri: return op.take(size, or8ri, or16ri, or32ri, or64ri)
  case .rm: return op.take(size, or8rm, or16rm, or32rm, or64rm)
  case .mr: return op.take(size, or8mr, or16mr, or32mr, or64mr)
  case .mi: return op.take(size, or8mi, or16mi, or32mi, or64mi)
  default: return false
  }
}
@inline(__always) private func or8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, Or.self) }
@inline(__always) private func or16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, Or.self) }
@inline(__always) private func or32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, Or.self) }
@inline(__always) private func or64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, Or.self) }
@inline(__always) private func or8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, Or.self) }
@inline(__always) private func or16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, Or.self) }
@inline(__always) private func or32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, Or.self) }
@inline(__always) private func or64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, Or.self) }
@inline(__always) private func or8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, Or.self) }
@inline(__always) private func or16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, Or.self) }
@inline(__always) private func or32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, Or.self) }
@inline(__always) private func or64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, Or.self) }
@inline(__always) private func or8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, Or.self) }
@inline(__always) private func or16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, Or.self) }
@inline(__always) private func or32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, Or.self) }
@inline(__always) private func or64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, Or.self) }
@inline(__always) private func or8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, Or.self) }
@inline(__always) private func or16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, Or.self) }
@inline(__always) private func or32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, Or.self) }
@inline(__always) private func or64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, Or.self) }

// MARK: - xor

private func lowerXor(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr: return op.take(size, xor8rr, xor16rr, xor32rr, xor64rr)
  case .ri: return op.take(size, xor8ri, xor16ri, xor32ri, xor64ri)
  case .rm: return op.take(size, xor8rm, xor16rm, xor32rm, xor64rm)
  case .mr: return op.take(size, xor8mr, xor16mr, xor32mr, xor64mr)
  case .mi: return op.take(size, xor8mi, xor16mi, xor32mi, xor64mi)
  default: return false
  }
}
@inline(__always) private func xor8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, ExclusiveOr.self) }
@inline(__always) private func xor16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, ExclusiveOr.self) }
@inline(__always) private func xor32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, ExclusiveOr.self) }
@inline(__always) private func xor64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, ExclusiveOr.self) }
@inline(__always) private func xor8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, ExclusiveOr.self) }
@inline(__always) private func xor16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, ExclusiveOr.self) }
@inline(__always) private func xor32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, ExclusiveOr.self) }
@inline(__always) private func xor64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, ExclusiveOr.self) }
@inline(__always) private func xor8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, ExclusiveOr.self) }
@inline(__always) private func xor16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, ExclusiveOr.self) }
@inline(__always) private func xor32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, ExclusiveOr.self) }
@inline(__always) private func xor64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, ExclusiveOr.self) }
@inline(__always) private func xor8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, ExclusiveOr.self) }
@inline(__always) private func xor16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, ExclusiveOr.self) }
@inline(__always) private func xor32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, ExclusiveOr.self) }
@inline(__always) private func xor64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, ExclusiveOr.self) }
@inline(__always) private func xor8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, ExclusiveOr.self) }
@inline(__always) private func xor16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, ExclusiveOr.self) }
@inline(__always) private func xor32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, ExclusiveOr.self) }
@inline(__always) private func xor64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, ExclusiveOr.self) }

// MARK: - test

private func lowerTest(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .rr:
    op.isFusible(size, .test8rr, .none, .test32rr, .test64rr)
    return op.take(size, test8rr, test16rr, test32rr, test64rr)
  case .ri:
    op.isFusible(size, .test8ri, .none, .test32ri, .none)
    return op.take(size, test8ri, test16ri, test32ri, test64ri)
  case .rm: return op.take(size, test8rm, test16rm, test32rm, test64rm)
  case .mr: return op.take(size, test8mr, test16mr, test32mr, test64mr)
  case .mi:
    op.isFusible(size, .test8mi, .none, .none, .none)
    return op.take(size, test8mi, test16mi, test32mi, test64mi)
  default: return false
  }
}
@inline(__always) private func test8rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt8.self, Test.self) }
@inline(__always) private func test16rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt16.self, Test.self) }
@inline(__always) private func test32rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt32.self, Test.self) }
@inline(__always) private func test64rr(_ c: CPU, _ o: Operation) -> Operation? { binaryRR(c, o, UInt64.self, Test.self) }
@inline(__always) private func test8ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt8.self, Test.self) }
@inline(__always) private func test16ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt16.self, Test.self) }
@inline(__always) private func test32ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt32.self, Test.self) }
@inline(__always) private func test64ri(_ c: CPU, _ o: Operation) -> Operation? { binaryRI(c, o, UInt64.self, Test.self) }
@inline(__always) private func test8rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt8.self, Test.self) }
@inline(__always) private func test16rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt16.self, Test.self) }
@inline(__always) private func test32rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt32.self, Test.self) }
@inline(__always) private func test64rm(_ c: CPU, _ o: Operation) -> Operation? { binaryRM(c, o, UInt64.self, Test.self) }
@inline(__always) private func test8mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt8.self, Test.self) }
@inline(__always) private func test16mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt16.self, Test.self) }
@inline(__always) private func test32mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt32.self, Test.self) }
@inline(__always) private func test64mr(_ c: CPU, _ o: Operation) -> Operation? { binaryMR(c, o, UInt64.self, Test.self) }
@inline(__always) private func test8mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt8.self, Test.self) }
@inline(__always) private func test16mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt16.self, Test.self) }
@inline(__always) private func test32mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt32.self, Test.self) }
@inline(__always) private func test64mi(_ c: CPU, _ o: Operation) -> Operation? { binaryMI(c, o, UInt64.self, Test.self) }
