import Foundation
import Testing

@testable import Motherboard

/// An adapter on a board, with short names for what a driver does.
struct VGABench {
  let test: TestBoard
  let vga: VGA
  init(rom: [UInt8] = []) throws {
    test = try TestBoard()
    vga = VGA(board: test.board, rom: rom)
  }

  func out(_ port: UInt16, _ value: UInt8) { test.board.writePort(port, size: 1, value: UInt32(value)) }
  func out2(_ port: UInt16, _ value: UInt16) { test.board.writePort(port, size: 2, value: UInt32(value)) }
  func inb(_ port: UInt16) -> UInt8 { UInt8(test.board.readPort(port, size: 1)) }
  func poke(_ address: UInt64, _ value: UInt8) { test.board.writeMemory(address, size: 1, value: UInt64(value)) }
  func peek(_ address: UInt64) -> UInt8 { UInt8(test.board.readMemory(address, size: 1)) }
  func sequencer(_ index: UInt8, _ value: UInt8) { out2(0x3C4, UInt16(value) << 8 | UInt16(index)) }
  func graphics(_ index: UInt8, _ value: UInt8) { out2(0x3CE, UInt16(value) << 8 | UInt16(index)) }
  func crtc(_ index: UInt8, _ value: UInt8) { out2(0x3D4, UInt16(value) << 8 | UInt16(index)) }
  func attribute(_ index: UInt8, _ value: UInt8) {
    _ = inb(0x3DA)
    out(0x3C0, index)
    out(0x3C0, value)
  }
  func dispi(_ index: UInt16, _ value: UInt16) {
    out2(0x1CE, index)
    out2(0x1CF, value)
  }
  func dispi(_ index: UInt16) -> UInt16 {
    out2(0x1CE, index)
    return UInt16(test.board.readPort(0x1CF, size: 2))
  }

  /// The registers of a mode as tables of VGA modes have them: miscellaneous output, sequencer 0 to 4, CRTC 0 to 24, graphics 0 to 8,
  /// attribute 0 to 20.
  func setMode(misc: UInt8, sequencer s: [UInt8], crtc c: [UInt8], graphics g: [UInt8], attribute a: [UInt8]) {
    out(0x3C2, misc)
    for (index, value) in s.enumerated() { sequencer(UInt8(index), value) }
    crtc(0x11, 0)
    for (index, value) in c.enumerated() { crtc(UInt8(index), value) }
    for (index, value) in g.enumerated() { graphics(UInt8(index), value) }
    for (index, value) in a.enumerated() { attribute(UInt8(index), value) }
    out(0x3C0, 0x20)
  }

  static let egaPalette: [UInt8] = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F]

  /// Mode 3: 80 by 25 characters of 9 by 16 dots.
  func setText() {
    setMode(
      misc: 0x67, sequencer: [3, 0, 3, 0, 2],
      crtc: [
        0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0, 0, 0, 0, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3,
        0xFF,
      ], graphics: [0, 0, 0, 0, 0, 0x10, 0x0E, 0x0F, 0xFF], attribute: Self.egaPalette + [0x0C, 0, 0x0F, 8, 0])
  }

  /// Mode 12: 640 by 480 in 16 colours.
  func setPlanar() {
    setMode(
      misc: 0xE3, sequencer: [3, 1, 0x0F, 0, 6],
      crtc: [
        0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF,
      ], graphics: [0, 0, 0, 0, 0, 0, 5, 0x0F, 0xFF], attribute: Self.egaPalette + [1, 0, 0x0F, 0, 0])
  }

  /// Mode 13: 320 by 200 in 256 colours.
  func set256Colours() {
    setMode(
      misc: 0x63, sequencer: [3, 1, 0x0F, 0, 0x0E],
      crtc: [
        0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0, 0, 0, 0, 0, 0, 0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF,
      ], graphics: [0, 0, 0, 0, 0, 0x40, 5, 0x0F, 0xFF], attribute: (0..<16).map { $0 } + [0x41, 0, 0x0F, 0, 0])
  }
}

@Suite struct VGATests {
  let bench: VGABench
  init() throws { bench = try VGABench() }

