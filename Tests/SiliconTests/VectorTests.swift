import Testing

@testable import Silicon

/// Files of recorded instructions: both forms are read, and what is not as recorded is found.
@Suite struct VectorTests {
  private static func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] { Array(name.utf8) + word(body.count) + body }
  private static func word(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
  private static func half(_ value: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)] }
  private static func cells(_ list: [(Int, UInt8)]) -> [UInt8] {
    chunk("RAM ", word(list.count) + list.flatMap { word($0.0) + [$0.1] })
  }

  /// PUSH AX at 0100:0010 with SS:SP 0200:0010, followed by HLT.
  private static func file(pushed: [UInt8]) -> [UInt8] {
    let before: [Int] = [0x1234, 0, 0, 0, 0x100, 0x200, 0, 0, 0x10, 0, 0, 0, 0x10, 0x46]
    let first = chunk("REGS", half(0x3FFF) + before.flatMap { half($0) }) + cells([(0x1010, 0x50), (0x1011, 0xF4)])
    let last = chunk("REGS", half(1 << 8 | 1 << 12) + half(0xE) + half(0x12)) + cells([(0x200E, pushed[0]), (0x200F, pushed[1])])
    let test =
      word(0) + chunk("NAME", word(7) + Array("push ax".utf8)) + chunk("BYTS", word(2) + [0x50, 0xF4]) + chunk("INIT", first)
      + chunk("FINA", last)
    return chunk("MOO ", [1, 0, 0, 0] + word(1) + Array("286 ".utf8)) + chunk("TEST", test)
  }

  @Test func binaryForm() throws {
    let file = try #require(VectorFile(Self.file(pushed: [0x34, 0x12])))
    #expect(file.processor == .i80286)
    #expect(file.vectors.count == 1)
    let vector = try #require(file.vectors.first)
    #expect(vector.name == "push ax")
    #expect(vector.after[8] == 0xE)
    #expect(vector.after[0] == 0x1234)
    #expect(try VectorMachine(.i80286).judge(vector) == .same)
  }

  @Test func differencesAreFound() throws {
    let file = try #require(VectorFile(Self.file(pushed: [0x34, 0x13])))
    var vector = try #require(file.vectors.first)
    vector.after[0] = 1
    vector.after[12] = 0x13
    vector.after[13] = 0x47
    #expect(try VectorMachine(.i80286).judge(vector) == .unexplained(["ax", "ip", "flags CF", "memory"]))
  }

  @Test func textForm() throws {
    let text = """
      [{"name": "inc ax", "bytes": [64], "initial": {"regs": {"ax": 65535, "bx": 0, "cx": 0, "dx": 0, "cs": 256, "ss": 0, "ds": 0, "es": 0,
      "sp": 0, "bp": 0, "si": 0, "di": 0, "ip": 16, "flags": 61443}, "ram": [[4112, 64]], "queue": []},
      "final": {"regs": {"ax": 0, "ip": 17, "flags": 61527}, "ram": [], "queue": []}}]
      """
    let file = try #require(VectorFile(Array(text.utf8)))
    #expect(file.processor == .i8086)
    let vector = try #require(file.vectors.first)
    #expect(try VectorMachine(.i8086).judge(vector) == .same)
  }

  @Test func brokenFilesAreRefused() {
    #expect(VectorFile([1, 2, 3]) == nil)
    let whole = Self.file(pushed: [0, 0])
    for length in stride(from: 4, to: whole.count, by: 7) { #expect(VectorFile(Array(whole.prefix(length)))?.vectors.count ?? 0 <= 1) }
  }
}
