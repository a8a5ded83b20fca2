import Random
import Testing

@testable import X86

@Suite struct EncoderTests {
  /// Every form: random instances decode, encode to no more bytes, and decode to the same instruction.
  @Test func everyFormComesBack() throws {
    var generator = SeededRandom(seed: 0xE4C0DE)
    var missing: [String] = []
    var failures = 0
    for form in InstructionTable.shared.forms.dropFirst() where form.isValid(in: .long64) {
      var found = 0
      for _ in 0..<400 where found < 6 {
        guard let (code, instruction) = form.randomEncoding(&generator) else { continue }
        found += 1
        if let failure = Self.roundTrip(instruction, code.bytes, .long64), failures < 20 {
          failures += 1
          Issue.record(Comment(rawValue: failure))
        }
      }
      if found == 0 { missing.append("\(form.id) \(form.mnemonic) \(form.feature)") }
    }
    #expect(missing == [])
  }

  /// What random strings decode to, in each mode.
  @Test(arguments: [CodeMode.long64, .protected32, .protected16]) func randomStringsComeBack(mode: CodeMode) throws {
    var random = RandomBytes(seed: 77 + UInt64(mode.rawValue))
    var forms = Set<UInt16>()
    var failures = 0
    for _ in 0..<30_000 {
      random.next()
      guard let instruction = try? Decoder.decode(random.bytes, mode: mode) else { continue }
      forms.insert(instruction.form)
      if let failure = Self.roundTrip(instruction, Array(random.bytes.prefix(Int(instruction.length))), mode), failures < 20 {
        failures += 1
        Issue.record(Comment(rawValue: failure))
      }
    }
    #expect(forms.count > 800)
  }

  /// Nil, or what is wrong.
  static func roundTrip(_ instruction: Instruction, _ bytes: [UInt8], _ mode: CodeMode) -> String? {
    guard let encoded = try? Encoder.encode(instruction, mode: mode) else { return "\(hex(bytes)): \(instruction) does not encode" }
    guard let back = try? Decoder.decode(encoded, mode: mode) else { return "\(hex(bytes)): \(hex(encoded)) does not decode" }
    guard isSame(instruction, back) else { return "\(hex(bytes)): \(instruction) | \(hex(encoded)): \(back)" }
    guard encoded.count <= bytes.count else { return "\(hex(bytes)): \(instruction) grew to \(hex(encoded))" }
    // Without a form to keep to, it may become another one, but never another instruction.
    var free = instruction
    free.form = 0
    guard let shortest = try? Encoder.encode(free, mode: mode) else { return "\(hex(bytes)): \(instruction) has no shortest form" }
    guard shortest.count <= encoded.count || InstructionTable.shared.forms[Int(instruction.form)].flags.contains(.alternative),
      let again = try? Decoder.decode(shortest, mode: mode), again.mnemonic == instruction.mnemonic,
      again.operands == instruction.operands || again.operandCount == instruction.operandCount
    else { return "\(hex(bytes)): \(instruction) | shortest \(hex(shortest))" }
    return nil
  }

  /// Equal in everything but length and prefixes that did nothing.
  static func isSame(_ a: Instruction, _ b: Instruction) -> Bool {
    let kept: Instruction.Prefixes = [.lock, .rep, .repne, .addressSize, .segment, .vex]
    return a.form == b.form && a.operands == b.operands && a.operandSize == b.operandSize && a.addressSize == b.addressSize
      && a.segment == b.segment && a.base == b.base && a.index == b.index && (a.index < 0 || a.scale == b.scale)
      && a.displacement == b.displacement && a.immediate == b.immediate && a.immediate2 == b.immediate2
      && a.vectorLength == b.vectorLength && a.prefixes.intersection(kept) == b.prefixes.intersection(kept)
  }

  static func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ") }

  @Test func assemblesTheShortestForm() throws {
    var a = Assembler()
    try a.emit("mov", .general(0, size: 8), .memory(.init(base: 3, displacement: 16), size: 8))
    try a.emit("add", .general(0, size: 8), .immediate(1))
    try a.emit("add", .general(0, size: 4), .immediate(0x12345))
    try a.emit("movaps", .vector(9), .vector(1))
    try a.emit("vaddpd", .vector(1, size: 32), .vector(2, size: 32), .memory(.init(base: -2, displacement: 4), size: 32))
    try a.emit("movss", .vector(0), .vector(1))
    try a.emit("xchg", .general(0, size: 8), .general(0, size: 8))
    try a.emit("push", .general(12, size: 8))
    try a.emit("jmp", .relative(-2))
    try a.emit("add", .memory(.init(base: 5, segment: 4), size: 4), .immediate(-1), prefixes: .lock)
    let jump = try a.emitJump("jz")
    try a.emit("nop")
    a.patch(jump)
    let expected =
      "48 8b 43 10 48 83 c0 01 05 45 23 01 00 44 0f 28 c9 c5 ed 58 0d 04 00 00 00 f3 0f 10 c1 48 87 c0 41 54 eb fe "
      + "64 f0 83 45 00 ff 0f 84 01 00 00 00 90"
    #expect(Self.hex(a.code) == expected)
    #expect(throws: EncodeError.noSuchForm) { try a.emit("mov", .general(0, size: 8), .general(0, size: 4)) }
  }
}
