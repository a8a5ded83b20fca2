import CHost
import X86

// Limits and types of segments, in code whose segments are not all flat (SDM volume 3, 5.3 and 5.5).
//
// Such code has operations of its own: where an instruction has a memory operand, a check comes first, and what pushes, pops or branches
// is another operation altogether (`SegmentedStack`, `SegmentedBranches`, `SegmentedStrings`). The operation that is checked keeps its
// own handler, the operand's size and whether it is written in `link0`, which nothing but a relative branch has a use for.

/// Whether an access is inside a segment that allows it.
///
/// - Parameters:
///   - segmentOffset: the segment register's place in `pv_vcpu`.
///   - offset: in the segment, less than 2^32.
func segmentAllows(_ cpu: CPU, _ segmentOffset: UInt16, _ offset: UInt64, _ size: UInt64, write: Bool) -> Bool {
  let segment = cpu.address(segmentOffset).assumingMemoryBound(to: pv_segment.self)
  let attributes = segment.pointee.attributes
  let last = offset &+ size &- 1
  if !cpu.hasParagraphs {
    if attributes & 0x80 == 0 { return false }
    if attributes & 8 != 0 {
      if write || attributes & 2 == 0 { return false }
    } else {
      if write && attributes & 2 == 0 { return false }
      if attributes & 4 != 0 {
        return offset > UInt64(segment.pointee.limit) && last <= (attributes & 0x400 != 0 ? 0xFFFF_FFFF : 0xFFFF)
      }
    }
  }
  return last <= UInt64(segment.pointee.limit)
}

/// Raises what an access that a segment does not allow raises: #SS(0) for the stack's, #GP(0) for the others.
func raiseSegment(_ cpu: CPU, _ op: Operation, _ segmentOffset: UInt16) -> Operation? {
  raise(cpu, op, segmentOffset == StateOffset.segmentBase(Int(PV_SS)) ? .ss : .gp, 0)
}

/// What `link0` holds of a checked operation.
private struct Checked {
  var bits: UInt

  init(_ handler: pv_handler, size: Int, write: Bool) {
    bits = UInt(bitPattern: unsafeBitCast(handler, to: UnsafeRawPointer.self)) & 0xFFFF_FFFF_FFFF
    bits |= UInt(size & 0xFFF) << 48 | (write ? 1 << 60 : 0)
  }
  @inline(__always) init(_ op: Operation) { bits = UInt(bitPattern: op.pointee.link0) }
  @inline(__always) var size: UInt64 { UInt64(bits >> 48 & 0xFFF) }
  @inline(__always) var isWrite: Bool { bits >> 60 & 1 != 0 }
  @inline(__always) var handler: pv_handler {
    unsafeBitCast(UnsafeRawPointer(bitPattern: bits & 0xFFFF_FFFF_FFFF), to: pv_handler.self)
  }
}

extension pv_op {
  /// Puts a check before the operation's handler.
  fileprivate mutating func check(size: Int, write: Bool, by check: pv_handler) {
    link0 = UnsafeMutablePointer(bitPattern: Checked(handler, size: size, write: write).bits)
    handler = check
    // Not to be joined with the branch behind it, which would run the handler without the check.
    flags &= ~UInt16(PV_OP_FUSIBLE)
  }
}

@inline(__always) private func checked(_ cpu: CPU, _ op: Operation, _ offset: UInt64) -> Operation? {
  let checked = Checked(op)
  guard segmentAllows(cpu, op.pointee.segbase, offset, checked.size, write: checked.isWrite) else {
    return raiseSegment(cpu, op, op.pointee.segbase)
  }
  return checked.handler(cpu, op)
}

private func checkOperand(_ cpu: CPU, _ op: Operation) -> Operation? { checked(cpu, op, cpu.effectiveOffset(op)) }

/// XLAT adds AL to its address.
private func checkTable(_ cpu: CPU, _ op: Operation) -> Operation? {
  checked(cpu, op, addressed(op, cpu.effectiveOffset(op) &+ cpu.rax & 0xFF))
}

/// A bit offset in a register reaches beyond the operand.
private func checkBits(_ cpu: CPU, _ op: Operation) -> Operation? {
  let size = Int64(op.pointee.size)
  let bit =
    size == 2
    ? Int64(Int16(truncatingIfNeeded: cpu.get(op.pointee.src, UInt16.self)))
    : Int64(Int32(truncatingIfNeeded: cpu.get(op.pointee.src, UInt32.self)))
  let words = bit >> (size == 2 ? 4 : 5)
  return checked(cpu, op, addressed(op, cpu.effectiveOffset(op) &+ UInt64(bitPattern: words &* size)))
}

/// An offset in the operation's address size.
private func addressed(_ op: Operation, _ offset: UInt64) -> UInt64 {
  offset & (op.pointee.flags & UInt16(PV_OP_ADDRESS16) != 0 ? 0xFFFF : 0xFFFF_FFFF)
}

