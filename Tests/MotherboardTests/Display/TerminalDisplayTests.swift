import Testing

@testable import Motherboard

/// A terminal that knows as much of ECMA-48 as the display uses.
final class FakeTerminal {
  var cells = [String](repeating: " ", count: 80 * 25)
  var colours = [[Int]](repeating: [0], count: 80 * 25)
  var (row, column) = (0, 0)
  var isCursorShown = true
  var colour = [0]
  var writes = 0
  var bytes = 0

  func feed(_ input: [UInt8]) {
    writes += 1
    bytes += input.count
    var rest = Substring(String(decoding: input, as: UTF8.self))
    while let character = rest.popFirst() {
      guard character == "\u{1B}" else {
        if row < 25, column < 80 {
          cells[row * 80 + column] = String(character)
          colours[row * 80 + column] = colour
        }
        column += 1
        continue
      }
      precondition(rest.popFirst() == "[")
      let parameters = rest.prefix { $0.isNumber || $0 == ";" || $0 == "?" }
      rest = rest.dropFirst(parameters.count)
      let numbers = parameters.split(separator: ";").compactMap { Int($0) }
      switch rest.popFirst() {
      case "H": (row, column) = ((numbers.first ?? 1) - 1, (numbers.count > 1 ? numbers[1] : 1) - 1)
      case "J": cells = [String](repeating: " ", count: 80 * 25)
      case "m": colour = numbers
      case "h" where parameters == "?25": isCursorShown = true
      case "l" where parameters == "?25": isCursorShown = false
      default: break
      }
    }
  }

  func line(_ row: Int) -> String {
    let text = cells[row * 80..<row * 80 + 80].joined()
    return String(text.reversed().drop { $0 == " " }.reversed())
  }
}

@Suite struct TerminalDisplayTests {
  private func bench() throws -> (VGABench, FakeTerminal, TerminalDisplay) {
    let bench = try VGABench()
    bench.setText()
    for index in 0..<2000 { bench.test.board.writeMemory(0xB8000 + UInt64(index) * 2, size: 2, value: 0x0720) }
    bench.crtc(0x0A, 13)
    bench.crtc(0x0B, 14)
    let terminal = FakeTerminal()
    let display = TerminalDisplay(vga: bench.vga, framesPerSecond: 25) { terminal.feed($0) }
    return (bench, terminal, display)
  }

  private func put(_ bench: VGABench, _ text: [UInt8], at place: Int, attribute: UInt64 = 7) {
    for (index, code) in text.enumerated() {
      bench.test.board.writeMemory(0xB8000 + UInt64(place + index) * 2, size: 2, value: attribute << 8 | UInt64(code))
    }
  }

  @Test func theTerminalShowsWhatTheScreenShows() throws {
    let (bench, terminal, display) = try bench()
    put(bench, [0xC9, 0xCD, 0xBB] + Array("GNU GRUB".utf8), at: 82)
    bench.crtc(0x0F, 90)
    display.start()
    #expect(terminal.line(1) == "  ╔═╗GNU GRUB")
    #expect((terminal.row, terminal.column) == (1, 10))
    #expect(terminal.isCursorShown)
    // White on blue, then blinking red on bright: the PC's bits turned round.
    put(bench, Array("x".utf8), at: 0, attribute: 0x1F)
    put(bench, Array("y".utf8), at: 1, attribute: 0xE4)
    bench.test.advance(by: 40_000_000)
    #expect(terminal.colours[0] == [0, 97, 44])
    #expect(terminal.colours[1] == [0, 5, 31, 43])
    bench.crtc(0x0A, 0x20)
    bench.test.advance(by: 40_000_000)
    #expect(!terminal.isCursorShown)
    // A display that is off is dark, and comes back.
    bench.sequencer(1, 0x20)
    bench.test.advance(by: 40_000_000)
    #expect(terminal.line(1) == "")
    bench.sequencer(1, 0)
    bench.test.advance(by: 40_000_000)
    #expect(terminal.line(1) == "  ╔═╗GNU GRUB")
  }

  @Test func onlyChangesAreWrittenAndOnlySoOften() throws {
    let (bench, terminal, display) = try bench()
    display.start()
    #expect(bench.test.board.queue.isEmpty)
    let (writes, bytes) = (terminal.writes, terminal.bytes)
    // 100 ms of typing, a character each millisecond: at most three frames at 25 a second.
    for index in 0..<100 {
      put(bench, [UInt8(ascii: "a") + UInt8(index % 26)], at: 400 + index)
      bench.test.advance(by: 1_000_000)
    }
    bench.test.advance(by: 1_000_000_000)
    #expect(terminal.writes - writes == 3)
    #expect(terminal.bytes - bytes < 100 + 3 * 60)
    #expect(terminal.line(5) == (0..<80).map { String(UnicodeScalar(UInt8(ascii: "a") + UInt8($0 % 26))) }.joined())
    #expect(bench.test.board.queue.isEmpty)
    // The same again changes nothing.
    put(bench, Array("a".utf8), at: 400)
    bench.test.advance(by: 1_000_000_000)
    #expect(terminal.writes - writes == 3)
    display.stop()
    put(bench, Array("z".utf8), at: 400)
    #expect(bench.test.board.queue.isEmpty)
  }

  @Test func graphicsAreNamed() throws {
    let (bench, terminal, display) = try bench()
    display.start()
    bench.dispi(1, 800)
    bench.dispi(2, 600)
    bench.dispi(4, 1)
    bench.test.advance(by: 40_000_000)
    #expect(terminal.line(0).hasPrefix("Graphics, 800 by 600"))
    bench.dispi(4, 0)
    put(bench, Array("back".utf8), at: 0)
    bench.test.advance(by: 40_000_000)
    #expect(terminal.line(0) == "back")
  }

  @Test func textIsCapturedAsUnicode() throws {
    let (bench, _, _) = try bench()
    put(bench, Array("Debian ".utf8) + [0x81, 0x9B, 0xE3, 0x00, 0xFE], at: 160)
    let lines = bench.vga.screenText()
    #expect(lines.count == 25)
    #expect(lines[2] == "Debian ü¢π ■")
    #expect(lines[3] == "")
    #expect(Set(CodePage437.scalars).count == 255 && CodePage437.scalars.count == 256)
    bench.setPlanar()
    #expect(bench.vga.screenText() == [])
  }
}
