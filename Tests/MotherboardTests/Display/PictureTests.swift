import CZlib
import Foundation
import Testing

@testable import Motherboard

/// A picture that a test paints itself.
struct Canvas {
  var width: Int
  var height: Int
  var rgb: [UInt8]
  init(_ width: Int, _ height: Int) {
    (self.width, self.height) = (width, height)
    rgb = [UInt8](repeating: 0, count: width * height * 3)
  }
  mutating func set(_ x: Int, _ y: Int, _ colour: (UInt8, UInt8, UInt8)) {
    let at = (y * width + x) * 3
    (rgb[at], rgb[at + 1], rgb[at + 2]) = colour
  }
}

/// The first place where a picture is not what a test painted; nil: it is the same.
func difference(_ picture: Picture, _ canvas: Canvas) -> String? {
  guard picture.width == canvas.width, picture.height == canvas.height else {
    return "\(picture.width) by \(picture.height), not \(canvas.width) by \(canvas.height)"
  }
  guard let at = picture.rgb.indices.first(where: { picture.rgb[$0] != canvas.rgb[$0] }) else { return nil }
  let pixel = at / 3
  return "at \(pixel % canvas.width), \(pixel / canvas.width): \(picture.rgb[at]), not \(canvas.rgb[at])"
}

@Suite struct PictureTests {
  let bench: VGABench
  init() throws { bench = try VGABench() }

  /// A font whose character `code` has, in line `line`, this pattern.
  private static func pattern(_ code: Int, _ line: Int) -> UInt8 { UInt8(truncatingIfNeeded: code &* 37 &+ line &* 11 &+ 5) }

  /// The colours of the PC, by attribute: 6-bit values 0, 21, 42, 63 at the palette's indices that mode 3 uses.
  private static let colours: [(UInt8, UInt8, UInt8)] = (0..<16).map { colour in
    if colour == 6 { return (0xAA, 0x55, 0) }
    func level(_ bit: Int) -> UInt8 { (colour >> bit & 1 == 1 ? 0xAA : 0) + (colour & 8 != 0 ? 0x55 : 0) }
    return (level(2), level(1), level(0))
  }

  private func loadPalette(_ bench: VGABench) {
    for (index, colour) in zip(VGABench.egaPalette, Self.colours) {
      bench.out(0x3C8, index)
      for value in [colour.0, colour.1, colour.2] { bench.out(0x3C9, value / 4) }
    }
  }

  private func textBench(fontAt offset: UInt64 = 0) throws -> VGABench {
    bench.setText()
    loadPalette(bench)
    loadFont(bench, offset) { Self.pattern($0, $1) }
    bench.setText()
    return bench
  }

  private func loadFont(_ bench: VGABench, _ offset: UInt64, _ pattern: (Int, Int) -> UInt8) {
    bench.sequencer(2, 4)
    bench.sequencer(4, 7)
    bench.graphics(5, 0)
    bench.graphics(6, 4)
    for code in 0..<256 {
      for line in 0..<16 { bench.poke(0xA0000 + offset + UInt64(code * 32 + line), pattern(code, line)) }
    }
  }

  private func fill(_ bench: VGABench, _ cell: (Int) -> (code: Int, attribute: Int)) {
    for index in 0..<80 * 25 {
      let cell = cell(index)
      bench.test.board.writeMemory(0xB8000 + UInt64(index) * 2, size: 2, value: UInt64(cell.code | cell.attribute << 8))
    }
  }

  @Test func textIsTheFontInItsColoursWithCursorAndNinthDot() throws {
    let bench = try textBench()
    fill(bench) { ($0 & 255, $0 * 7 & 255) }
    bench.crtc(0x0A, 13)
    bench.crtc(0x0B, 14)
    bench.crtc(0x0F, 85)
    for (phase, isOn) in [(BlinkPhase.shown, true), (BlinkPhase(showsCursor: false, showsCharacters: false), false)] {
      var expected = Canvas(720, 400)
      for y in 0..<400 {
        for x in 0..<720 {
          let index = y / 16 * 80 + x / 9
          let (code, attribute) = (index & 255, index * 7 & 255)
          let bits = Self.pattern(code, y % 16)
          var isFront = x % 9 < 8 ? bits >> (7 - x % 9) & 1 == 1 : (0xC0...0xDF).contains(code) && bits & 1 == 1
          if attribute >= 0x80 && !isOn { isFront = false }
          if index == 85 && isOn && (13...14).contains(y % 16) { isFront = true }
          expected.set(x, y, Self.colours[isFront ? attribute & 15 : attribute >> 4 & 7])
        }
      }
      #expect(difference(bench.picture(phase), expected) == nil)
    }
  }

