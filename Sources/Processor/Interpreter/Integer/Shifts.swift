import CHost
import X86

// Shifts and rotates. The count is `op.imm` plus the byte at `op.src` (CL, or `zero` for an immediate), masked to 5 bits, or 6
// for 64-bit operands. Results that the manuals leave undefined are in Documentation/UndefinedResults.md.

/// What a shift by a count that is not 0 makes: nil where nothing changes, flags included.
struct Shifted<T: MachineWord> {
  var value: T
  var carry: Bool
  var overflow: Bool
  @inline(__always) init(_ value: T, carry: Bool, overflow: Bool) {
    self.value = value
    self.carry = carry
    self.overflow = overflow
  }
}

extension ShiftOperation {
  @inline(__always) static var keepsOverflow: Bool { false }
}

protocol ShiftOperation {
  /// A rotate changes CF and OF only.
  static var rotates: Bool { get }
  /// ... and in a register by an immediate count CF only, unless that is 1.
  static var keepsOverflow: Bool { get }
  /// `count` is 1...31, or 1...63 for 64-bit operands.
  static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>?
}

/// The sign bit.
@inline(__always) private func top<T: MachineWord>(_ a: T) -> Bool { a >> (T.bitWidth &- 1) != 0 }
/// Whether the two uppermost bits differ: the overflow of a left shift's first step.
@inline(__always) private func topsDiffer<T: MachineWord>(_ a: T) -> Bool { top(a ^ (a &<< 1)) }
@inline(__always) private func bit(_ a: UInt64, _ n: UInt64) -> Bool { (a &>> n) & 1 != 0 }

enum ShiftLeft: ShiftOperation {
  @inline(__always) static var rotates: Bool { false }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let wide = UInt64(truncatingIfNeeded: a)
    let carry = T.bitWidth == 64 ? bit(wide, 64 &- count) : bit(wide &<< count, UInt64(truncatingIfNeeded: T.bitWidth))
    return Shifted(T(truncatingIfNeeded: wide &<< count), carry: carry, overflow: topsDiffer(a))
  }
}
enum ShiftRight: ShiftOperation {
  @inline(__always) static var rotates: Bool { false }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let wide = UInt64(truncatingIfNeeded: a)
    return Shifted(T(truncatingIfNeeded: wide &>> count), carry: bit(wide, count &- 1), overflow: top(a))
  }
}
enum ShiftArithmeticRight: ShiftOperation {
  @inline(__always) static var rotates: Bool { false }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let wide = Int64(bitPattern: signExtended(a))
    let value = T(truncatingIfNeeded: wide &>> Int64(bitPattern: count))
    return Shifted(value, carry: (wide &>> Int64(bitPattern: count &- 1)) & 1 != 0, overflow: false)
  }
}
enum RotateLeft: ShiftOperation {
  @inline(__always) static var rotates: Bool { true }
  @inline(__always) static var keepsOverflow: Bool { true }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let left = T(truncatingIfNeeded: count)
    let value = (a &<< left) | (a &>> (0 &- left))
    return Shifted(value, carry: value & 1 != 0, overflow: topsDiffer(a))
  }
}
enum RotateRight: ShiftOperation {
  @inline(__always) static var rotates: Bool { true }
  @inline(__always) static var keepsOverflow: Bool { true }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let right = T(truncatingIfNeeded: count)
    let value = (a &>> right) | (a &<< (0 &- right))
    return Shifted(value, carry: top(value), overflow: top(a) != (a & 1 != 0))
  }
}
enum RotateCarryLeft: ShiftOperation {
  @inline(__always) static var rotates: Bool { true }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let bits = UInt64(truncatingIfNeeded: T.bitWidth)
    let left = T.bitWidth < 32 ? count % (bits &+ 1) : count
    if left == 0 { return nil }
    let carryIn: T = cpu.cf ? 1 : 0
    // Shifts by the whole width give 0 here, so Swift's own operators.
    let value = (a << left) | (carryIn << (left &- 1)) | (a >> (bits &+ 1 &- left))
    return Shifted(value, carry: (a >> (bits &- left)) & 1 != 0, overflow: topsDiffer(a))
  }
}
enum RotateCarryRight: ShiftOperation {
  @inline(__always) static var rotates: Bool { true }
  @inline(__always) static func shift<T: MachineWord>(_ cpu: CPU, _ a: T, _ count: UInt64) -> Shifted<T>? {
    let bits = UInt64(truncatingIfNeeded: T.bitWidth)
    let right = T.bitWidth < 32 ? count % (bits &+ 1) : count
    if right == 0 { return nil }
    let carryIn: T = cpu.cf ? 1 : 0
    let value = (a >> right) | (carryIn << (bits &- right)) | (a << (bits &+ 1 &- right))
    return Shifted(value, carry: (a >> (right &- 1)) & 1 != 0, overflow: top(a) != cpu.cf)
  }
}

