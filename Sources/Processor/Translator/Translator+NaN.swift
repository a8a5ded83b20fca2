import CHost
import X86

// x87 with NaNs on hosts that take hundreds of cycles for it (Intel's): arithmetic, roundings to integers and signalling comparisons with a
// NaN are done by moving it, which is fast. Blocks have a second version for that, which runs while a register held a NaN when the
// state was brought into the host's unit. What comes out, flags included, is the instruction's own: where it is not plain that it
// would be, the instruction itself runs.

extension At {
  /// Room for two registers, or an environment; and behind them for two status words.
  static let room = Int(PV_AT_SCRATCH)
  static let status = room + 32
  static let statusBefore = room + 36
}

extension Translator {
  /// The bits of `vector_ready` of which one lets the pass that is being emitted run.
  var x87Bits: Int {
    let (plain, other) = (Int(PV_VECTOR_X87), Int(PV_VECTOR_X87_NAN))
    guard mindsNaNs else { return plain | other }
    return isNaNPass ? other : plain
  }

  /// Goes to the block's second version if that is the one that is wanted.
  func jumpToNaNPass() {
    code.rs(0xF6, 0, At.vectorReady, size: 4)
    code.byte(Int(PV_VECTOR_X87_NAN))
    nanEntries.append(code.jump(condition: 5))
  }

  /// An instruction with registers; false if it has no other way.
  func emitMindingNaNs(_ e: X87Encoding, _ index: Int) -> Bool {
    guard e.mindsNaNs else { return false }
    // It sets the flags itself.
    if e.shape == .compareToFlags {
      compareQuietly(e, e.opcode, e.modRM - 8)
      return true
    }
    let keeps = hostValid && steps[index].needsHost
    if keeps {
      code.byte(0x9C)
      code.rs(0x8F, 0, At.flagsImage, size: 4)
    }
    switch (e.opcode, e.modRM) {
    case (0xD9, _):
      var itself = findUnordered(0, careful: true, free: Host.b)
      itself.append(findQuiet(At.room))
      either(itself) {
        emitX87(0xD9, 0xC8)
      } or: {
        emitX87(e.opcode, e.modRM)
      }
    case (0xD8, 0xD0...0xDF): compareQuietly(e, 0xDD, e.modRM + 16)
    case (0xDE, 0xD9): compareQuietly(e, 0xDA, 0xE9)
    default: mindingArithmetic(e)
    }
    if keeps { popFlags() } else { hostValid = false }
    return true
  }

  /// One with a memory operand, which was looked up.
  func emitMindingNaNs(_ e: X87Encoding, _ memory: Instruction.Operand) -> Bool {
    guard e.mindsNaNs else { return false }
    let free = operand.index == Host.b ? Host.a : Host.b
    let reg = e.modRM >> 3 & 7
    let stores = [0xDB, 0xDD, 0xDF].contains(e.opcode)
    var itself = findUnordered(0, careful: true, free: free, wantsInvalid: stores)
    if e.opcode == 0xD8 || e.opcode == 0xDC {
      // The operand is a number, and no denormal.
      let wide = e.opcode == 0xDC
      onOperand(0x8B, free, size: wide ? 8 : 4)
      code.shiftImmediate(5, free, wide ? 52 : 23, size: wide ? 8 : 4)
      code.groupImmediate(4, free, wide ? 0x7FF : 0xFF, size: 4)
      code.groupImmediate(5, free, 1, size: 4)
      code.groupImmediate(7, free, wide ? 0x7FE : 0xFE, size: 4)
      itself.append(code.jump(condition: 3))
    }
    itself.append(findQuiet(At.room))
    either(itself) {
      guard stores else { return emitX87(0xD9, 0xC8) }
      // FIST, FISTP, FISTTP: the integer indefinite.
      let size = Int(memory.size)
      code.immediate(free, 1 << UInt64(size * 8 - 1))
      onOperand(0x89, free, size: size)
      if reg == 2 { emitX87(0xD9, 0xC8) } else { emitX87(0xDD, 0xD8) }
    } or: {
      onOperand(e.opcode, reg, size: 4)
    }
    return true
  }

  /// `fast`, and where the jumps lead, `itself`.
  private func either(_ jumps: [Int], _ fast: () -> Void, or itself: () -> Void) {
    fast()
    let done = code.jump()
    for jump in jumps { code.patch(jump, to: code.position) }
    itself()
    code.patch(done, to: code.position)
  }

  /// Goes on where ST(0) and ST(i) are not empty and one of them is a NaN or no number at all; the jumps that are returned go elsewhere.
  ///
  /// - Parameters:
  ///   - careful: the instruction sets no denormal flag where a comparison would: take it back.
  ///   - wantsInvalid: go on only if the invalid flag is set already.
  func findUnordered(_ i: Int, careful: Bool, free: Int, wantsInvalid: Bool = false) -> [Int] {
    var away: [Int] = []
    if careful { code.rs(0xDD, 7, At.statusBefore, size: 4) }
    emitX87(0xDB, 0xE8 | i)
    if careful {
      let unordered = code.jump(condition: 10)
      code.rs(0xDD, 7, At.status, size: 4)
      code.rs(0x0FB7, free, At.status, size: 4)
      code.rs(0x3B, free, At.statusBefore, size: 2)
      away.append(code.jump(condition: 4))
      // fnstenv, the status word as it was, fldenv.
      code.rs(0xD9, 6, At.room, size: 4)
      code.rs(0x0FB7, free, At.statusBefore, size: 4)
      code.rs(0x89, free, At.room + 4, size: 2)
      code.rs(0xD9, 4, At.room, size: 4)
      away.append(code.jump())
      code.patch(unordered, to: code.position)
    } else {
      away.append(code.jump(condition: 11))
    }
    code.rs(0xDD, 7, At.status, size: 4)
    code.rs(0x0FB7, free, At.status, size: 4)
    code.groupImmediate(4, free, wantsInvalid ? 0x41 : 0x40, size: 4)
    if wantsInvalid { code.groupImmediate(7, free, 1, size: 4) }
    away.append(code.jump(condition: 5))
    return away
  }

