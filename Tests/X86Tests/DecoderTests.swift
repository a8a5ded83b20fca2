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
}