@inline(__always) private func commit<T: MachineWord, O: ShiftOperation>(
  _ cpu: CPU, _ op: Operation, _ r: Shifted<T>, _ count: UInt64, inRegister: Bool, _: O.Type
) {
  guard O.rotates else { return cpu.setFlags(r.value, carry: r.carry, overflow: r.overflow) }
  // A plain rotate of a register by an immediate other than 1 keeps OF.
  if O.keepsOverflow && inRegister && count != 1 && op.pointee.src == StateOffset.zero { return cpu.setCF(r.carry) }
  cpu.setCFOF(r.carry, r.overflow)
}

@inline(__always) func shiftCount<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> UInt64 {
  let count = UInt64(cpu.get(op.pointee.src, UInt8.self)) &+ UInt64(bitPattern: op.pointee.imm)
  return count & (T.bitWidth == 64 ? 63 : 31)
}

@inline(__always) func shiftR<T: MachineWord, O: ShiftOperation>(_ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type) -> Operation? {
  let count = shiftCount(cpu, op, T.self)
  let destination = op.pointee.dst
  let a = cpu.get(destination, T.self)
  guard count != 0, let r = O.shift(cpu, a, count) else {
    cpu.set(destination, a)
    return next(cpu, op)
  }
  commit(cpu, op, r, count, inRegister: true, O.self)
  cpu.set(destination, r.value)
  return next(cpu, op)
}

/// By an immediate count that is not 0.
@inline(__always) func shiftI<T: MachineWord, O: ShiftOperation>(_ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type) -> Operation? {
  let destination = op.pointee.dst
  let count = UInt64(bitPattern: op.pointee.imm)
  guard let r = O.shift(cpu, cpu.get(destination, T.self), count) else { return next(cpu, op) }
  commit(cpu, op, r, count, inRegister: true, O.self)
  cpu.set(destination, r.value)
  return next(cpu, op)
}

@inline(__always) func shiftM<T: MachineWord, O: ShiftOperation>(_ cpu: CPU, _ op: Operation, _: T.Type, _: O.Type) -> Operation? {
  let count = shiftCount(cpu, op, T.self)
  let linear = cpu.effectiveAddress(op)
  guard let a = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  guard count != 0, let r = O.shift(cpu, a, count) else { return next(cpu, op) }
  guard write(cpu, op, linear, r.value) else { return raise(cpu, op) }
  commit(cpu, op, r, count, inRegister: false, O.self)
  return next(cpu, op)
}

/// Puts the count's two parts in place: `.r` or `.m`, or `.ri` for a register by an immediate that is not 0.
func shiftForm(_ i: Instruction, _ op: inout pv_op) -> Form {
  let destination = i.operands.0
  let count = i.operands.1
  let isMemory = destination.kind == .memory
  switch count.kind {
  case .general:
    op.imm = 0
    return isMemory ? .m : .r
  case .immediate, .none:
    let mask: Int64 = destination.size == 8 ? 63 : 31
    op.imm = (count.kind == .none ? 1 : i.immediate) & mask
    op.src = StateOffset.zero
    return isMemory ? .m : op.imm != 0 ? .ri : .r
  default: return .other
  }
}

// MARK: - SHLD, SHRD

