import X86

extension Translator {
  /// Emits one instruction; true if it ends the block.
  func emit(_ index: Int) -> Bool {
    currentIndex = index
    let step = steps[index]
    let i = step.instruction
    if (step.flagsSet | step.mayChange) & FlagSet.carry != 0 {
      if case .arithmetic(let number) = step.native, number == 2 || number == 3 {} else { carryByteValid = false }
    }
    switch step.native! {
    case .nop: break
    case .move: emitMove(index, i)
    case .zeroExtend: emitExtend(index, i, signed: false)
    case .signExtend: emitExtend(index, i, signed: true)
    case .lea: emitLea(i)
    case .arithmetic(let number): emitArithmetic(index, number, i)
    case .test: emitTest(index, i)
    case .increment: emitStep(index, i, NativeFlags.increment)
    case .decrement: emitStep(index, i, NativeFlags.decrement)
    case .negate: emitNegate(index, i)
    case .not: emitNot(index, i)
    case .shift(let number): emitShift(index, number, i)
    case .rotate(let number): emitRotate(index, number, i)
    case .doubleShift(let opcode): emitDoubleShift(index, opcode, i)
    case .multiply: emitMultiply(index, i)
    case .wideMultiply(let number): emitWideMultiply(index, number, i)
    case .divide(let number): emitDivide(index, number, i)
    case .push: emitPush(index, i)
    case .pop: emitPop(index, i)
    case .leaveFrame: emitLeaveFrame(index, i)
    case .pushFlags: emitPushFlags(index, i)
    case .call: emitCall(index, i)
    case .ret: emitReturn(index, i)
    case .jump: emitJump(index, i)
    case .conditionalJump(let condition): emitConditionalJump(index, condition, i)
    case .jumpIfZero, .loop: emitCount(index, i)
    case .systemCall: emitSystemCall(index, i)
    case .readTimeStamp(let withProcessor): emitReadTimeStamp(index, withProcessor)
    case .readSegment(let segment): emitReadSegment(index, segment, i)
    case .readControl(let number): emitReadControl(index, number, i)
    case .readBase(let segment): emitSegmentBase(index, segment, write: false, i)
    case .writeBase(let segment): emitSegmentBase(index, segment, write: true, i)
    case .swapGS: emitSwapGS(index)
    case .clearInterrupts: emitClearInterrupts(index)
    case .setInterrupts: emitSetInterrupts(index)
    case .conditionalSet(let condition): emitConditionalSet(index, condition, i)
    case .conditionalMove(let condition): emitConditionalMove(index, condition, i)
    case .widen(let opcode, let size):
      if size == 2 { code.byte(0x66) }
      if size == 8 { code.byte(0x48) }
      code.byte(opcode)
    case .exchange: emitExchange(index, i)
    case .exchangeAdd: emitExchangeAdd(index, i)
    case .compareExchange: emitCompareExchange(index, i)
    case .compareExchangeWide(let bytes): emitCompareExchangeWide(index, bytes, i)
    case .byteSwap: emitByteSwap(index, i)
    case .bigEndianMove: emitBigEndianMove(index, i)
    case .bitTest(let kind): emitBitTest(index, kind, i)
    case .scan(let prefix, let opcode): emitScan(index, prefix, opcode, i)
    case .threeOperand(let encoding): emitThreeOperand(index, encoding, i)
    case .addFlag(let prefix): emitAddFlag(index, prefix, i)
    case .checksum: emitChecksum(index, i)
    case .carry(let opcode):
      ensureKept(step, reads: step.flagsRead)
      code.byte(opcode)
      if step.needsSave { saveBeside(FlagSet.carry) }
    case .direction(let down): emitDirection(down)
    case .flagsToAH:
      ensureHost()
      code.byte(0x9F)
    case .flagsFromAH:
      ensureKept(step, reads: step.needsSave ? FlagSet.overflow : 0)
      code.byte(0x9E)
      if step.needsSave { saveImage() }
    case .storeString(let size): emitStringStore(index, size, i)
    case .loadString(let size): emitStringLoad(index, size, i)
    case .moveString(let size): emitStringMove(index, size, i)
    case .vector(let encoding): emitVector(index, i, encoding)
    case .x87(let encoding): emitX87(index, i, encoding)
    }
    switch step.native! {
    case .call, .ret, .jump, .conditionalJump, .jumpIfZero, .loop, .systemCall: return true
    default: return false
    }
  }
}
