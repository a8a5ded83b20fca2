import CHost
import X86

/// What a platform lends the system instructions; without a hook the instruction raises #GP(0), as for a register or port that does
/// not exist. Hooks are called in the middle of an instruction: they may read the state, and change what they are asked to.
public struct SystemHooks {
  /// RDMSR at CPL 0: number -> value, nil for #GP(0).
  public var readMSR: ((UInt32) -> UInt64?)?
  /// WRMSR at CPL 0: (number, value) -> false for #GP(0).
  public var writeMSR: ((UInt32, UInt64) -> Bool)?
  /// IN and INS that IOPL allows: (port, bytes) -> value.
  public var portIn: ((UInt16, Int) -> UInt32)?
  /// OUT and OUTS that IOPL allows: (port, bytes, value).
  public var portOut: ((UInt16, Int, UInt32) -> Void)?
  /// Elements of REP INS at once: (port, bytes of one, where they go) -> how many were read, 0 to be asked one by one. The first is
  /// read at the current cycle, each other one later.
  public var portInRow: ((UInt16, Int, UnsafeMutableRawBufferPointer) -> Int)?
  /// Elements of REP OUTS at once, likewise.
  public var portOutRow: ((UInt16, Int, UnsafeRawBufferPointer) -> Int)?
  /// Software moved the time-stamp counter (`VCPU.timeStampOffset`).
  public var timeStampMoved: (() -> Void)?
  /// A control register was written at CPL 0 (its number), or CPL changed (-1): translations may be stale.
  public var controlWritten: ((Int) -> Void)?
  /// INVLPG of a linear address, or nil: INVPCID of more than one.
  public var invalidate: ((UInt64?) -> Void)?
  public init() {}
}

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// The current cycle. Exact between blocks and in an operation that ends its block; `budget` is paid per block, on entry.
  var now: UInt64 { pointee.deadline &- UInt64(bitPattern: pointee.budget) }

  /// IA-32e mode: compatibility or 64-bit.
  var longMode: Bool { pointee.mode == 0 || pointee.efer & 0x400 != 0 }
  var ioAllowed: Bool { UInt64(pointee.cpl) <= (pointee.rflags & Flag.iopl) >> 12 }

  /// Linear address of an offset in the current code segment.
  func codeLinear(_ offset: UInt64) -> UInt64 {
    pointee.mode == 0 ? offset : (offset &+ pointee.seg.1.base) & 0xFFFF_FFFF
  }

  func setZF(_ on: Bool) {
    let image = rflags
    setArithmeticFlags(on ? image | Flag.zf : image & ~Flag.zf)
  }
}

func isCanonical(_ address: UInt64) -> Bool {
  let top = Int64(bitPattern: address) >> 47
  return top == 0 || top == -1
}

/// Lowers an instruction without operands of interest to a handler that ends its block.
func ending(_ handler: @escaping pv_handler) -> Lowerer {
  { _, op in
    op.handler = handler
    op.flags |= UInt16(PV_OP_ENDS_BLOCK)
    return true
  }
}

func running(_ handler: @escaping pv_handler) -> Lowerer {
  { _, op in
    op.handler = handler
    return true
  }
}

/// Instructions that exist on some processors and not on ours.
func absent(_: Instruction, _: inout pv_op) -> Bool { false }

func raiseGP(_ cpu: CPU, _ op: Operation) -> Operation? { raise(cpu, op, .gp, 0) }

func registerSystem(_ table: inout LoweringTable) {
  registerSegmentLoads(&table)
  registerFarTransfers(&table)
  registerIdentification(&table)
  registerPrivileged(&table)
  registerPorts(&table)
  registerDescriptorQueries(&table)
  registerStateSave(&table)
}
