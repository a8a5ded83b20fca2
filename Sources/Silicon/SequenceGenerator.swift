import CHost
import Random
import X86

// Several instructions in a row, for what single ones do not show: flags and registers carried from one to the next, operations
// that are fused, translations of whole blocks.

extension CaseGenerator {
  /// Forms that can stand anywhere in a sequence: nothing privileged or left open, no branch, and nothing that wants its registers
  /// prepared.
  static func canStand(_ form: InstructionForm, _ open: OpenResults) -> Bool {
    if form.isPrivileged || form.flags.contains(.ioPrivileged) || form.flags.contains(.vsib) { return false }
    let name = form.mnemonic.name
    let isBranch = form.operands.contains { $0.code == .relative || $0.code == .far }
    if isBranch || isString(name) || unfit.contains(name) || !open.rules(form.mnemonic).isEmpty { return false }
    return !form.operands.contains {
      switch $0.code {
      case .regMMX, .rmMMX, .rmMMXOnly, .fixedSegment, .regSegment, .offset: return true
      default: return false
      }
    }
  }

  private static let unfit: Set<String> = [
    "call", "jmp", "ret", "leave", "enter", "xlatb", "maskmovdqu", "vmaskmovdqu", "int3", "int1", "ud0", "ud1", "ud2", "popfq", "popfw",
    "ldmxcsr", "vldmxcsr", "fldcw", "fldenv", "frstor", "fxrstor", "fxrstor64", "xrstor", "xrstor64", "xsave", "xsave64", "xsaveopt",
    "xsaveopt64", "xsavec", "xsavec64", "fxsave", "fxsave64", "fnsave", "fnstenv", "lss", "lfs", "lgs", "wrfsbase", "wrgsbase", "emms",
    "lar", "lsl", "verr", "verw", "insb", "insw", "insd", "outsb", "outsw", "outsd",
  ]

  /// Forms that can end one: direct branches.
  static func canEnd(_ form: InstructionForm) -> Bool { form.operands.contains { $0.code == .relative } && form.mnemonic.name != "xbegin" }

  /// Two to `longest` instructions, over registers of which four point into the data pages.
  func makeSequence(
    _ bodies: [InstructionForm], _ general: [InstructionForm], _ ends: [InstructionForm], longest: UInt64, _ random: inout SeededRandom
  ) -> SiliconCase? {
    fillState(&random)
    for register in [3, 6, 7, 8] { gpr(register, Self.data &+ 0x400 &+ random.below(0x300) * (random.oneIn(4) ? 1 : 8)) }
    // Small numbers make conditions come out either way.
    for register in [0, 1, 2, 5] where random.oneIn(2) { gpr(register, random.below(4) &- 1) }
    let start = UInt64(PSIL_CODE) + 0x100 + random.below(0x1800)
    var bytes: [UInt8] = []
    var instructions: [Instruction] = []
    let count = 2 + random.below(longest - 1)
    var last: InstructionForm?
    for place in 0..<count {
      let isEnd = place == count - 1 && random.oneIn(2)
      let pool = isEnd ? ends : random.oneIn(4) ? bodies : general
      let form = pool[Int(random.below(UInt64(pool.count)))]
      guard let (code, instruction) = encode(form, start, start &+ UInt64(bytes.count), &random) else { continue }
      bytes += code.bytes
      instructions.append(instruction)
      last = form
    }
    guard let last, let final = instructions.last else { return nil }
    before.pointee.rip = start
    return SiliconCase(form: last, bytes: bytes, instruction: final, start: start, operand: nil, sequence: instructions)
  }

  private func encode(
    _ form: InstructionForm, _ first: UInt64, _ start: UInt64, _ random: inout SeededRandom
  ) -> (EncodedForm, Instruction)? {
    for _ in 0..<40 {
      guard var (code, instruction) = form.randomEncoding(&random) else { continue }
      let length = UInt64(code.bytes.count)
      if code.relativeSize == 1 {
        // Forward over the jump to the exit: 14 bytes.
        code.setRelative(40 &+ random.below(80))
      } else if code.relativeSize != 0 {
        code.setRelative(landing(first, &random) &- start &- length)
      } else if instruction.hasMemoryOperand {
        let isPlain = [3, 6, 7, 8].contains(Int(instruction.base)) && instruction.index == -1
        guard instruction.addressSize == 8, instruction.segment == 3 || instruction.segment == 2, isPlain || instruction.base == -2 else {
          continue
        }
        if instruction.base == -2 {
          code.setDisplacement(Self.data &+ 0x400 &+ random.below(0x800) &- start &- length)
        } else if code.displacementSize == 4 {
          code.setDisplacement(random.below(1024) &- 512)
        }
      }
      // A repetition prefix may mean something only together with what it stands before.
      guard let decoded = try? Decoder.decode(code.bytes, mode: .long64), decoded.form == form.id else { continue }
      instruction = decoded
      return (code, instruction)
    }
    return nil
  }
}
