import Testing

@testable import Motherboard

@Suite struct TerminalKeyboardTests {
  private func codes(_ text: String) -> [UInt8] {
    var keyboard = TerminalKeyboard()
    return keyboard.translate(Array(text.utf8)) + keyboard.flush()
  }

  @Test func charactersAreKeysOfTheUSLayout() {
    #expect(codes("a") == [0x1E, 0x9E])
    #expect(codes("A") == [0x2A, 0x1E, 0x9E, 0xAA])
    #expect(codes("7&") == [0x08, 0x88, 0x2A, 0x08, 0x88, 0xAA])
    #expect(codes("\\|") == [0x2B, 0xAB, 0x2A, 0x2B, 0xAB, 0xAA])
    #expect(codes(" \r\t\u{7F}") == [0x39, 0xB9, 0x1C, 0x9C, 0x0F, 0x8F, 0x0E, 0x8E])
    #expect(codes("\u{3}") == [0x1D, 0x2E, 0xAE, 0x9D])
    #expect(codes("\u{1C}") == [0x1D, 0x2B, 0xAB, 0x9D])
    #expect(codes("é€") == [])
    // Every printable character is one key, pressed and released.
    for character in UInt8(0x20)...0x7E {
      let count = codes(String(UnicodeScalar(character))).count
      #expect(count == 2 || count == 4, "\(character)")
    }
    #expect(Set((UInt8(0x20)...0x7E).map { codes(String(UnicodeScalar($0))) }).count == 95)
  }

  @Test func sequencesAreKeysAndMayComeInPieces() {
    let e = "\u{1B}"
    #expect(codes("\(e)[A\(e)OB") == [0xE0, 0x48, 0xE0, 0xC8, 0xE0, 0x50, 0xE0, 0xD0])
    #expect(codes("\(e)OP\(e)[15~\(e)[24~\(e)[[B") == [0x3B, 0xBB, 0x3F, 0xBF, 0x58, 0xD8, 0x3C, 0xBC])
    #expect(codes("\(e)[3~\(e)[5~") == [0xE0, 0x53, 0xE0, 0xD3, 0xE0, 0x49, 0xE0, 0xC9])
    #expect(codes("\(e)[1;5C") == [0x1D, 0xE0, 0x4D, 0xE0, 0xCD, 0x9D])
    #expect(codes("\(e)[17;2~") == [0x2A, 0x40, 0xC0, 0xAA])
    #expect(codes("\(e)[Z") == [0x2A, 0x0F, 0x8F, 0xAA])
    #expect(codes("\(e)x") == [0x38, 0x2D, 0xAD, 0xB8])
    #expect(codes("\(e)X") == [0x2A, 0x38, 0x2D, 0xAD, 0xB8, 0xAA])
    #expect(codes(e) == [0x01, 0x81])
    #expect(codes("\(e)\(e)[A") == [0x01, 0x81, 0xE0, 0x48, 0xE0, 0xC8])
    #expect(codes("\(e)[") == [0x38, 0x1A, 0x9A, 0xB8])
    #expect(codes("\(e)[<0;12;3Ma") == [0x1E, 0x9E])
    #expect(codes("\(e)[\(String(repeating: "1;", count: 50))") != [0])
    var keyboard = TerminalKeyboard()
    #expect(keyboard.translate([0x1B]) == [])
    #expect(keyboard.translate([0x5B]) == [])
    #expect(keyboard.translate([0x44]) == [0xE0, 0x4B, 0xE0, 0xCB])
    #expect(keyboard.flush() == [])
  }

  @Test func escapeIsAKeyWhenNothingFollows() throws {
    let test = try TestBoard()
    var codes: [UInt8] = []
    let typist = TerminalTypist(board: test.board) { codes += $0 }
    typist.type([0x1B])
    test.advance(by: 40_000_000)
    #expect(codes == [])
    // In time for a sequence.
    typist.type([0x5B])
    test.advance(by: 40_000_000)
    typist.type([0x41])
    #expect(codes == [0xE0, 0x48, 0xE0, 0xC8] && test.board.queue.isEmpty)
    typist.type([0x61, 0x1B])
    test.advance(by: 50_000_000)
    #expect(codes == [0xE0, 0x48, 0xE0, 0xC8, 0x1E, 0x9E, 0x01, 0x81])
    #expect(test.board.queue.isEmpty)
  }

  @Test func keysHaveNames() {
    #expect(ScanCodes.chord(["ctrl", "alt", "delete"]) == [0x1D, 0x38, 0xE0, 0x53, 0xE0, 0xD3, 0xB8, 0x9D])
    #expect(ScanCodes.chord(["f12"]) == [0x58, 0xD8])
    #expect(ScanCodes.chord(["ctrl", "nothing"]) == nil)
    #expect(ScanCodes.code("p") == 0x19)
    #expect(ScanCodes.code("kp_0") == 0x52)
  }

  @Test func noInputIsTooStrange() {
    var keyboard = TerminalKeyboard()
    var seed: UInt64 = 7
    var total = 0
    for _ in 0..<20_000 {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let bytes: [UInt8] = [0x1B, 0x5B, 0x4F, 0x3B, 0x7E, UInt8(truncatingIfNeeded: seed >> 40), UInt8(truncatingIfNeeded: seed >> 48)]
      let codes = keyboard.translate([bytes[Int(seed >> 57) % 7]])
      // What is pressed is released.
      let pressed = codes.filter { $0 < 0x80 }.count
      #expect(codes.filter { $0 >= 0x80 && $0 != 0xE0 }.count == pressed)
      total += pressed
    }
    #expect(total > 1000)
  }
}
