import CHost
import X86

// One named function per operation, form and size: each becomes a C function of its own without a thunk in between, and has a
// name in a profile.

func registerUnary(_ table: inout LoweringTable) {
  table.register("inc") { lowerInc($0, &$1) }
  table.register("dec") { lowerDec($0, &$1) }
  table.register("neg") { lowerNeg($0, &$1) }
  table.register("not") { lowerNot($0, &$1) }
}

// MARK: - inc

private func lowerInc(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .r: return op.take(size, inc8r, inc16r, inc32r, inc64r)
  case .m: return op.take(size, inc8m, inc16m, inc32m, inc64m)
  default: return false
  }
}
@inline(__always) private func inc8r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt8.self, Increment.self) }
@inline(__always) private func inc16r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt16.self, Increment.self) }
@inline(__always) private func inc32r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt32.self, Increment.self) }
@inline(__always) private func inc64r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt64.self, Increment.self) }
@inline(__always) private func inc8m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt8.self, Increment.self) }
@inline(__always) private func inc16m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt16.self, Increment.self) }
@inline(__always) private func inc32m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt32.self, Increment.self) }
@inline(__always) private func inc64m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt64.self, Increment.self) }

// MARK: - dec

private func lowerDec(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .r: return op.take(size, dec8r, dec16r, dec32r, dec64r)
  case .m: return op.take(size, dec8m, dec16m, dec32m, dec64m)
  default: return false
  }
}
@inline(__always) private func dec8r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt8.self, Decrement.self) }
@inline(__always) private func dec16r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt16.self, Decrement.self) }
@inline(__always) private func dec32r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt32.self, Decrement.self) }
@inline(__always) private func dec64r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt64.self, Decrement.self) }
@inline(__always) private func dec8m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt8.self, Decrement.self) }
@inline(__always) private func dec16m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt16.self, Decrement.self) }
@inline(__always) private func dec32m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt32.self, Decrement.self) }
@inline(__always) private func dec64m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt64.self, Decrement.self) }

// MARK: - neg

private func lowerNeg(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .r: return op.take(size, neg8r, neg16r, neg32r, neg64r)
  case .m: return op.take(size, neg8m, neg16m, neg32m, neg64m)
  default: return false
  }
}
@inline(__always) private func neg8r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt8.self, Negate.self) }
@inline(__always) private func neg16r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt16.self, Negate.self) }
@inline(__always) private func neg32r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt32.self, Negate.self) }
@inline(__always) private func neg64r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt64.self, Negate.self) }
@inline(__always) private func neg8m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt8.self, Negate.self) }
@inline(__always) private func neg16m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt16.self, Negate.self) }
@inline(__always) private func neg32m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt32.self, Negate.self) }
@inline(__always) private func neg64m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt64.self, Negate.self) }

// MARK: - not

private func lowerNot(_ i: Instruction, _ op: inout pv_op) -> Bool {
  let size = i.operands.0.size
  switch Form(i) {
  case .r: return op.take(size, not8r, not16r, not32r, not64r)
  case .m: return op.take(size, not8m, not16m, not32m, not64m)
  default: return false
  }
}
@inline(__always) private func not8r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt8.self, Not.self) }
@inline(__always) private func not16r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt16.self, Not.self) }
@inline(__always) private func not32r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt32.self, Not.self) }
@inline(__always) private func not64r(_ c: CPU, _ o: Operation) -> Operation? { unaryR(c, o, UInt64.self, Not.self) }
@inline(__always) private func not8m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt8.self, Not.self) }
@inline(__always) private func not16m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt16.self, Not.self) }
@inline(__always) private func not32m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt32.self, Not.self) }
@inline(__always) private func not64m(_ c: CPU, _ o: Operation) -> Operation? { unaryM(c, o, UInt64.self, Not.self) }