  @Test func theScreenMayStartAnywhereBeSplitAndHaveTwoFonts() throws {
    let bench = try textBench()
    loadFont(bench, 0x6000) { ~Self.pattern($0, $1) }
    bench.setText()
    fill(bench) { ($0 * 3 & 255, $0 & 15) }
    // Font B is the first, font A the one at 24 KiB, for attributes with bit 3; 8 dots; a bright background instead of blinking.
    bench.sequencer(3, 0x24)
    bench.sequencer(1, 1)
    bench.attribute(0x10, 4)
    bench.attribute(0x13, 0)
    bench.out(0x3C0, 0x20)
    bench.crtc(0x0A, 0x20)
    bench.crtc(0x0D, 160)
    bench.crtc(8, 3)
    // After line 63 the screen starts at the memory's beginning, as long as bits 8 and 9 of the line compare are 0.
    bench.crtc(0x11, 0)
    bench.crtc(7, 0x0F)
    bench.crtc(9, 0x0F)
    bench.crtc(0x18, 0x3F)
    var expected = Canvas(640, 400)
    for y in 0..<400 {
      let line = y > 63 ? y - 64 : y + 3
      for x in 0..<640 {
        let index = (y > 63 ? 0 : 160) + line / 16 * 80 + x / 8
        let (code, attribute) = (index * 3 & 255, index & 15)
        let bits = Self.pattern(code, line % 16)
        let isFront = (attribute & 8 != 0 ? ~bits : bits) >> (7 - x % 8) & 1 == 1
        expected.set(x, y, Self.colours[isFront ? attribute : 0])
      }
    }
    #expect(difference(bench.vga.picture(), expected) == nil)
    #expect(bench.vga.textScreen?.cells[0] == UInt16(160 * 3 & 255 | (160 & 15) << 8))
  }

