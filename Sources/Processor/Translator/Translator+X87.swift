import X86

// x87 as itself: the guest's state is in the host's unit from the first block that uses it until somebody wants to look (`settleX87`),
// at the latest until the processor's run ends; neither the run loop nor the interpreter's other handlers use that unit. It is there
// only while every exception is masked, so no instruction here can fault but by its memory operand, which is looked up first.

extension Translator {
  func emitX87(_ index: Int, _ i: Instruction, _ e: X87Encoding) {
    let memory = i.hasMemoryOperand ? i.operands.0 : nil
    if let memory {
      var misses = [lookUpOnce(i, size: Int(memory.size), write: e.shape == .store)]
      let after = emitKnowing(e, memory)
      if e.shape == .loadControl {
        misses.append(loadControl())
      } else if after == nil, !isNaNPass || !emitMindingNaNs(e, memory) {
        onOperand(e.opcode, e.modRM >> 3 & 7, size: 4)
      }
      slowPath(index, from: misses, resume: code.position)
      known?.step(e, after)
      return
    }
    if e.shape == .nothing { return }
    if e.shape == .conditionalMove { ensureHost() }
    let after = emitKnowing(e)
    if after == nil, !isNaNPass || !emitMindingNaNs(e, index) { emitX87(e.opcode, e.modRM) }
    known?.step(e, after)
    if e.shape == .compareToFlags {
      if steps[index].needsSave { saveComparison() }
      hostValid = true
    }
  }

  func emitX87(_ opcode: Int, _ modRM: Int) {
    code.byte(opcode)
    code.byte(modRM)
  }

  /// FLDCW of what was looked up, as the interpreter writes the word. Returns the jump of one that unmasks an exception.
  private func loadControl() -> Int {
    onOperand(0x0FB7, Host.a, size: 4)
    // What was looked at is loaded: another processor may write there.
    code.rr(0x8B, Host.b, Host.a, size: 4)
    code.groupImmediate(4, Host.b, 0x3F, size: 4)
    code.groupImmediate(7, Host.b, 0x3F, size: 4)
    let unmasks = code.jump(condition: 5)
    code.groupImmediate(4, Host.a, 0x1F7F, size: 4)
    code.groupImmediate(1, Host.a, 0x40, size: 4)
    code.rs(0x89, Host.a, At.scratch, size: 4)
    code.rs(0xD9, 5, At.scratch, size: 4)
    return unmasks
  }
}
