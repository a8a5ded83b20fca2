import CHost
import X86

// Two-operand arithmetic: an operation is a pure function of its operands and CF, its flags, and whether it keeps the result.

protocol BinaryOperation {
  static var writes: Bool { get }
  static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T
  static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ result: T)
}

enum Add: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a &+ b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setAddFlags(a, b, r) }
}
enum AddWithCarry: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T {
    a &+ b &+ T(truncatingIfNeeded: cpu.pointee.lazy_aux >> 63)
  }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setAddFlags(a, b, r) }
}
enum Subtract: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a &- b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setSubFlags(a, b, r) }
}
enum SubtractWithBorrow: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T {
    a &- b &- T(truncatingIfNeeded: cpu.pointee.lazy_aux >> 63)
  }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setSubFlags(a, b, r) }
}
enum Compare: BinaryOperation {
  @inline(__always) static var writes: Bool { false }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a &- b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setSubFlags(a, b, r) }
}
enum And: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a & b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setLogicFlags(r) }
}
enum Or: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a | b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setLogicFlags(r) }
}
enum ExclusiveOr: BinaryOperation {
  @inline(__always) static var writes: Bool { true }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a ^ b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setLogicFlags(r) }
}
enum Test: BinaryOperation {
  @inline(__always) static var writes: Bool { false }
  @inline(__always) static func result<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T) -> T { a & b }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ b: T, _ r: T) { cpu.setLogicFlags(r) }
}

/// register ← register op `b`
@inline(__always) func binaryToRegister<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _ b: T, _: O.Type
) -> Operation? {
  let destination = op.pointee.dst
  let a = cpu.get(destination, T.self)
  let r = O.result(cpu, a, b)
  O.setFlags(cpu, a, b, r)
  if O.writes { cpu.set(destination, r) }
  return next(cpu, op)
}

@inline(__always) func binaryRR<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  binaryToRegister(cpu, op, cpu.get(op.pointee.src, T.self), O.self)
}

@inline(__always) func binaryRI<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  binaryToRegister(cpu, op, cpu.immediate(op, T.self), O.self)
}

@inline(__always) func binaryRM<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  guard let p = readable(cpu, cpu.effectiveAddress(op), T.self) else { return binaryRMSlow(cpu, op, T.self, O.self) }
  return binaryToRegister(cpu, op, p.loadUnaligned(as: T.self), O.self)
}

@inline(never) private func binaryRMSlow<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  guard let b = read(cpu, op, cpu.effectiveAddress(op), T.self) else { return raise(cpu, op) }
  return binaryToRegister(cpu, op, b, O.self)
}

/// memory ← memory op `b`
@inline(__always) func binaryToMemory<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _ b: T, _: O.Type
) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  let place = O.writes ? writable(cpu, linear, T.self) : readable(cpu, linear, T.self)
  guard let p = place else { return binaryToMemorySlow(cpu, op, b, O.self) }
  let a = p.loadUnaligned(as: T.self)
  let r = O.result(cpu, a, b)
  if O.writes { p.storeBytes(of: r, as: T.self) }
  O.setFlags(cpu, a, b, r)
  return next(cpu, op)
}

@inline(never) private func binaryToMemorySlow<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _ b: T, _: O.Type
) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  let value = O.writes ? readForWrite(cpu, op, linear, T.self) : read(cpu, op, linear, T.self)
  guard let a = value else { return raise(cpu, op) }
  let r = O.result(cpu, a, b)
  if O.writes { guard write(cpu, op, linear, r) else { return raise(cpu, op) } }
  O.setFlags(cpu, a, b, r)
  return next(cpu, op)
}

@inline(__always) func binaryMR<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  binaryToMemory(cpu, op, cpu.get(op.pointee.src, T.self), O.self)
}

@inline(__always) func binaryMI<T: MachineWord, O: BinaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  binaryToMemory(cpu, op, cpu.immediate(op, T.self), O.self)
}

// MARK: - One operand

protocol UnaryOperation {
  static func result<T: MachineWord>(_ a: T) -> T
  static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ result: T)
}

enum Increment: UnaryOperation {
  @inline(__always) static func result<T: MachineWord>(_ a: T) -> T { a &+ 1 }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ r: T) {
    let carry = cpu.cf
    cpu.setAddFlags(a, 1, r)
    cpu.setCF(carry)
  }
}
enum Decrement: UnaryOperation {
  @inline(__always) static func result<T: MachineWord>(_ a: T) -> T { a &- 1 }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ r: T) {
    let carry = cpu.cf
    cpu.setSubFlags(a, 1, r)
    cpu.setCF(carry)
  }
}
enum Negate: UnaryOperation {
  @inline(__always) static func result<T: MachineWord>(_ a: T) -> T { 0 &- a }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ r: T) { cpu.setSubFlags(0, a, r) }
}
enum Not: UnaryOperation {
  @inline(__always) static func result<T: MachineWord>(_ a: T) -> T { ~a }
  @inline(__always) static func setFlags<T: MachineWord>(_ cpu: CPU, _ a: T, _ r: T) {}
}

@inline(__always) func unaryR<T: MachineWord, O: UnaryOperation>(_ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type) -> Operation? {
  let destination = op.pointee.dst
  let a = cpu.get(destination, T.self)
  let r = O.result(a)
  O.setFlags(cpu, a, r)
  cpu.set(destination, r)
  return next(cpu, op)
}

@inline(__always) func unaryM<T: MachineWord, O: UnaryOperation>(_ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type) -> Operation? {
  guard let p = writable(cpu, cpu.effectiveAddress(op), T.self) else { return unaryMSlow(cpu, op, T.self, O.self) }
  let a = p.loadUnaligned(as: T.self)
  let r = O.result(a)
  p.storeBytes(of: r, as: T.self)
  O.setFlags(cpu, a, r)
  return next(cpu, op)
}

@inline(never) private func unaryMSlow<T: MachineWord, O: UnaryOperation>(
  _ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type
) -> Operation? {
  let linear = cpu.effectiveAddress(op)
  guard let a = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  let r = O.result(a)
  guard write(cpu, op, linear, r) else { return raise(cpu, op) }
  O.setFlags(cpu, a, r)
  return next(cpu, op)
}
