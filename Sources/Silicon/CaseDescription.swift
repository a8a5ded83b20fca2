import CHost
import X86

// A differing case in full: what is needed to understand it and to run it again.

extension SiliconCampaign {
  func describe(_ test: SiliconCase, _ index: UInt64, _ found: [Difference]) -> String {
    let bytes = test.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    let state = before.pointee
    var text = "case \(index) \(Self.title(test.form)) at \(Comparison.hex(test.start)): \(bytes)\n"
    var at = test.start
    for instruction in test.sequence.isEmpty ? [test.instruction] : test.sequence {
      text += "  \(Comparison.hex(at)) \(instruction.text(at: at))\n"
      at = at &+ UInt64(instruction.length)
    }
    let raw = UnsafeRawPointer(before)
    var line = " "
    for i in 0..<16 { line += " \(Comparison.names[i]) \(Comparison.hex(raw.load(fromByteOffset: i * 8, as: UInt64.self)))" }
    text +=
      line + "\n  flags \(Comparison.hex(state.rflags)) fs base \(Comparison.hex(state.fs_base)) gs base \(Comparison.hex(state.gs_base))"
    let image = raw + 256
    func word(_ offset: Int) -> String { Comparison.hex(UInt64(image.load(fromByteOffset: offset, as: UInt16.self))) }
    text += " mxcsr \(Comparison.hex(UInt64(image.load(fromByteOffset: 24, as: UInt32.self))))"
    text += " fcw \(word(0)) fsw \(word(2)) ftw \(word(4))\n"
    for i in 0..<Int(test.instruction.operandCount) {
      let operand = test.instruction.operand(i)
      if operand.kind == .vector { text += "  ymm\(operand.register) \(vector(image, Int(operand.register)))\n" }
      if operand.kind == .mmx {
        let fsw = image.load(fromByteOffset: 2, as: UInt16.self)
        let slot = (Int(operand.register) - Int(fsw >> 11 & 7)) & 7
        text += "  mm\(operand.register) \(Comparison.hex(image.load(fromByteOffset: 32 + slot * 16, as: UInt64.self)))\n"
      }
    }
    if test.form.feature == "x87" {
      for i in 0..<8 {
        let high = image.load(fromByteOffset: 40 + i * 16, as: UInt16.self)
        let low = image.load(fromByteOffset: 32 + i * 16, as: UInt64.self)
        text += "  st\(i) \(Comparison.hex(UInt64(high))):\(Comparison.hex(low))\n"
      }
    }
    if let operand = test.operand {
      text += "  operand at \(Comparison.hex(operand)):"
      let offset = operand &- UInt64(PSIL_DATA)
      if offset < UInt64(PSIL_DATA_BYTES) {
        for i in 0..<min(48, Int(PSIL_DATA_BYTES) - Int(offset)) {
          let byte = original.load(fromByteOffset: Int(offset) + i, as: UInt8.self)
          text += (i & 7 == 0 ? " " : "") + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
      }
      text += "\n"
    }
    for difference in found { text += "  \(difference.what): host \(difference.host), guest \(difference.guest)\n" }
    return text
  }

  private func vector(_ image: UnsafeRawPointer, _ number: Int) -> String {
    let offsets = [584 + number * 16, 576 + number * 16, 168 + number * 16, 160 + number * 16]
    return offsets.map { Comparison.hex(image.load(fromByteOffset: $0, as: UInt64.self)) }.joined(separator: "_")
  }
}
