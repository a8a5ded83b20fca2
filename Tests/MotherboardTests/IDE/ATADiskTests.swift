import Storage
import Testing

@testable import Motherboard

@Suite struct ATADiskTests {
  static let sectors = 2048
  static let pattern = IDETestMachine.pattern(sectors * 512)
  var contents: [UInt8] { Self.pattern }

  func machine(_ image: any BlockDevice, readOnly: Bool = false) throws -> IDETestMachine {
    try IDETestMachine([IDEDriveDescription(.disk, image: image, name: "hda", isReadOnly: readOnly)])
  }

  @Test func nothingAnswersUntilDecodingIsOn() throws {
    let m = try IDETestMachine([IDEDriveDescription(.disk, image: MemoryBlockDevice(bytes: contents), name: "hda")], decodes: false)
    #expect(m.ide.function.read(0, size: 4) == 0x7010_8086)
    #expect(m.ide.function.read(8, size: 4) == 0x0101_8000)
    #expect(m.ide.function.read(0x20, size: 4) == 1)
    #expect(m.read(7) == 0xFF)
    m.ide.function.write(4, size: 2, 1)
    #expect(m.read(7) == 0xFF)
    m.ide.function.write(0x40, size: 2, 0x8000)
    #expect(m.read(7) == 0x50)
    m.base = 0x170
    #expect(m.read(7) == 0xFF)
    m.ide.function.write(0x42, size: 2, 0xA307)
    #expect(m.read(7) == 0)
    m.ide.function.write(4, size: 2, 0)
    m.base = 0x1F0
    #expect(m.read(7) == 0xFF)
    m.ide.function.write(4, size: 2, 1)
    m.ide.reset()
    #expect(m.read(7) == 0xFF)
  }