  @Test func registersReadBackAsFarAsTheyExist() throws {
    bench.out(0x3C2, 0xC3)
    #expect(bench.inb(0x3CC) == 0xC3)
    bench.sequencer(2, 0xFF)
    #expect(bench.inb(0x3C4) == 2)
    #expect(bench.inb(0x3C5) == 0x0F)
    bench.graphics(8, 0xA5)
    #expect(bench.inb(0x3CF) == 0xA5)
    bench.crtc(0x0E, 7)
    bench.crtc(0x0F, 0xD0)
    #expect(bench.inb(0x3D5) == 0xD0)
    #expect(bench.test.board.readPort(0x3D4, size: 2) == 0xD00F)
    bench.crtc(0x40, 0x55)
    #expect(bench.inb(0x3D5) == 0)
    // Nobody is at the monochrome ports, until the adapter is switched to them.
    #expect(bench.inb(0x3B5) == 0xFF)
    bench.out(0x3C2, 0xC2)
    #expect(bench.inb(0x3D5) == 0xFF)
    bench.out(0x3B4, 0x0F)
    #expect(bench.inb(0x3B5) == 0xD0)
    #expect(bench.inb(0x3C3) == 0xFF)
  }

  @Test func attributesTakeIndexAndDataInTurn() throws {
    bench.out(0x3C2, 1)
    bench.attribute(0x10, 0xFF)
    bench.attribute(3, 0x7F)
    #expect(bench.inb(0x3C0) == 3)
    #expect(bench.inb(0x3C1) == 0x3F)
    // Index, then the status read forgets that data should follow.
    bench.out(0x3C0, 0x10)
    #expect(bench.inb(0x3C1) == 0xEF)
    _ = bench.inb(0x3DA)
    bench.out(0x3C0, 0x24)
    #expect(bench.inb(0x3C0) == 0x24)
    // While the display has the palette, it cannot be written.
    bench.out(0x3C0, 0x11)
    #expect(bench.inb(0x3C1) == 0)
    bench.out(0x3C0, 0x3F)
    bench.out(0x3C0, 0x99)
    #expect(bench.inb(0x3C1) == 0)
  }

  @Test func timingIsProtectedExceptForOneBit() throws {
    bench.setText()
    bench.crtc(0, 1)
    bench.crtc(7, 0)
    bench.out(0x3D4, 0)
    #expect(bench.inb(0x3D5) == 0x5F)
    bench.out(0x3D4, 7)
    #expect(bench.inb(0x3D5) == 0x0F)
    bench.crtc(0x11, 0x0E)
    bench.crtc(0, 1)
    #expect(bench.inb(0x3D5) == 1)
  }

  @Test func aColourChangesWithItsThirdByte() throws {
    bench.out(0x3C8, 255)
    #expect(bench.inb(0x3C7) == 0)
    for value: UInt8 in [0x11, 0xFF, 0x33, 1, 2] { bench.out(0x3C9, value) }
    #expect(bench.inb(0x3C8) == 0)
    bench.out(0x3C7, 255)
    #expect(bench.inb(0x3C7) == 3)
    #expect((0..<6).map { _ in bench.inb(0x3C9) } == [0x11, 0x3F, 0x33, 0, 0, 0])
  }

  @Test func textGoesToPlanes0And1AndTheFontToPlane2() throws {
    bench.setText()
    bench.test.board.writeMemory(0xB8000, size: 4, value: 0x1F42_0741)
    #expect(bench.test.board.readMemory(0xB8000, size: 4) == 0x1F42_0741)
    #expect(bench.peek(0xA0000) == 0xFF)
    #expect(bench.vga.memory.word(0) == 0x0741)
    #expect(bench.vga.memory.word(2) == 0x1F42)
    // The BIOS's way to the font.
    bench.sequencer(2, 4)
    bench.sequencer(4, 7)
    bench.graphics(4, 2)
    bench.graphics(5, 0)
    bench.graphics(6, 4)
    for row in 0..<16 { bench.poke(0xA0000 + 0x41 * 32 + UInt64(row), UInt8(row * 3)) }
    #expect(bench.peek(0xA0000 + 0x41 * 32 + 5) == 15)
    #expect(bench.peek(0xB8000) == 0xFF)
    bench.setText()
    #expect(bench.test.board.readMemory(0xB8000, size: 4) == 0x1F42_0741)
    #expect(bench.vga.memory.byte(0x41 * 32 * 4 + 5 * 4 + 2) == 15)
    // A closed memory answers nothing.
    bench.out(0x3C2, 0x65)
    #expect(bench.peek(0xB8000) == 0xFF)
  }

