import CHost
import X86

// 32-bit code: that of protected mode with flat segments, and of compatibility mode. It is the same instructions with addresses, a stack and
// jumps of 4 bytes. What its segments ask for is what the interpreter's operations of such code do: where the processor stands for itself
// CS, SS, DS and ES are flat (else the mode has PV_MODE_SEGMENTED, which is the interpreter's), and FS and GS are looked at as they are;
// elsewhere every segment's base is added, and nothing is looked at.

extension UnsafeMutablePointer where Pointee == pv_vcpu {
  /// The translator covers code of this mode.
  @inline(__always) var isTranslatable: Bool { pointee.mode == 0 || isNarrow(pointee.mode) }
  /// What the jump table knows the code at RIP by.
  @inline(__always) var jumpKey: UInt64 { pointee.mode == 0 ? pointee.rip : pointee.rip | TranslationSets.narrowJump }
}

/// 32-bit code whose segments are not in the way.
@inline(__always) func isNarrow(_ mode: UInt32) -> Bool { mode | UInt32(PV_MODE_FSGS) == UInt32(PV_MODE_FSGS) | 1 }

extension TranslationSets {
  /// A jump's address with this bit is 32-bit code's, so that 64-bit code at the same address does not find it. (No canonical address has
  /// this bit but not the one above it.)
  static let narrowJump = UInt64(1) << 62

  /// The page of a jump's address.
  @inline(__always) static func jumpPage(_ rip: UInt64) -> UInt64 { rip & (rip >> 63 == 0 ? ~4095 & ~narrowJump : ~4095) }
}

extension Translator {
  /// Bytes of an address, of what the stack takes, of a jump's target.
  var word: Int { isNarrow ? 4 : 8 }

  /// The offset of the memory operand in its segment, into `a`. Changes no flags.
  func narrowOffset(_ i: Instruction) {
    let displacement = Int(Int32(truncatingIfNeeded: i.displacement))
    let base = i.base >= 0 ? Host.of(Int(i.base)) : nil
    let index = i.index >= 0 ? Host.of(Int(i.index)) : nil
    switch (base, index) {
    case (let base?, let index?):
      code.rm(0x8D, Host.a, base: base, index: index, scale: Int(i.scale), displacement: displacement, size: 4)
    case (let base?, nil):
      if displacement == 0 {
        code.rr(0x8B, Host.a, base, size: 4)
      } else {
        code.rm(0x8D, Host.a, base: base, displacement: displacement, size: 4)
      }
    case (nil, let index?): code.rmNoBase(0x8D, Host.a, index: index, scale: Int(i.scale), displacement: displacement, size: 4)
    case (nil, nil): code.immediate(Host.a, UInt64(UInt32(truncatingIfNeeded: displacement)))
    }
  }

  /// Makes the offset in `a` of an access of `accessSize` bytes a linear address. Changes flags and `b`. An access that FS or GS does not
  /// allow goes the way of a miss.
  func narrowSegment(_ segment: UInt8) {
    let place = Int(StateOffset.segmentBase(Int(min(segment, 5))))
    if checksSegments {
      guard segment >= 4 else { return }
      // Data that may be read and written, to the last byte: then only the end of the address space is a limit.
      code.rs(0x0FB7, Host.b, place + At.attributes, size: 4)
      code.groupImmediate(4, Host.b, 0x9E, size: 4)
      code.groupImmediate(7, Host.b, 0x92, size: 4)
      segmentMisses.append(code.jump(condition: 5))
      code.rs(0x83, 7, place + At.limit, size: 4)
      code.byte(-1)
      segmentMisses.append(code.jump(condition: 5))
      if accessSize > 1 {
        code.groupImmediate(7, Host.a, -accessSize, size: 4)
        segmentMisses.append(code.jump(condition: 7))
      }
    }
    code.rs(0x03, Host.a, place, size: 4)
  }
}

extension At {
  static let limit = MemoryLayout<pv_segment>.offset(of: \.limit)!
  static let attributes = MemoryLayout<pv_segment>.offset(of: \.attributes)!
}

extension Step {
  /// Leaves to the interpreter what is another instruction in 32-bit code, or was not thought of for it.
  mutating func classifyNarrow() {
    guard let kind = native else { return }
    let o = instruction.operands
    switch kind {
    case .move, .zeroExtend, .signExtend, .lea, .nop, .arithmetic, .test, .increment, .decrement, .negate, .not, .shift, .rotate,
      .doubleShift, .multiply, .wideMultiply, .divide, .conditionalSet, .conditionalMove, .widen, .exchange, .byteSwap, .exchangeAdd,
      .compareExchange, .compareExchangeWide, .bitTest, .scan, .threeOperand, .addFlag, .checksum, .bigEndianMove, .carry, .direction,
      .flagsToAH, .flagsFromAH, .readTimeStamp, .storeString, .loadString, .moveString, .x87, .push, .pop, .leaveFrame, .pushFlags,
      .clearInterrupts, .setInterrupts, .readSegment, .readControl:
      break
    case .call, .ret, .jump, .conditionalJump, .jumpIfZero, .loop:
      // A prefix cuts the target to 16 bits.
      if instruction.operandSize != 4 { native = nil }
    case .vector(let encoding):
      // Bits that name another register in 64-bit code mean nothing here.
      guard encoding.vex else { return }
      let named = o.3.kind == .vector && (encoding.immediate ?? 0) & 0x80 != 0
      // VZEROALL and VZEROUPPER are of eight registers; a wide general operand, or one in its place in memory, is not wide.
      let isZeroing = encoding.map == 0 && encoding.opcode == 0x77
      let isNarrowed = encoding.wide && (encoding.map == 0 || encoding.map == 0x3A && [0x16, 0x22].contains(encoding.opcode))
      if isZeroing || isNarrowed || encoding.vexBits & 0x10 == 0 || encoding.reg > 7 || encoding.rm > 7 || named {
        native = nil
      }
    default: native = nil
    }
  }
}