  @Test func probingFindsTheDriveAndTheEmptyPlaces() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    for (device, present) in [(UInt8(0xA0), true), (0xB0, false)] {
      m.write(6, device)
      for (a, b) in [(UInt8(0x55), UInt8(0xAA)), (0xAA, 0x55)] {
        m.write(2, a)
        m.write(3, b)
        #expect(m.read(2) == (present ? a : 0))
        #expect(m.read(3) == (present ? b : 0))
      }
      #expect(m.read(7) == (present ? 0x50 : 0))
    }
    m.control(0x0A)
    m.control(0x0E)
    #expect(m.alternateStatus == 0)
    m.control(0x0A)
    m.write(6, 0xA0)
    #expect((1...5).map { m.read($0) } == [1, 1, 1, 0, 0])
    #expect(m.read(7) == 0x50)
    m.base = 0x170
    m.write(2, 0x55)
    #expect(m.read(2) == 0)
    #expect(m.read(7) == 0)
    m.command(0xEC)
    #expect(m.read(7) == 0)
    #expect(m.edges.counts == [0, 0])
  }

  @Test func identifyTellsGeometryModesAndSize() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.command(0xEC)
    #expect(m.edges.counts == [1, 0])
    #expect(m.alternateStatus == 0x58)
    // 32-bit reads, as Linux does them.
    var words: [UInt16] = []
    for _ in 0..<128 {
      let value = m.board.readPort(0x1F0, size: 4)
      words += [UInt16(value & 0xFFFF), UInt16(value >> 16)]
    }
    #expect(m.read(7) == 0x50)
    #expect(words[0] == 0x40)
    #expect([words[1], words[3], words[6]] == [2, 16, 63])
    #expect([words[47], words[49], words[53], words[63], words[80]] == [0x8010, 0x0B00, 7, 7, 0xF0])
    #expect([words[83], words[86], words[88], words[93]] == [0x7400, 0x3400, 0x203F, 0x6001])
    #expect(UInt32(words[60]) | UInt32(words[61]) << 16 == 2048)
    #expect(words[100...103] == [2048, 0, 0, 0])
    #expect(words[169] == 1)
    let model = words[27..<47].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    #expect(String(decoding: model, as: UTF8.self) == "Paravane ATA disk".padding(40))
    #expect(words.reduce(UInt8(0)) { $0 &+ UInt8($1 & 0xFF) &+ UInt8($1 >> 8) } == 0)
    m.command(0xEF, count: 0x22, features: 3)
    #expect(m.read(7) == 0x50)
    m.command(0xEC)
    let bytes = m.readWords(256)
    #expect(bytes[63 * 2 + 1] == 4)
    #expect(bytes[88 * 2 + 1] == 0)
    m.command(0xEF, count: 0x46, features: 3)
    #expect(m.read(7) == 0x41)
  }

  @Test func sectorsAreReadByBlocksWithAnInterruptEach() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.command(0x20, lba: 5, count: 3)
    for sector in 0..<3 {
      #expect(m.edges.counts[0] == sector + 1)
      #expect(m.edges.levels[0])
      #expect(m.alternateStatus == 0x58)
      #expect(m.edges.levels[0])
      #expect(m.read(7) == 0x58)
      #expect(!m.edges.levels[0])
      // More than a block at once stops at its end.
      #expect(m.readWords(300) == Array(contents[((5 + sector) * 512)..<((6 + sector) * 512)]))
    }
    #expect(m.alternateStatus == 0x50)
    #expect(m.edges.counts[0] == 3)
    #expect(m.readWords(10) == [])
    #expect(m.board.readPort(0x1F0, size: 2) == 0)
    #expect(m.busMasterStatus & 4 == 4)
    // Larger than the buffer, with 48 bits.
    m.commandExt(0x24, lba: 100, count: 600)
    var data: [UInt8] = []
    while m.read(7) & 8 != 0 { data += m.readWords(256) }
    #expect(data == Array(contents[51200..<51200 + 600 * 512]))
    // 16 sectors a block.
    m.command(0xC6, count: 16)
    m.command(0xC4, lba: 1, count: 20)
    #expect(m.readWords(9999).count == 8192)
    #expect(m.readWords(9999).count == 2048)
    #expect(m.alternateStatus == 0x50)
    m.command(0xC6, count: 3)
    #expect(m.read(7) == 0x41)
    #expect(m.read(1) == 4)
  }

  @Test func interruptsAreKeptBackByNIEN() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.control(0x0A)
    m.command(0x20)
    #expect(m.edges.counts[0] == 0)
    #expect(m.busMasterStatus & 4 == 0)
    m.control(0x08)
    #expect(m.edges.counts[0] == 1)
    // The other drive's selection takes the line away.
    m.write(6, 0xB0)
    #expect(!m.edges.levels[0])
    m.write(6, 0xE0)
    #expect(m.edges.levels[0])
  }

  @Test func writtenSectorsReachTheImage() throws {
    let image = MemoryBlockDevice(bytes: contents)
    let m = try machine(image)
    let data = IDETestMachine.pattern(300 * 512, seed: 3)
    m.commandExt(0x34, lba: 10, count: 300)
    #expect(m.edges.counts[0] == 0)
    for sector in 0..<300 {
      #expect(m.alternateStatus == 0x58)
      #expect(m.writeWords(Array(data[sector * 512..<data.count])) == 256)
      #expect(m.edges.counts[0] == 1)
      #expect(m.read(7) == (sector == 299 ? 0x50 : 0x58))
      m.edges.counts[0] = 0
    }
    #expect(Array(image.contents[5120..<5120 + data.count]) == data)
    #expect(Array(image.contents[..<5120]) == Array(contents[..<5120]))
    // Word by word.
    m.command(0x30, lba: 0)
    for index in 0..<128 { m.board.writePort(0x1F0, size: 4, value: UInt32(index)) }
    #expect(m.read(7) == 0x50)
    #expect(Array(image.contents[..<8]) == [0, 0, 0, 0, 1, 0, 0, 0])
    #expect(m.ide.statistics[0].writeBytes == 301 * 512)
  }

  @Test func cylindersHeadsAndSectorsFollowTheGeometry() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    // Cylinder 1, head 2, sector 3 of 16 heads and 63 sectors.
    m.command(0x20, lba: 1 << 8 | 3, device: 0xA2)
    #expect(m.readWords(256) == Array(contents[((16 + 2) * 63 + 2) * 512..<((16 + 2) * 63 + 3) * 512]))
    m.command(0x91, count: 32, device: 0xA3)
    m.command(0x20, lba: 1 << 8 | 1, device: 0xA1)
    #expect(m.readWords(256) == Array(contents[(4 + 1) * 32 * 512..<((4 + 1) * 32 + 1) * 512]))
    m.command(0x20, lba: 1 << 8, device: 0xA0)
    #expect(m.read(7) == 0x51)
    #expect(m.read(1) == 0x10)
    m.command(0x20, lba: 1, device: 0xA9)
    #expect(m.read(1) == 0x10)
  }

  @Test func whatIsNotThereIsRefused() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    for (code, lba, count) in [(UInt8(0x20), UInt32(2048), UInt8(1)), (0x20, 2047, 2), (0xC8, 1900, 0), (0x30, 2048, 1), (0x40, 2000, 200)]
    {
      m.command(code, lba: lba, count: count)
      #expect(m.read(7) == 0x51)
      #expect(m.read(1) == 0x10)
    }
    m.commandExt(0x25, lba: 0xFFFF_FFFF_FFFF, count: 0)
    #expect(m.read(1) == 0x10)
    for code: UInt8 in [0xA1, 0xB0, 0x00, 0x08, 0xA0, 0xFF, 0xE4] {
      m.command(code)
      #expect(m.read(7) == 0x41)
      #expect(m.read(1) == 4)
    }
    for code: UInt8 in [0x40, 0x10, 0x70, 0xE1, 0x91] {
      m.command(code)
      #expect(m.read(7) == 0x50)
    }
    m.command(0xE5)
    #expect(m.read(2) == 0xFF)
    let protected = try machine(MemoryBlockDevice(bytes: contents), readOnly: true)
    for code: UInt8 in [0x30, 0xCA, 0x34, 0x35, 0xC5, 0x06] {
      protected.command(code, features: 1)
      #expect(protected.read(7) == 0x41)
    }
  }

  @Test func aDiagnosticSignsAndInterrupts() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.write(6, 0xB0)
    m.write(7, 0x90)
    #expect(m.edges.counts[0] == 1)
    #expect(m.read(6) == 0)
    #expect((1...5).map { m.read($0) } == [1, 1, 1, 0, 0])
  }

  @Test func theHighBytesAreReadThroughHOB() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    for register: UInt16 in 2...5 {
      m.write(register, 0x10 + UInt8(register))
      m.write(register, 0x20 + UInt8(register))
    }
    m.control(0x80)
    #expect((2...5).map { m.read($0) } == [0x12, 0x13, 0x14, 0x15])
    m.control(0)
    #expect((2...5).map { m.read($0) } == [0x22, 0x23, 0x24, 0x25])
  }

  @Test func aFailingImageIsAnUncorrectableError() throws {
    let image = SlowImage(bytes: contents)
    let m = try machine(image)
    image.failure = .host(5)
    m.command(0x20)
    #expect(m.read(7) == 0x51)
    #expect(m.read(1) == 0x40)
    #expect(m.ide.statistics[0].errors == 1)
    image.failure = nil
    m.command(0x20)
    #expect(m.readWords(256) == Array(contents[..<512]))
  }

  @Test func aTransferGoesOnAfterItsStateWasPutBack() throws {
    let image = MemoryBlockDevice(bytes: contents)
    let m = try machine(image)
    m.command(0x20, lba: 7, count: 4)
    _ = m.readWords(256)
    _ = m.readWords(100)
    let state = try decodedState(of: m.ide)
    let other = try machine(image)
    other.ide.state = state
    #expect(other.edges.levels[0])
    #expect(other.readWords(999) == Array(contents[7 * 512 + 712..<9 * 512]))
    #expect(
      other.ide.encodedState()
        == {
          _ = m.readWords(999); return m.ide.encodedState()
        }())
  }

  @Test func imagesWithOtherSectorsAreRefused() throws {
    let test = try TestBoard()
    let lines = (InterruptLine { _ in }, InterruptLine { _ in })
    let image = MemoryBlockDevice(bytes: contents, sectorSize: 4096)
    #expect(throws: IDEController.Failure.sectorSize(drive: "hda", 4096)) {
      try IDEController(board: test.board, interrupts: lines, drives: [IDEDriveDescription(.disk, image: image, name: "hda")])
    }
    #expect(throws: IDEController.Failure.diskWithoutImage(drive: "hdb")) {
      try IDEController(board: test.board, interrupts: lines, drives: [nil, IDEDriveDescription(.disk, image: nil, name: "hdb")])
    }
  }
}

extension String {
  fileprivate func padding(_ count: Int) -> String { self + String(repeating: " ", count: count - utf8.count) }
}
