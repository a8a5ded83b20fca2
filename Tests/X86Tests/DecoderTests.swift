import Testing

@testable import X86

@Suite struct DecoderTests {
  @Test func everyRowIsReadable() {
    #expect(InstructionTable.shared.malformed == [])
    #expect(Mnemonic.count < 4096)
  }

  static let samples64: [(String, String)] = [
    ("00 c8", "add al, cl"),
    ("48 8b 45 f8", "mov rax, qword [rbp-0x8]"),
    ("0f 05", "syscall"),
    ("f3 0f 1e fa", "endbr64"),
    ("f0 48 0f b1 0d 10 00 00 00", "lock cmpxchg qword [rip+0x10], rcx"),
    ("c5 f8 77", "vzeroupper"),
    ("c4 e2 7d 18 05 00 00 00 00", "vbroadcastss ymm0, dword [rip]"),
    ("f3 a4", "rep movsb"),
    ("66 0f 6f c1", "movdqa xmm0, xmm1"),
    ("f2 0f 10 00", "movsd.sse xmm0, qword [rax]"),
    ("48 b8 88 77 66 55 44 33 22 11", "mov rax, 0x1122334455667788"),
    ("d8 c1", "fadd st(0), st(1)"),
    ("0f 22 d8", "mov cr3, rax"),
    ("64 48 8b 04 25 28 00 00 00", "mov rax, qword fs:[0x28]"),
    ("c4 e2 71 90 04 91", "vpgatherdd xmm0, dword [rcx+v2*4], xmm1"),
  ]

  @Test(arguments: samples64) func decodes64(sample: (String, String)) throws {
    let bytes = sample.0.split(separator: " ").map { UInt8($0, radix: 16)! }
    let instruction = try Decoder.decode(bytes)
    #expect(instruction.description == sample.1)
    #expect(Int(instruction.length) == bytes.count)
  }

  static func bytes(_ text: String) -> [UInt8] { text.split(separator: " ").map { UInt8($0, radix: 16)! } }

  /// Rules that depend on mode and prefixes.
  static let samplesByMode: [(CodeMode, String, String)] = [
    (.long64, "66 e8 01 00 00 00", "call $+0x1"),
    (.protected32, "66 e8 01 00", "call $+0x1"),
    (.protected16, "e8 01 00", "call $+0x1"),
    (.long64, "48 40 89 c8", "mov eax, ecx"),
    (.long64, "48 66 89 c8", "mov ax, cx"),
    (.long64, "66 48 89 c8", "mov rax, rcx"),
    (.long64, "88 e0", "mov al, ah"),
    (.long64, "40 88 e0", "mov al, spl"),
    (.long64, "2e 8b 00", "mov eax, dword [rax]"),
    (.protected32, "2e 8b 00", "mov eax, dword cs:[eax]"),
    (.protected32, "67 8b 46 02", "mov eax, dword [bp+0x2]"),
    (.protected16, "8b 42 fe", "mov ax, word [bp+si-0x2]"),
    (.protected32, "c5 00", "lds eax, [eax]"),
    (.protected32, "c5 f8 77", "vzeroupper"),
    (.protected32, "62 01", "bound eax, qword [ecx]"),
    (.protected32, "9a 78 56 34 12 bc 9a", "callf 0x9abc:0x12345678"),
    (.protected32, "60", "pushad"),
    (.protected32, "40", "inc eax"),
    (.protected32, "a1 00 00 00 80", "mov eax, dword [0x80000000]"),
    (.long64, "90", "nop"),
    (.long64, "41 90", "xchg r8d, eax"),
    (.long64, "f3 90", "pause"),
    (.long64, "f3 0f bc c1", "tzcnt eax, ecx"),
    (.long64, "f2 0f bc c1", "repne bsf eax, ecx"),
    (.long64, "66 f2 0f 38 f1 c1", "crc32 eax, cx"),
    (.long64, "f6 c8 01", "test al, 0x1"),
    (.long64, "c1 f0 02", "shl eax, 0x2"),
    (.long64, "0f 18 c0", "nop eax"),
    (.long64, "f3 0f 1e c8", "rep nop eax"),
    (.long64, "67 e3 00", "jecxz $+0x0"),
    (.long64, "c8 10 00 01", "enter 0x10, 0x1"),
    (.long64, "48 0f c7 0f", "cmpxchg16b xmmword [rdi]"),
    (.long64, "48 0f ae 07", "fxsave64 [rdi]"),
    (.long64, "db 28", "fld tbyte [rax]"),
    (.long64, "8c d8", "mov eax, ds"),
    (.long64, "44 0f 20 c0", "mov rax, cr8"),
  ]