func registerDoubleShifts(_ table: inout LoweringTable) {
  table.register("shld") { i, op in
    prepareDouble(i, &op)
    let size = i.operands.0.size
    if i.operands.0.kind == .memory {
      return op.take(
        size, nil, { doubleM($0, $1, UInt16.self, left: true) }, { doubleM($0, $1, UInt32.self, left: true) },
        { doubleM($0, $1, UInt64.self, left: true) })
    }
    return op.take(
      size, nil, { doubleR($0, $1, UInt16.self, left: true) }, { doubleR($0, $1, UInt32.self, left: true) },
      { doubleR($0, $1, UInt64.self, left: true) })
  }
  table.register("shrd") { i, op in
    prepareDouble(i, &op)
    let size = i.operands.0.size
    if i.operands.0.kind == .memory {
      return op.take(
        size, nil, { doubleM($0, $1, UInt16.self, left: false) }, { doubleM($0, $1, UInt32.self, left: false) },
        { doubleM($0, $1, UInt64.self, left: false) })
    }
    return op.take(
      size, nil, { doubleR($0, $1, UInt16.self, left: false) }, { doubleR($0, $1, UInt32.self, left: false) },
      { doubleR($0, $1, UInt64.self, left: false) })
  }
}

private func prepareDouble(_ i: Instruction, _ op: inout pv_op) {
  if i.operands.2.kind == .immediate { op.src2 = StateOffset.zero } else { op.imm = 0 }
}

@inline(__always) private func doubleCount<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type) -> UInt64 {
  let count = UInt64(cpu.get(op.pointee.src2, UInt8.self)) &+ UInt64(bitPattern: op.pointee.imm)
  return count & (T.bitWidth == 64 ? 63 : 31)
}

/// `a` with bits of `b` shifted in. 16-bit operands shift by up to 31 as if `a` followed `b` once more.
@inline(__always) private func double<T: MachineWord>(_ a: T, _ b: T, _ count: UInt64, left: Bool) -> Shifted<T> {
  let wideA = UInt64(truncatingIfNeeded: a)
  let wideB = UInt64(truncatingIfNeeded: b)
  if T.bitWidth == 16 {
    let joined = wideA << 32 | wideB << 16 | wideA
    if left { return Shifted(T(truncatingIfNeeded: (joined &<< count) >> 32), carry: bit(joined, 48 &- count), overflow: topsDiffer(a)) }
    return Shifted(T(truncatingIfNeeded: joined &>> count), carry: bit(joined, count &- 1), overflow: top(a) != (b & 1 != 0))
  }
  let bits = UInt64(truncatingIfNeeded: T.bitWidth)
  if left {
    let value = (a << count) | (b >> (bits &- count))
    return Shifted(value, carry: bit(wideA, bits &- count), overflow: topsDiffer(a))
  }
  let value = (a >> count) | (b << (bits &- count))
  return Shifted(value, carry: bit(wideA, count &- 1), overflow: top(a) != (b & 1 != 0))
}

@inline(__always) private func doubleR<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, left: Bool) -> Operation? {
  let count = doubleCount(cpu, op, T.self)
  let a = cpu.get(op.pointee.dst, T.self)
  if count == 0 {
    cpu.set(op.pointee.dst, a)
    return next(cpu, op)
  }
  let r = double(a, cpu.get(op.pointee.src, T.self), count, left: left)
  cpu.setFlags(r.value, carry: r.carry, overflow: r.overflow)
  cpu.set(op.pointee.dst, r.value)
  return next(cpu, op)
}

@inline(__always) private func doubleM<T: MachineWord>(_ cpu: CPU, _ op: Operation, _: T.Type, left: Bool) -> Operation? {
  let count = doubleCount(cpu, op, T.self)
  let linear = cpu.effectiveAddress(op)
  guard let a = readForWrite(cpu, op, linear, T.self) else { return raise(cpu, op) }
  if count == 0 { return next(cpu, op) }
  let r = double(a, cpu.get(op.pointee.src, T.self), count, left: left)
  guard write(cpu, op, linear, r.value) else { return raise(cpu, op) }
  cpu.setFlags(r.value, carry: r.carry, overflow: r.overflow)
  return next(cpu, op)
}