  /// Every write mode, function, mask and plane against a model of one bit of one plane.
  @Test func planarWritesDoWhatEachBitShould() throws {
    bench.setPlanar()
    var seed: UInt64 = 42
    func random(_ limit: UInt64) -> UInt64 {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (seed >> 33) % limit
    }
    var planes = [[UInt8]](repeating: [UInt8](repeating: 0, count: 8), count: 4)
    var latch = [UInt8](repeating: 0, count: 4)
    for _ in 0..<4000 {
      let values = (0..<7).map { _ in UInt8(random(256)) }
      let (mode, function, rotation) = (Int(random(4)), Int(random(4)), Int(random(8)))
      let mask = random(3) == 0 ? 0xFF : values[0]
      bench.sequencer(2, values[1] & 15)
      bench.graphics(0, values[2] & 15)
      bench.graphics(1, values[3] & 15)
      bench.graphics(3, UInt8(function << 3 | rotation))
      bench.graphics(5, UInt8(mode))
      bench.graphics(8, mask)
      let (from, to) = (Int(random(8)), Int(random(8)))
      let plane = Int(random(4))
      bench.graphics(4, UInt8(plane))
      #expect(bench.peek(0xA0000 + UInt64(from)) == planes[plane][from])
      for plane in 0..<4 { latch[plane] = planes[plane][from] }
      let cpu = values[4]
      bench.poke(0xA0000 + UInt64(to), cpu)
      for plane in 0..<4 where values[1] >> plane & 1 == 1 {
        var byte: UInt8 = 0
        for bit in 0..<8 {
          func at(_ value: UInt8, _ place: Int) -> Bool { value >> place & 1 == 1 }
          let rotated = at(cpu, (bit + rotation) & 7)
          let old = at(latch[plane], bit)
          var data: Bool
          switch mode {
          case 0: data = at(values[3], plane) ? at(values[2], plane) : rotated
          case 1: data = old
          case 2: data = at(cpu, plane)
          default: data = at(values[2], plane)
          }
          if mode != 1 {
            data = [data, data && old, data || old, data != old][function]
            if !(at(mask, bit) && (mode != 3 || rotated)) { data = old }
          }
          if data { byte |= 1 << bit }
        }
        planes[plane][to] = byte
      }
    }
    // Read mode 1: where do the planes that count have the colour?
    bench.graphics(5, 8)
    for round in 0..<64 {
      let (colour, care, at) = (UInt8(round & 15), UInt8(random(16)), Int(random(8)))
      bench.graphics(2, colour)
      bench.graphics(7, care)
      var expected: UInt8 = 0
      for bit in 0..<8 where (0..<4).allSatisfy({ care >> $0 & 1 == 0 || planes[$0][at] >> bit & 1 == colour >> $0 & 1 }) {
        expected |= 1 << bit
      }
      #expect(bench.peek(0xA0000 + UInt64(at)) == expected)
    }
  }

  @Test func chainedBytesGoToOnePlaneEach() throws {
    bench.set256Colours()
    bench.test.board.writeMemory(0xA0000 + 320, size: 8, value: 0x8877_6655_4433_2211)
    #expect(bench.test.board.readMemory(0xA0000 + 322, size: 2) == 0x4433)
    #expect(bench.vga.memory.word(320) == 0x4433_2211)
    #expect(bench.vga.memory.word(324) == 0x8877_6655)
    bench.sequencer(2, 2)
    bench.test.board.writeMemory(0xA0000, size: 4, value: 0xFFFF_FFFF)
    #expect(bench.vga.memory.word(0) == 0xFF00)
  }

