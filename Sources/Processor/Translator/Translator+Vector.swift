import CHost
import X86

// SSE and AVX as themselves: while a block with vector instructions runs, the guest's XMM and YMM registers are the host's, and the host's
// MXCSR is the guest's, so rounding, NaNs and flags are the instruction's own. They are brought in where the first such block begins
// and go home whenever the interpreter or the run loop may look (NativeRuntime).

extension Translator {
  /// Tells the run loop to interpret the block this time.
  static let interpretNext = Int(Int32(-1))

  /// The bit of `vector_ready` that the block's instructions need.
  var vectorBit: Int { steps.contains { $0.isAVX } ? Int(PV_VECTOR_LIVE_AVX) : Int(PV_VECTOR_LIVE) }

  /// Makes sure that what the steps from `index` on need of vector and x87 registers is the host's; else the interpreter runs the block's
  /// rest. Changes flags.
  func requireState(_ index: Int) {
    let rest = steps[min(index, steps.count)...]
    // Bringing the x87 state sends the vector registers home.
    if rest.contains(where: { $0.isX87 }) && !(index == 0 && isNaNPass) { require(x87Bits, runtime.loadX87, index) }
    if rest.contains(where: { $0.isVector }) { require(vectorBit, runtime.loadVectors, index) }
  }

  /// Any of `bits`, which `routine` may set.
  private func require(_ bits: Int, _ routine: Int, _ index: Int) {
    code.rs(0xF6, 0, At.vectorReady, size: 4)
    code.byte(bits)
    let absent = code.jump(condition: 4)
    let resume = code.position
    let hasOther = index == 0 && bits == Int(PV_VECTOR_X87)
    later.append(
      .other { [unowned self] in
        code.patch(absent, to: code.position)
        if hasOther { jumpToNaNPass() }
        code.call(to: routine)
        if hasOther { jumpToNaNPass() }
        // What was found out there will not be true for long.
        if index > 0 && isNaNPass && routine == runtime.loadX87 { code.storeImmediate32(0, At.x87Known) }
        code.rs(0xF6, 0, At.vectorReady, size: 4)
        code.byte(bits)
        code.patch(code.jump(condition: 5), to: resume)
        code.groupImmediate(0, Host.budget, steps.count - index, size: 8)
        emitExit(to: pageOffset + (index == 0 ? 0 : steps[index].offset), slot: Self.interpretNext)
      })
  }

  /// The instruction with other operands in ModRM; `rm` nil is the operand that was looked up.
  private func encode(_ e: VectorEncoding, reg: Int, rm: Int?) {
    let index = rm == nil ? operand.index ?? 0 : 0
    let base = rm ?? operand.base
    if e.vex {
      code.byte(0xC4)
      let map = e.map == 0 ? 1 : e.map == 0x38 ? 2 : 3
      code.byte((~reg >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~base >> 3 & 1) << 5 | map)
      let pp = e.prefix == 0 ? 0 : e.prefix == 0x66 ? 1 : e.prefix == 0xF3 ? 2 : 3
      code.byte((e.wide ? 0x80 : 0) | e.vexBits << 2 | pp)
    } else {
      if e.prefix != 0 { code.byte(Int(e.prefix)) }
      let rex = 0x40 | (e.wide ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3
      if rex != 0x40 { code.byte(rex) }
      code.byte(0x0F)
      if e.map != 0 { code.byte(Int(e.map)) }
    }
    code.byte(Int(e.opcode))
    if e.hasModRM {
      if let rm {
        code.byte(0xC0 | (reg & 7) << 3 | rm & 7)
      } else {
        code.modRM(reg, operand.base, operand.index, operand.displacement)
      }
    }
    if let immediate = e.immediate { code.byte(Int(immediate)) }
  }

  func emitVector(_ index: Int, _ i: Instruction, _ e: VectorEncoding) {
    let operands = [i.operands.0, i.operands.1, i.operands.2]
    var misses: [Int] = []
    let inMemory = operands.first { $0.kind == .memory }
    if let memory = inMemory {
      let size = Int(memory.size)
      misses.append(lookUpVector(i, e, size: size, write: operands[0].kind == .memory))
      if size >= 16 && e.entry.alignmentDiffers == e.vex {
        // test a, size - 1: the offset in the page, or the address in the host's.
        code.byte(0x41)
        code.byte(0xF6)
        code.byte(0xC0 | Host.a & 7)
        code.byte(size - 1)
        misses.append(code.jump(condition: 5))
      }
    }
    var reg = e.reg
    var rm: Int? = inMemory == nil ? e.rm : nil
    var written: Int?
    if let place = operands.firstIndex(where: { $0.kind == .general }) {
      let register = guest(operands[place])
      if e.generalInReg {
        reg = Host.of(register) ?? Host.a
        written = register
      } else if place == 0 {
        rm = Host.of(register) ?? Host.a
        written = register
      } else {
        rm = value(register, Host.a)
      }
    }
    encode(e, reg: reg, rm: rm)
    if let written, Host.of(written) == nil { writeBack(written, Host.a, size: 8) }
    if e.entry.compares {
      if steps[index].needsSave { saveComparison() }
      hostValid = true
    }
    if !misses.isEmpty { slowPath(index, from: misses, resume: code.position) }
  }

  /// A general register as an operand could be the address's, and is changed before the access only if it is loaded into `a`.
  private func lookUpVector(_ i: Instruction, _ e: VectorEncoding, size: Int, write: Bool) -> Int {
    lookUpOnce(i, size: size, write: write)
  }

  func saveComparison() {
    code.rs(0x0F92, 0, At.flagsB, size: 1)
    code.rs(0x0F9A, 0, At.flagsB + 1, size: 1)
    code.rs(0x0F94, 0, At.flagsB + 2, size: 1)
    saveKind(NativeFlags.compare, size: 1)
  }
}
