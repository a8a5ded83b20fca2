import CHost
import Processor
import Random
import X86

// Sequences of 32-bit code: that of compatibility mode, where every segment has a base, and that of flat segments with FS and GS looked at.

extension SequenceMachine {
  /// Makes the processor one of 32-bit code. `chance` says with which segments.
  func beginNarrow(_ random: inout SeededRandom) {
    let checks = random.oneIn(2)
    cpu.pointee.mode = UInt32(checks ? PV_MODE_FSGS | 1 : 1)
    cpu.pointee.seg.1 = pv_segment(base: 0, limit: 0xFFFF_FFFF, selector: 0xE023, attributes: 0xC_FB)
    let bases: [UInt64] = [0, 0, 0x1000, 0xFFFF_F000, 8, 0x13, 0xFFFF_FFFC]
    func segment(_ isFlat: Bool) -> pv_segment {
      let base = isFlat ? 0 : bases[Int(random.below(UInt64(bases.count)))]
      return pv_segment(base: base, limit: 0xFFFF_FFFF, selector: 0xE02B, attributes: 0xC_F3)
    }
    cpu.pointee.seg.0 = segment(checks)
    cpu.pointee.seg.2 = segment(checks)
    cpu.pointee.seg.3 = segment(checks)
    func special() -> pv_segment {
      var one = segment(false)
      switch random.below(8) {
      case 0: one.limit = UInt32(truncatingIfNeeded: Self.data &+ random.below(0x3000))
      case 1: one.attributes = [0xC_F1, 0xC_FB, 0xC_F9, 0xC_F7, 0xC_73][Int(random.below(5))]
      case 2: one = pv_segment(base: 0, limit: 0, selector: 0, attributes: 0)
      default: break
      }
      return one
    }
    cpu.pointee.seg.4 = special()
    cpu.pointee.seg.5 = special()
    // The upper halves are seldom in use.
    if random.oneIn(8) { return }
    for register in 0..<8 { setGeneral(register, general(register) & 0xFFFF_FFFF) }
  }
}

extension SequenceMaker {
  /// What 64-bit code does not have, or encodes otherwise.
  private static let short: [[UInt8]] = [
    [0x60], [0x61], [0x66, 0x60], [0x66, 0x61], [0x27], [0x2F], [0x37], [0x3F], [0xD4, 10], [0xD5, 10], [0xD4, 0], [0x06], [0x1E], [0x0E],
    [0x16], [0x07], [0x1F], [0x9C], [0x9D], [0x66, 0x9C], [0xC8, 8, 0, 1], [0xC9], [0xCE], [0xE3, 2], [0x67, 0xE3, 2], [0xE2, 0xF8],
    [0x66, 0xE9, 4, 0], [0x62, 0x06], [0x63, 0xC8], [0x82, 0xC3, 5], [0x67, 0x8B, 0x47, 8], [0x67, 0xAA], [0x66, 0xC3], [0x66, 0x50],
    [0x68, 1, 2, 3, 4], [0x6A, 0xFE], [0xC2, 4, 0], [0xD7], [0x64, 0xD7], [0xC5, 0x06], [0x8C, 0xD8], [0x8E, 0xC0], [0xF3, 0xA5],
  ]

  func narrowItem(_ count: Int, _ flavour: UInt64, _ changesItself: Bool, _ random: inout SeededRandom) -> SequenceProgram.Item {
    let target = Int(random.below(UInt64(count + 1)))
    let register = UInt8(random.below(4))
    switch random.below(32) {
    case 0, 1, 2: return .init(bytes: [0x0F, 0x80 | UInt8(random.below(16)), 0, 0, 0, 0], link: (2, 4, target, 0))
    case 3: return .init(bytes: [0xE8, 0, 0, 0, 0], link: (1, 4, target, 0))
    case 4: return .init(bytes: random.oneIn(2) ? [0xC3] : [0xE9, 0, 0, 0, 0], link: (1, 4, target, 0))
    case 5:
      // call next; next: pop reg; push reg; ret: to the push itself. Or a jump or call through memory.
      if random.oneIn(2) { return .init(bytes: [0xE8, 0, 0, 0, 0, 0x58 | register]) }
      return .init(bytes: [0xFF, random.oneIn(2) ? 0x26 : 0x16])
    case 6:
      // mov reg, item in the alias; jmp reg, or push reg and ret.
      let tail: [UInt8] = random.oneIn(2) ? [0xFF, 0xE0 | register] : [0x50 | register, 0xC3]
      return .init(bytes: [0xB8 | register, 0, 0, 0, 0] + tail, aliased: (1, 4, target, 0))
    case 7:
      if random.oneIn(4) { return .init(bytes: [0x0F, 0x05]) }
      return .init(bytes: [0x40 | UInt8(random.below(16))])
    case 8: return .init(bytes: Self.short[Int(random.below(UInt64(Self.short.count)))])
    case 9, 10:
      guard changesItself else { return narrowInstruction(flavour, &random) }
      let value = random.oneIn(2) ? 0x90 : UInt8(truncatingIfNeeded: random.next())
      return .init(bytes: [0xC6, 0x05, 0, 0, 0, 0, value], aliased: (2, 4, target, Int(random.below(12))))
    case 11, 12, 13:
      let pointer = [3, 6, 7][Int(random.below(3))]
      return .init(bytes: [0xB8 | UInt8(pointer)] + Self.bytes(SequenceProgram.pointer(&random), 4))
    case 14:
      // mov eax, [data], or the other way, by an absolute address; or an address that wraps around.
      let address = Self.bytes(SequenceMachine.data &+ random.below(0x4000), 4)
      if random.oneIn(2) { return .init(bytes: [0xA0 | register] + address) }
      return .init(bytes: [0x8B, 0x83] + Self.bytes(random.oneIn(2) ? 0xFFFF_FF80 : random.below(256), 4))
    case 15, 16:
      guard flavour >= Self.x87Flavour else { return narrowInstruction(flavour, &random) }
      return x87Item(&random)
    default: return narrowInstruction(flavour, &random)
    }
  }

  private func narrowInstruction(_ flavour: UInt64, _ random: inout SeededRandom) -> SequenceProgram.Item {
    for _ in 0..<200 {
      let form = self.form(flavour, &random)
      guard var (code, _) = form.randomEncoding(&random) else { continue }
      func decoded() -> Instruction? {
        guard let i = try? Decoder.decode(code.bytes, mode: .protected32), Int(i.length) == code.bytes.count else { return nil }
        guard i.mnemonic == form.mnemonic || !InstructionTable.shared.forms[Int(i.form)].isPrivileged else { return nil }
        return i
      }
      guard let instruction = decoded() else { continue }
      if instruction.hasMemoryOperand && !random.oneIn(16) {
        let isPointer = [3, 4, 5, 6, 7].contains(Int(instruction.base))
        let isAbsolute = instruction.base == -1 && instruction.index == -1
        guard instruction.addressSize == 4, isPointer || isAbsolute && code.displacementSize == 4 else { continue }
        if instruction.index >= 0 && !random.oneIn(4) { continue }
        if code.displacementSize == 4 {
          code.setDisplacement((isAbsolute ? SequenceMachine.data &+ random.below(0x4000) : 0) &+ random.below(1024) &- 512)
        }
        guard decoded() != nil else { continue }
      }
      if code.relativeSize == 1 { code.setRelative(random.below(64) &- 24) }
      if code.relativeSize == 4 { code.setRelative(random.below(256) &- 96) }
      return .init(bytes: code.bytes)
    }
    return .init(bytes: [0x90])
  }
}