  @Test func planarPixelsAreFourBitsOfFourPlanes() throws {
    bench.setPlanar()
    loadPalette(bench)
    // Pixel by pixel through the bit mask, as a BIOS draws.
    bench.graphics(5, 2)
    func colour(_ x: Int, _ y: Int) -> Int { (x * 5 + y * 3 + x * y / 64) & 15 }
    for y in 0..<480 where y < 8 || y > 470 {
      for x in 0..<640 {
        bench.graphics(8, 0x80 >> UInt8(x & 7))
        let address = 0xA0000 + UInt64(y * 80 + x / 8)
        _ = bench.peek(address)
        bench.poke(address, UInt8(colour(x, y)))
      }
    }
    var expected = Canvas(640, 480)
    for y in 0..<480 where y < 8 || y > 470 { for x in 0..<640 { expected.set(x, y, Self.colours[colour(x, y)]) } }
    #expect(difference(bench.vga.picture(), expected) == nil)
    // Panned by three, without plane 3.
    bench.attribute(0x13, 3)
    bench.attribute(0x12, 7)
    bench.out(0x3C0, 0x20)
    #expect(
      bench.vga.picture().rgb.prefix(3).elementsEqual([
        Self.colours[colour(3, 0) & 7].0, Self.colours[colour(3, 0) & 7].1, Self.colours[colour(3, 0) & 7].2,
      ]))
    bench.sequencer(1, 0x21)
    #expect(bench.vga.picture() == Picture(width: 640, height: 480))
  }

  @Test func mode13HasAByteForAPixelOfTwoDotsAndLines() throws {
    bench.set256Colours()
    bench.out(0x3C8, 0)
    for index in 0..<256 { for value in [index, index / 2, 255 - index] { bench.out(0x3C9, UInt8(value & 63)) } }
    func colour(_ x: Int, _ y: Int) -> UInt8 { UInt8(truncatingIfNeeded: x &* 3 &+ y &* 7) }
    for y in 0..<200 {
      for x in stride(from: 0, to: 320, by: 4) {
        let value = (0..<4).reduce(UInt64(0)) { $0 | UInt64(colour(x + $1, y)) << UInt64($1 * 8) }
        bench.test.board.writeMemory(0xA0000 + UInt64(y * 320 + x), size: 4, value: value)
      }
    }
    var expected = Canvas(640, 400)
    func wide(_ value: Int) -> UInt8 { UInt8((value & 63) << 2 | (value & 63) >> 4) }
    for y in 0..<400 {
      for x in 0..<640 {
        let index = Int(colour(x / 2, y / 2))
        expected.set(x, y, (wide(index), wide(index / 2), wide(255 - index)))
      }
    }
    #expect(difference(bench.vga.picture(), expected) == nil)
    // The same pixels unchained, a plane for each fourth column, bytes in a row.
    bench.sequencer(4, 6)
    bench.crtc(0x14, 0)
    bench.crtc(0x17, 0xE3)
    for plane in 0..<4 {
      bench.sequencer(2, 1 << UInt8(plane))
      for y in 0..<200 { for x in 0..<80 { bench.poke(0xA0000 + UInt64(y * 80 + x), colour(x * 4 + plane, y)) } }
    }
    #expect(difference(bench.vga.picture(), expected) == nil)
  }

  @Test func theCGAsModeInterleavesLinesAndBits() throws {
    loadPalette(bench)
    bench.setMode(
      misc: 0x63, sequencer: [3, 9, 3, 0, 2],
      crtc: [
        0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0, 0, 0, 0, 0, 0, 0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2, 0xFF,
      ], graphics: [0, 0, 0, 0, 0, 0x30, 0x0F, 0x0F, 0xFF], attribute: VGABench.egaPalette + [1, 0, 3, 0, 0])
    func colour(_ x: Int, _ y: Int) -> Int { (x / 3 + y) & 3 }
    for y in 0..<200 {
      for x in stride(from: 0, to: 320, by: 4) {
        let byte = (0..<4).reduce(0) { $0 << 2 | colour(x + $1, y) }
        bench.poke(0xB8000 + UInt64(y % 2 * 0x2000 + y / 2 * 80 + x / 4), UInt8(byte))
      }
    }
    var expected = Canvas(640, 400)
    for y in 0..<400 { for x in 0..<640 { expected.set(x, y, Self.colours[colour(x / 2, y / 2)]) } }
    #expect(difference(bench.vga.picture(), expected) == nil)
  }

  @Test func theDisplayInterfaceHasPixelsOfAllDepths() throws {
    bench.out(0x3C2, 0xE3)
    bench.sequencer(2, 15)
    bench.graphics(8, 0xFF)
    bench.out(0x3C0, 0x20)
    for depth: UInt16 in [4, 8, 15, 16, 24, 32] {
      bench.dispi(4, 0)
      bench.dispi(1, 64)
      bench.dispi(2, 24)
      bench.dispi(3, depth)
      bench.dispi(4, 0x61)
      bench.dispi(6, 80)
      bench.dispi(8, 8)
      bench.dispi(9, 2)
      for index in 0..<16 { bench.attribute(UInt8(index), UInt8(index)) }
      bench.attribute(0x12, 15)
      bench.out(0x3C0, 0x20)
      bench.out(0x3C8, 0)
      for index in 0..<256 { for value in [index, 255 - index, index ^ 0x55] { bench.out(0x3C9, UInt8(value)) } }
      var expected = Canvas(64, 24)
      for y in 0..<24 {
        for x in 0..<64 {
          let (red, green, blue) = (x * 4 & 255, y * 10 & 255, (x + y) * 3 & 255)
          let (column, row) = (x + 8, y + 2)
          let offset = UInt64(row * 80 + column)
          func wide(_ value: Int, _ bits: Int) -> UInt8 { UInt8(value << (8 - bits) & 255 | value >> (2 * bits - 8)) }
          switch depth {
          case 4:
            for plane in 0..<4 {
              let at = offset / 8 * 4 + UInt64(plane)
              let bit = UInt64(0x80 >> (column & 7))
              let old = bench.vga.memory.readMemory(at, size: 1) & ~bit
              bench.vga.memory.writeMemory(at, size: 1, value: red >> (plane + 4) & 1 == 1 ? old | bit : old)
            }
            let index = red >> 4
            expected.set(x, y, (UInt8(index), UInt8(255 - index), UInt8(index ^ 0x55)))
          case 8:
            bench.vga.memory.writeMemory(offset, size: 1, value: UInt64(red))
            expected.set(x, y, (UInt8(red), UInt8(255 - red), UInt8(red ^ 0x55)))
          case 15:
            bench.vga.memory.writeMemory(offset * 2, size: 2, value: UInt64((red >> 3) << 10 | (green >> 3) << 5 | blue >> 3))
            expected.set(x, y, (wide(red >> 3, 5), wide(green >> 3, 5), wide(blue >> 3, 5)))
          case 16:
            bench.vga.memory.writeMemory(offset * 2, size: 2, value: UInt64((red >> 3) << 11 | (green >> 2) << 5 | blue >> 3))
            expected.set(x, y, (wide(red >> 3, 5), wide(green >> 2, 6), wide(blue >> 3, 5)))
          default:
            let pixel = UInt64(red << 16 | green << 8 | blue)
            for byte in 0..<UInt64(depth / 8) {
              bench.vga.memory.writeMemory(offset * UInt64(depth / 8) + byte, size: 1, value: pixel >> (byte * 8))
            }
            expected.set(x, y, (UInt8(red), UInt8(green), UInt8(blue)))
          }
        }
      }
      #expect(difference(bench.vga.picture(), expected) == nil, "\(depth) bits")
    }
  }

  /// Reads the file back as the format has it, with nothing of the writer.
  @Test func aPNGHoldsThePicture() throws {
    var picture = Picture(width: 37, height: 19)
    for index in picture.rgb.indices { picture.rgb[index] = UInt8(truncatingIfNeeded: index &* index >> 3) }
    let path = NSTemporaryDirectory() + "paravane-\(UUID().uuidString).png"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try picture.writePNG(path)
    let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(file.prefix(8) == [137, 80, 78, 71, 13, 10, 26, 10])
    func number(_ at: Int) -> Int { file[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
    var (at, kinds, compressed) = (8, [String](), [UInt8]())
    while at + 12 <= file.count {
      let length = number(at)
      let kind = String(decoding: file[at + 4..<at + 8], as: UTF8.self)
      let body = Array(file[at + 4..<at + 8 + length])
      #expect(Int(crc32(0, body, UInt32(body.count))) == number(at + 8 + length))
      if kind == "IHDR" { #expect([number(at + 8), number(at + 12)] == [37, 19] && Array(body[12...]) == [8, 2, 0, 0, 0]) }
      if kind == "IDAT" { compressed += body[4...] }
      kinds.append(kind)
      at += 12 + length
    }
    #expect(kinds == ["IHDR", "IDAT", "IEND"] && at == file.count)
    var rows = [UInt8](repeating: 0, count: 19 * (37 * 3 + 1))
    var length = UInt(rows.count)
    #expect(uncompress(&rows, &length, compressed, UInt(compressed.count)) == Z_OK)
    #expect(length == UInt(rows.count))
    var above = [UInt8](repeating: 0, count: 111)
    for y in 0..<19 {
      let row = rows[y * 112 + 1..<(y + 1) * 112]
      #expect(rows[y * 112] == 0 || rows[y * 112] == 2)
      above = zip(row, above).map { rows[y * 112] == 2 ? $0 &+ $1 : $0 }
      #expect(above.elementsEqual(picture.rgb[y * 111..<(y + 1) * 111]))
    }
    #expect(throws: (any Error).self) { try picture.writePNG("/nowhere/at/all.png") }
  }
}

extension VGABench {
  func picture(_ phase: BlinkPhase) -> Picture { vga.picture(phase) }
}