/// What the lowering of segmented code needs to know about an instruction.
enum SegmentedKind: UInt8 {
  /// Its memory operand, if it has one, is checked; as the first operand it is written.
  case ordinary
  /// A memory operand is only read.
  case reads
  /// A memory operand that is no access.
  case noAccess
  case table, bits
  case jump, call, conditional, count, ret
  case push, pop, pushAll, popAll, pushFlags, popFlags, enter, leave
  case string
}

/// Adds to a lowered operation what `mode` asks for.
func addSegmentation(_ i: Instruction, _ mode: UInt32, _ op: inout pv_op) {
  let kind = SegmentedKinds.shared[i.mnemonic]
  if mode & UInt32(PV_MODE_SEGMENTED) == 0 {
    // Only FS and GS are to be looked at.
    guard i.segment == 4 || i.segment == 5 else { return }
    if kind == .string && i.operandCount == 0 {
      checkString(&op, i)
    } else if kind.rawValue <= SegmentedKind.bits.rawValue || i.hasMemoryOperand {
      addOperandCheck(i, kind, &op)
    }
    return
  }
  op.flags |= UInt16(PV_OP_SEGMENTED)
  switch kind {
  case .string:
    if i.operandCount == 0 {
      checkString(&op, i)
    } else {
      addOperandCheck(i, kind, &op)
    }
    return
  case .jump, .call, .conditional, .count, .ret: lowerSegmentedBranch(i, kind, &op)
  case .push, .pop, .pushAll, .popAll, .pushFlags, .popFlags, .enter, .leave: lowerSegmentedStack(i, kind, &op)
  default: break
  }
  if kind != .pop { addOperandCheck(i, kind, &op) }
}

private func addOperandCheck(_ i: Instruction, _ kind: SegmentedKind, _ op: inout pv_op) {
  if kind == .noAccess { return }
  if kind == .table {
    op.check(size: 1, write: false, by: checkTable)
    return
  }
  var place = -1
  for n in 0..<Int(i.operandCount) where i.operand(n).kind == .memory { place = n }
  guard place >= 0 else { return }
  var size = Int(i.operand(place).size)
  // The areas of FXSAVE and XSAVE have no operand size.
  if size == 0 { size = 512 }
  let register = i.operands.1.kind == .general
  switch kind {
  case .bits where register: op.check(size: size, write: i.mnemonic.name != "bt", by: checkBits)
  case .bits: op.check(size: size, write: i.mnemonic.name != "bt", by: checkOperand)
  case .reads, .jump, .call, .push: op.check(size: size, write: false, by: checkOperand)
  default: op.check(size: size, write: place == 0, by: checkOperand)
  }
}

/// `SegmentedKind` by mnemonic.
struct SegmentedKinds: Sendable {
  private var kinds = [SegmentedKind](repeating: .ordinary, count: 1 << 12)

  static let shared = SegmentedKinds()

  subscript(mnemonic: Mnemonic) -> SegmentedKind {
    let index = Int(mnemonic.rawValue)
    return index < kinds.count ? kinds[index] : .ordinary
  }

  private mutating func set(_ names: String, _ kind: SegmentedKind) {
    for name in names.split(separator: " ") {
      if let mnemonic = Mnemonic(String(name)) { kinds[Int(mnemonic.rawValue) & 0xFFF] = kind }
    }
  }

  private init() {
    set("lea invlpg nop prefetch prefetchw prefetchwt1 prefetchnta prefetcht0 prefetcht1 prefetcht2 clflush clflushopt clwb", .noAccess)
    set("cmp test mul imul div idiv jmpf callf lgdt lidt lldt ltr lmsw verr verw bound ldmxcsr fxrstor fxrstor64 xrstor xrstor64", .reads)
    set("fld fild fbld fldcw fldenv frstor fadd fsub fsubr fmul fdiv fdivr fcom fcomp fiadd fisub fisubr fimul fidiv fidivr", .reads)
    set("ficom ficomp vldmxcsr", .reads)
    set("xlatb", .table)
    set("bt bts btr btc", .bits)
    set("jmp", .jump)
    set("call", .call)
    set("jo jno jb jae jz jnz jbe ja js jns jp jnp jl jge jle jg", .conditional)
    set("jcxz jecxz jrcxz loop loope loopne", .count)
    set("ret", .ret)
    set("push", .push)
    set("pop", .pop)
    set("pushaw pushad", .pushAll)
    set("popaw popad", .popAll)
    set("pushfw pushfd", .pushFlags)
    set("popfw popfd", .popFlags)
    set("enter", .enter)
    set("leave", .leave)
    set("movsb movsw movsd stosb stosw stosd lodsb lodsw lodsd cmpsb cmpsw cmpsd scasb scasw scasd", .string)
  }
}