  private func storeZero(_ displacement: Int) { code.rs(0xDB, 7, displacement, size: 4) }
  private func loadZero(_ displacement: Int) { code.rs(0xDB, 5, displacement, size: 4) }

  /// Leaves a copy of ST(0), which is unordered, in memory. Returns the jump of one that is no quiet NaN.
  private func findQuiet(_ displacement: Int) -> Int {
    storeZero(displacement)
    loadZero(displacement)
    return lacksQuiet(displacement)
  }

  /// Compares the byte with the integer bit and the quiet bit; the jump of one with not both.
  private func lacksQuiet(_ displacement: Int) -> Int {
    code.rs(0x80, 7, displacement + 7, size: 4)
    code.byte(0xC0)
    return code.jump(condition: 2)
  }

  /// The exponent of a copy, compared with that of NaNs and infinities.
  private func compareExponent(_ free: Int, _ displacement: Int) {
    code.rs(0x0FB7, free, displacement + 8, size: 4)
    code.groupImmediate(4, free, 0x7FFF, size: 4)
    code.groupImmediate(7, free, 0x7FFF, size: 4)
  }

  /// A copy with an exponent of numbers, which is in `free`: the jump of one that is none, for it has no integer bit.
  private func lacksIntegerBit(_ free: Int, _ displacement: Int) -> Int {
    code.rs(0x80, 7, displacement + 7, size: 4)
    code.byte(0x80)
    let number = code.jump(condition: 3)
    code.rr(0x85, free, free, size: 4)
    let none = code.jump(condition: 5)
    code.patch(number, to: code.position)
    return none
  }

  /// Of two quiet NaNs the result is the one with the larger significand, else it is the one that is there. No pushes: the stack may be
  /// full.
  private func mindingArithmetic(_ e: X87Encoding) {
    let i = e.modRM & 7
    let toOther = e.opcode != 0xD8
    let pops = e.opcode == 0xDE
    var itself = findUnordered(i, careful: e.modRM >> 3 & 7 >= 6, free: Host.b)
    var done: [Int] = []
    let other = At.room + 16
    // Each clears C1.
    func zeroWins() {
      if toOther { emitX87(0xDD, (pops ? 0xD8 : 0xD0) | i) } else { emitX87(0xD9, 0xC8) }
      done.append(code.jump())
    }
    func otherWins() {
      if toOther {
        if pops { emitX87(0xDD, 0xD8) } else { emitX87(0xD9, 0xC8) }
      } else {
        emitX87(0xDD, 0xD8)
        emitX87(0xD9, 0xC0 | i - 1)
      }
      done.append(code.jump())
    }
    if i == 0 {
      itself.append(findQuiet(At.room))
      zeroWins()
    } else {
      // One at a time: what is between them may be empty.
      storeZero(At.room)
      loadZero(At.room)
      emitX87(0xD9, 0xC8 | i)
      storeZero(other)
      loadZero(other)
      emitX87(0xD9, 0xC8 | i)
      compareExponent(Host.b, At.room)
      let isNumber = code.jump(condition: 5)
      itself.append(lacksQuiet(At.room))
      compareExponent(Host.b, other)
      let both = code.jump(condition: 4)
      itself.append(lacksIntegerBit(Host.b, other))
      zeroWins()
      code.patch(both, to: code.position)
      itself.append(lacksQuiet(other))
      code.load(Host.a, At.room)
      code.rs(0x3B, Host.a, other, size: 8)
      let larger = code.jump(condition: 7)
      let smaller = code.jump(condition: 2)
      code.rs(0x0FB7, Host.b, At.room + 8, size: 4)
      code.rs(0x3B, Host.b, other + 8, size: 2)
      itself.append(code.jump(condition: 5))
      code.patch(larger, to: code.position)
      zeroWins()
      code.patch(isNumber, to: code.position)
      itself.append(lacksIntegerBit(Host.b, At.room))
      compareExponent(Host.b, other)
      itself.append(code.jump(condition: 5))
      itself.append(lacksQuiet(other))
      code.patch(smaller, to: code.position)
      otherWins()
    }
    for jump in itself { code.patch(jump, to: code.position) }
    emitX87(e.opcode, e.modRM)
    for jump in done { code.patch(jump, to: code.position) }
  }

  /// A comparison that tells of a quiet NaN is one that does not, once it has told.
  private func compareQuietly(_ e: X87Encoding, _ opcode: Int, _ modRM: Int) {
    code.rs(0xDD, 7, At.status, size: 4)
    code.rs(0x0FB7, Host.b, At.status, size: 4)
    code.groupImmediate(4, Host.b, 1, size: 4)
    either([code.jump(condition: 4)]) {
      emitX87(opcode, modRM)
    } or: {
      emitX87(e.opcode, e.modRM)
    }
  }
}