  @Test func theBeamIsWhereGuestTimePutsIt() throws {
    bench.setText()
    // 28.322 MHz, 100 characters of 9 dots, 449 lines: 14.27 ms a frame. Sampled at every 20 microseconds over ten frames.
    var (retraces, displayed, samples, before) = (0, 0, 0, false)
    while bench.test.clock.now < 142_690_000 {
      let status = bench.inb(0x3DA)
      if status & 8 != 0 && !before { retraces += 1 }
      before = status & 8 != 0
      if status & 8 != 0 { #expect(status & 1 == 1) }
      if status & 1 == 0 { displayed += 1 }
      samples += 1
      bench.test.advance(by: 20_000)
    }
    #expect(retraces == 10)
    let share = Double(displayed) / Double(samples)
    #expect(abs(share - 720.0 / 900 * 400 / 449) < 0.02)
    #expect(bench.vga.frameNumber == 10)
  }

  @Test func theDisplayInterfaceAnswersAsItsBIOSExpects() throws {
    #expect(bench.dispi(0) == 0xB0C5)
    bench.dispi(0, 0xB0C0)
    #expect(bench.dispi(0) == 0xB0C0)
    bench.dispi(0, 0x1234)
    #expect(bench.dispi(0) == 0xB0C0)
    #expect(bench.dispi(10) == 0x100)
    bench.dispi(4, 2)
    #expect([bench.dispi(1), bench.dispi(2), bench.dispi(3)] == [16000, 12000, 32])
    bench.dispi(4, 0)
    #expect(bench.dispi(1) == 0)
    bench.dispi(1, 1027)
    bench.dispi(2, 768)
    bench.dispi(3, 32)
    bench.vga.memory.writeMemory(100, size: 1, value: 7)
    bench.dispi(4, 0x41)
    #expect(bench.vga.memory.readMemory(100, size: 1) == 0)
    #expect([bench.dispi(1), bench.dispi(2), bench.dispi(6), bench.dispi(7)] == [1024, 768, 1024, 4096])
    bench.dispi(9, 4000)
    #expect(bench.dispi(9) == 4096 - 768)
    bench.dispi(3, 7)
    #expect(bench.dispi(3) == 8)
    // The window is a bank of the linear memory.
    bench.out(0x3C2, 3)
    bench.dispi(5, 3)
    bench.test.board.writeMemory(0xA1234, size: 4, value: 0xDEAD_BEEF)
    #expect(bench.vga.memory.readMemory(0x31234, size: 4) == 0xDEAD_BEEF)
    #expect(bench.peek(0xA1235) == 0xBE)
    #expect(bench.peek(0xB8000) == 0xFF)
    #expect(bench.test.board.readPort(0x1CF, size: 1) == 0xFF)
    bench.dispi(4, 0)
    #expect(bench.dispi(5) == 0)
  }

  @Test func itIsAPCIFunctionWithItsMemoryItsRegistersAndItsBIOS() throws {
    let bench = try VGABench(rom: [0x55, 0xAA, 1] + [UInt8](repeating: 9, count: 39_000))
    let function = bench.vga.function
    #expect(function.read(0, size: 4) == 0x1111_1234)
    #expect(function.read(8, size: 4) == 0x0300_0002)
    #expect(function.read(0x10, size: 1) == 8)
    for (offset, mask) in [(0x10, 0xFF00_0008), (0x18, 0xFFFF_F000), (0x30, 0xFFFF_0000)] as [(Int, UInt32)] {
      function.write(offset, size: 4, 0xFFFF_FFFE)
      #expect(function.read(offset, size: 4) == mask)
    }
    function.write(0x10, size: 4, 0xFD00_0000)
    function.write(0x18, size: 4, 0xFEB0_0000)
    function.write(0x30, size: 4, 0xFEA0_0001)
    function.write(4, size: 2, 0x103)
    let board = bench.test.board
    board.writeMemory(0xFDFF_FFF8, size: 8, value: 0x0102_0304_0506_0708)
    #expect(board.readMemory(0xFDFF_FFFC, size: 4) == 0x0102_0304)
    #expect(board.readMemory(0xFDFF_FFFC, size: 8) == .max)
    #expect(board.readMemory(0xFEA0_0000, size: 2) == 0xAA55)
    let edid = (0..<256).map { UInt8(board.readMemory(0xFEB0_0000 + $0, size: 1)) }
    #expect(edid.prefix(8) == [0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0])
    #expect(edid.prefix(128).reduce(0, &+) == 0)
    #expect(Int(edid[56]) | Int(edid[58] >> 4) << 8 == 1024)
    board.writeMemory(0xFEB0_0402, size: 1, value: 0x67)
    #expect(bench.inb(0x3CC) == 0x67)
    #expect(board.readMemory(0xFEB0_040C, size: 1) == 0x67)
    board.writeMemory(0xFEB0_0502, size: 4, value: 600 << 16 | 800)
    #expect([bench.dispi(1), bench.dispi(2)] == [800, 600])
    #expect(board.readMemory(0xFEB0_0514, size: 2) == 0x100)
    #expect(board.readMemory(0xFEB0_0600, size: 8) == 0x1E1E_1E1E_0000_0008)
    #expect(board.readMemory(0xFEB0_0300, size: 2) == 0xFFFF)
  }

  @Test func aSavedAdapterIsTheSame() throws {
    bench.setText()
    bench.test.board.writeMemory(0xB8000, size: 8, value: 0x0741_0742_0743_0744)
    bench.vga.memory.writeMemory(0xFF_FFFF, size: 1, value: 1)
    let saved = try JSONEncoder().encode(bench.vga.state)
    let other = try VGABench()
    other.vga.memory.writeMemory(0x8000, size: 1, value: 1)
    other.vga.state = try JSONDecoder().decode(VGA.State.self, from: saved)
    #expect(other.vga.encodedState() == bench.vga.encodedState())
    #expect(other.test.board.readMemory(0xB8000, size: 8) == 0x0741_0742_0743_0744)
    #expect(other.vga.memory.byte(0x8000) == 0)
    bench.vga.reset()
    #expect(bench.inb(0x3CC) == 0)
    #expect(bench.vga.encodedState() != other.vga.encodedState())
  }

  @Test func aChangeIsToldOnceUntilSomebodyLooksAgain() throws {
    bench.setText()
    var told = 0
    bench.vga.memory.changed = { told += 1 }
    bench.poke(0xB8000, 1)
    #expect(told == 0)
    bench.vga.memory.watch()
    _ = bench.peek(0xB8000)
    #expect(told == 0)
    bench.poke(0xB8000, 1)
    bench.poke(0xB8000, 2)
    #expect(told == 1)
    bench.vga.memory.watch()
    bench.crtc(0x0F, 3)
    #expect(told == 2)
  }

  @Test func theLinearMemoryMovesToTheMachinesFramesAndBack() throws {
    let test = try TestBoard(frames: 2048)
    let frames = Int(0x40_0000) >> 12..<Int(0x50_0000) >> 12
    let memory = test.board.memory
    memory.setKind(.absent, frames: frames)
    test.board.outside.memoryClaimed = { range, isThere in
      if range.lowerBound == 0x40_0000 { memory.setKind(isThere ? .device : .absent, frames: frames) }
    }
    test.board.outside.hasSpareFrames = { $0 == 0x40_0000..<0x50_0000 }
    var dropped: [UInt64] = []
    memory.codeWillChange = { address, _ in dropped.append(address) }
    let vga = VGA(board: test.board, rom: [], memory: VideoMemory(byteCount: 1 << 20))
    vga.memory.writeMemory(0x1_2345, size: 4, value: 0xCAFE_F00D)
    vga.function.write(0x10, size: 4, 0x40_0000)
    vga.function.write(4, size: 2, 2)
    #expect(vga.memory.isInFrames)
    #expect(memory.load(0x41_2345, as: UInt32.self) == 0xCAFE_F00D)
    // What either side writes the other sees, and code there is dropped.
    memory.store(UInt32(7), at: 0x40_0000)
    #expect(vga.memory.word(0) == 7)
    memory.codeLines[0x412] = 1
    vga.memory.writeMemory(0x1_2000, size: 1, value: 9)
    vga.memory.setWord(0x1_2004 / 4, 5)
    #expect(dropped == [0x41_2000, 0x41_2004])
    #expect(memory.load(0x41_2004, as: UInt8.self) == 5)
    let state = vga.encodedState()
    // Over another window it cannot: it is asked, as any device.
    vga.function.write(4, size: 2, 0)
    #expect(!vga.memory.isInFrames)
    memory.setKind(.ram, frames: frames)
    #expect(memory.load(0x41_2345, as: UInt32.self) == 0)
    vga.function.write(0x10, size: 4, 0x60_0000)
    vga.function.write(4, size: 2, 2)
    #expect(!vga.memory.isInFrames)
    #expect(test.board.readMemory(0x61_2345, size: 4) == 0xCAFE_F00D)
    test.board.outside.hasSpareFrames = { _ in true }
    let other = VideoMemory(byteCount: 1 << 20)
    test.board.claimMemory(0x68_0000..<0x78_0000, by: other)
    #expect(!other.isInFrames)
    vga.function.write(0x10, size: 4, 0x40_0000)
    #expect(vga.memory.isInFrames && vga.encodedState() == state)
    vga.reset()
    #expect(!vga.memory.isInFrames && vga.memory.word(0) == 7)
  }
}
