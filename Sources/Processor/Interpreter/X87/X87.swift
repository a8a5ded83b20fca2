import CHost
import X86

// The x87 unit (SDM volume 1, chapter 8). Registers are the 80-bit ones of the guest by physical number; an instruction's own
// arithmetic runs on the host's x87 unit under the guest's control word (CHost/x87.h), everything around it is here: the stack and
// its faults, condition codes, pending exceptions.
//
// `x87_control_status` holds FCW and FSW without TOP; `x87_tags` has a bit for each physical register in use.

/// Whether this host can execute x87 instructions; where it cannot they raise #UD.
public let x87Available = pv_x87_available() != 0

func registerX87(_ table: inout LoweringTable) {
  registerX87Control(&table)
  if x87Available {
    registerX87Arithmetic(&table)
    registerX87Moves(&table)
  }
  registerMMX(&table)
}

/// FSW bits.
enum Status {
  static let invalid: UInt32 = 1
  static let denormal: UInt32 = 2
  static let zeroDivide: UInt32 = 4
  static let overflow: UInt32 = 8
  static let underflow: UInt32 = 0x10
  static let precision: UInt32 = 0x20
  static let stackFault: UInt32 = 0x40
  static let summary: UInt32 = 0x80
  static let c0: UInt32 = 0x100
  static let c1: UInt32 = 0x200
  static let c2: UInt32 = 0x400
  static let c3: UInt32 = 0x4000
  static let busy: UInt32 = 0x8000
  static let comparison: UInt32 = 0x4500
  static let all: UInt32 = 0x4700
}

typealias X87Register = UnsafeMutableRawPointer

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// Bytes of ST(i).
  @inline(__always) func st(_ i: UInt32) -> X87Register {
    address(UInt16(truncatingIfNeeded: StateOffset.x87) &+ UInt16(truncatingIfNeeded: ((pointee.x87_top &+ i) & 7) &* 16))
  }
  @inline(__always) func isEmpty(_ i: UInt32) -> Bool { pointee.x87_tags >> ((pointee.x87_top &+ i) & 7) & 1 == 0 }
  @inline(__always) func markUsed(_ i: UInt32) { pointee.x87_tags |= 1 << ((pointee.x87_top &+ i) & 7) }

  func pop() {
    pointee.x87_tags &= ~(1 << (pointee.x87_top & 7))
    pointee.x87_top = (pointee.x87_top &+ 1) & 7
  }

  /// Makes room for a new ST(0), which the caller fills.
  func push() {
    pointee.x87_top = (pointee.x87_top &- 1) & 7
    markUsed(0)
  }

  @inline(__always) var x87Control: UInt16 { UInt16(truncatingIfNeeded: pointee.x87_control_status) }

  /// FSW with TOP in its place.
  var x87Status: UInt16 { UInt16(truncatingIfNeeded: pointee.x87_control_status >> 16 | (pointee.x87_top & 7) << 11) }

  /// Takes an instruction's status word into FSW: flags stick, and the condition codes of `conditions` are replaced. Returns false
  /// where an unmasked exception of the operands keeps the instruction from having a result.
  @inline(__always) func settle(_ status: UInt32, conditions: UInt32 = Status.c1) -> Bool {
    let word = pointee.x87_control_status
    let unmasked = status & ~word & 0x3F
    var fsw = (word >> 16) & ~conditions | status & (conditions | 0x7F)
    if unmasked != 0 { fsw |= Status.summary | Status.busy }
    pointee.x87_control_status = word & 0xFFFF | fsw << 16
    return unmasked & 7 == 0
  }

  /// A stack fault: C1 tells overflow from underflow, `setting` become 1 and `clearing` 0. Returns whether it is masked.
  func stackFault(overflow: Bool, setting: UInt32 = 0, clearing: UInt32 = 0) -> Bool {
    let codes = (overflow ? Status.c1 : 0) | setting
    return settle(Status.invalid | Status.stackFault | codes, conditions: Status.c1 | setting | clearing)
  }

  @inline(__always) func clearC1() { pointee.x87_control_status &= ~(Status.c1 << 16) }

  /// Derives ES and B from the flags and masks.
  func updateSummary() {
    let word = pointee.x87_control_status
    let pending = (word >> 16) & ~word & 0x3F != 0
    pointee.x87_control_status = pending ? word | 0x8080 << 16 : word & ~(0x8080 << 16)
  }
}

/// The default NaN, which masked invalid operations give.
func putIndefinite(_ register: X87Register) {
  register.storeBytes(of: 0xC000_0000_0000_0000, as: UInt64.self)
  register.storeBytes(of: 0xFFFF, toByteOffset: 8, as: UInt16.self)
}

func copyRegister(_ to: X87Register, _ from: UnsafeRawPointer) {
  let low = from.loadUnaligned(as: UInt64.self)
  let high = from.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
  to.storeBytes(of: low, as: UInt64.self)
  to.storeBytes(of: high, toByteOffset: 8, as: UInt16.self)
}

/// Runs `body` with room for a register (16 bytes, zero) that is none of the guest's.
@inline(__always) func withTemporary<R>(_ body: (X87Register) -> R) -> R {
  var room: (UInt64, UInt64) = (0, 0)
  return withUnsafeMutableBytes(of: &room) { body($0.baseAddress!) }
}

/// Brings the x87 state home if translated code has left it in the host's unit. Call before anything looks at it, or changes it, or uses
/// that unit.
@inline(__always) func settleX87(_ cpu: CPU) {
  if cpu.pointee.x87_live != 0 { pv_x87_leave(cpu) }
}

/// Whether a waiting instruction may go on: no CR0.EM or TS, no pending exception. Its state is home afterwards.
@inline(__always) func x87Ready(_ cpu: CPU) -> Bool {
  settleX87(cpu)
  return cpu.pointee.cr0 & 0xC | UInt64(cpu.pointee.x87_control_status >> 16 & Status.summary) == 0
}

/// What keeps a waiting instruction from going on.
@inline(never) func x87Blocked(_ cpu: CPU, _ op: Operation) -> Operation? {
  raise(cpu, op, cpu.pointee.cr0 & 0xC != 0 ? .nm : .mf)
}

/// For the lowerings: the instruction's number in a family, its operand form, and what it pops.
extension pv_op {
  mutating func describe(_ kind: Int, form: Int = Int(PV_X87_REGISTER), pops: Int = 0) {
    extra = UInt8(truncatingIfNeeded: kind)
    data = UInt64(form) | UInt64(pops) << 8
  }
  @inline(__always) var form: UInt32 { UInt32(truncatingIfNeeded: data & 0xFF) }
  @inline(__always) var pops: UInt32 { UInt32(truncatingIfNeeded: data >> 8 & 0xFF) }
}

func popAll(_ cpu: CPU, _ count: UInt32) {
  if count > 0 { cpu.pop() }
  if count > 1 { cpu.pop() }
}