  @Test(arguments: samplesByMode) func decodesByMode(sample: (CodeMode, String, String)) throws {
    let instruction = try Decoder.decode(Self.bytes(sample.1), mode: sample.0)
    #expect(instruction.description == sample.2)
    #expect(Int(instruction.length) == Self.bytes(sample.1).count)
  }

  /// Each with the reason why it is no instruction.
  static let refused: [(CodeMode, String, String)] = [
    (.long64, "f0 01 c8", "LOCK with a register destination"),
    (.long64, "f0 03 00", "LOCK where memory is the source"),
    (.long64, "f0 38 00", "LOCK of CMP"),
    (.long64, "66 c5 f8 77", "66 before VEX"),
    (.long64, "48 c5 f8 77", "REX before VEX"),
    (.long64, "f3 c5 f8 77", "F3 before VEX"),
    (.long64, "c5 e8 28 c1", "VMOVAPS with a vvvv"),
    (.long64, "c4 e4 78 58 c1", "map 4"),
    (.long64, "c4 e2 79 16 c1", "VPERMPS of 128 bits"),
    (.long64, "c4 e2 fd 36 c1", "VPERMD with W"),
    (.long64, "c4 e2 79 90 04 00", "gather into its index"),
    (.long64, "c4 e2 71 90 00", "gather without SIB"),
    (.long64, "06", "PUSH ES in 64-bit mode"),
    (.long64, "62 f1 7c 48 58 c1", "EVEX"),
    (.long64, "8e c8", "MOV to CS"),
    (.long64, "8e f0", "segment register 6"),
    (.long64, "0f 20 c8", "CR1"),
    (.long64, "44 0f 21 c0", "DR8"),
    (.long64, "f3 0f 28 c1", "F3 before MOVAPS"),
    (.long64, "0f 24 c0", "test registers"),
    (.protected32, "0f 01 f8", "SWAPGS outside 64-bit mode"),
    (.protected32, "f3 0f ae c0", "RDFSBASE outside 64-bit mode"),
    (.protected32, "67 c4 e2 71 90 04 00", "gather with 16-bit addresses"),
  ]

  @Test(arguments: refused) func refuses(sample: (CodeMode, String, String)) {
    #expect(throws: DecodeError.invalid) { try Decoder.decode(Self.bytes(sample.1), mode: sample.0) }
  }

  @Test func fifteenBytesAreTheLimit() throws {
    let longest = [UInt8](repeating: 0x66, count: 14) + [0x90]
    #expect(try Decoder.decode(longest).length == 15)
    #expect(throws: DecodeError.tooLong) { try Decoder.decode([0x66] + longest) }
    #expect(throws: DecodeError.truncated) { try Decoder.decode([UInt8](repeating: 0x66, count: 14)) }
    #expect(throws: DecodeError.truncated) { try Decoder.decode([]) }
  }

  /// Every beginning of an instruction is truncated, and no byte after it matters.
  @Test(arguments: [CodeMode.long64, .protected32, .protected16]) func beginningsAreTruncated(mode: CodeMode) throws {
    var random = RandomBytes(seed: 99)
    for _ in 0..<10_000 {
      random.next()
      guard let whole = try? Decoder.decode(random.bytes, mode: mode) else { continue }
      let length = Int(whole.length)
      for count in 0..<length {
        do throws(DecodeError) {
          let part = try Decoder.decode(Array(random.bytes.prefix(count)), mode: mode)
          Issue.record("\(EncoderTests.hex(random.bytes)): \(part) in \(count) of \(length) bytes")
        } catch {
          if error != .truncated { Issue.record("\(EncoderTests.hex(random.bytes)): \(error) in \(count) of \(length) bytes") }
        }
      }
      #expect(try Decoder.decode(Array(random.bytes.prefix(length)), mode: mode) == whole)
    }
  }
}
