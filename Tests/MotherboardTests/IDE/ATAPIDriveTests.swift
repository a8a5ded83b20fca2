import Storage
import Testing

@testable import Motherboard

@Suite struct ATAPIDriveTests {
  static let blocks = 200
  static let pattern = IDETestMachine.pattern(blocks * 2048)
  var contents: [UInt8] { Self.pattern }

  func machine(_ image: (any BlockDevice)?) throws -> IDETestMachine {
    let m = try IDETestMachine([nil, nil, IDEDriveDescription(.cdrom, image: image, name: "hdc")])
    m.base = 0x170
    return m
  }

  var disc: MemoryBlockDevice { MemoryBlockDevice(bytes: contents, sectorSize: 2048, isReadOnly: true) }

  /// Sense key and code of what failed.
  func sense(_ m: IDETestMachine) -> [UInt8] {
    m.packet([3, 0, 0, 0, 18])
    let bytes = m.packetAnswer()
    return bytes.count == 18 ? [bytes[2], bytes[12], bytes[13]] : bytes
  }

  @Test func itsSignatureAndStatusTellItFromADisk() throws {
    let m = try machine(disc)
    #expect(m.read(7) == 0x50)
    #expect([m.read(4), m.read(5)] == [0x14, 0xEB])
    m.control(0x0E)
    m.control(0x0A)
    #expect((1...5).map { m.read($0) } == [1, 1, 1, 0x14, 0xEB])
    #expect(m.read(7) == 0)
    m.write(4, 0)
    m.write(5, 0)
    m.write(7, 0xEC)
    #expect(m.read(7) == 0x41)
    #expect([m.read(1), m.read(4), m.read(5)] == [4, 0x14, 0xEB])
    m.control(8)
    m.write(7, 0xA1)
    #expect(m.edges.counts[1] == 1)
    let identity = m.readWords(256)
    #expect(Array(identity[..<2]) == [0xC0, 0x85])
    #expect(identity.count == 512)
    #expect(m.edges.counts[1] == 1)
    #expect(m.read(7) == 0x50)
    m.write(7, 8)
    #expect(m.read(7) == 0)
    #expect(m.read(5) == 0xEB)
  }

  @Test func blocksAreReadInPiecesOfTheLimit() throws {
    let m = try machine(disc)
    // As SeaBIOS does it: a block of data for each block of the disc.
    m.packet([0x28, 0, 0, 0, 0, 16, 0, 0, 3], limit: 2048)
    for block in 0..<3 {
      #expect(m.alternateStatus == 0x58)
      #expect(m.read(2) == 2)
      #expect([m.read(4), m.read(5)] == [0, 8])
      #expect(m.edges.counts[1] == block + 1)
      #expect(m.read(7) == 0x58)
      #expect(m.readWords(9999) == Array(contents[(16 + block) * 2048..<(17 + block) * 2048]))
    }
    #expect(m.edges.counts[1] == 4)
    #expect(m.read(2) == 3)
    #expect(m.read(7) == 0x50)
    // More than the buffer, in pieces that no block is a multiple of.
    m.packet([0xA8, 0, 0, 0, 0, 0, 0, 0, 0, 100], limit: 3000)
    #expect(m.packetAnswer() == Array(contents[..<204800]))
    #expect(m.alternateStatus == 0x50)
    m.packet([0xBE, 0, 0, 0, 0, 7, 0, 0, 1, 0x10], limit: 0xFFFF)
    #expect(m.packetAnswer() == Array(contents[7 * 2048..<8 * 2048]))
  }

  @Test func blocksAreReadByDMA() throws {
    let m = try machine(disc)
    m.table(at: 0x1000, [(0x20000, 0), (0x30000, 0)])
    m.busMasterCommand(8)
    m.packet([0x28, 0, 0, 0, 0, 100, 0, 0, 40], dma: true)
    m.busMasterCommand(9)
    #expect(m.alternateStatus == 0xD0)
    m.test.advance(by: 1_000_000)
    #expect(m.busMasterStatus & 4 == 4)
    #expect(m.read(2) == 3)
    #expect(m.read(7) == 0x50)
    #expect(m.memory(0x20000, 40 * 2048) == Array(contents[100 * 2048..<140 * 2048]))
    m.busMasterCommand(8)
    m.clearBusMasterStatus()
    m.packet([0x12, 0, 0, 0, 36], dma: true)
    m.busMasterCommand(9)
    m.test.advance(by: 1_000_000)
    #expect(m.memory(0x20000, 16) == [5, 0x80, 0, 0x21, 31, 0, 0, 0] + Array("PARAVANE".utf8))
    m.busMasterCommand(8)
    m.packet([0x28, 0, 0, 0, 1, 0, 0, 0, 1], dma: true)
    #expect(m.read(7) == 0x41)
    #expect(sense(m) == [5, 0x21, 0])
  }

  @Test func theDiscIsDescribed() throws {
    let m = try machine(disc)
    m.packet([0])
    #expect(m.read(7) == 0x50)
    m.packet([0x25])
    #expect(m.packetAnswer() == [0, 0, 0, 199, 0, 0, 8, 0])
    m.packet([0x43, 0, 0, 0, 0, 0, 0, 0, 20])
    #expect(m.packetAnswer() == [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 0, 200])
    m.packet([0x43, 2, 0, 0, 0, 0, 0xAA, 0, 12])
    #expect(m.packetAnswer() == [0, 10, 1, 1, 0, 0x14, 0xAA, 0, 0, 0, 4, 50])
    m.packet([0x43, 0, 1, 0, 0, 0, 0, 0, 12])
    #expect(m.packetAnswer() == [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0])
    m.packet([0x43, 0, 2, 0, 0, 0, 0, 1, 0])
    #expect(m.packetAnswer().count == 4 + 44)
    m.packet([0x43, 0, 5, 0, 0, 0, 0, 0, 12])
    #expect(sense(m) == [5, 0x24, 0])
    m.packet([0x46, 0, 0, 0, 0, 0, 0, 0, 8])
    #expect(m.packetAnswer() == [0, 0, 0, 64, 0, 0, 0, 8])
    m.packet([0x46, 2, 0, 0x10, 0, 0, 0, 0, 64])
    #expect(m.packetAnswer() == [0, 0, 0, 16, 0, 0, 0, 8, 0, 0x10, 1, 8, 0, 0, 8, 0, 0, 1, 0, 0])
    m.packet([0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 128])
    let mode = m.packetAnswer()
    #expect(mode.count == 28)
    #expect(Array(mode[..<12]) == [0, 26, 1, 0, 0, 0, 0, 0, 0x2A, 18, 0x0B, 0])
    m.packet([0x51, 0, 0, 0, 0, 0, 0, 0, 34])
    #expect(Array(m.packetAnswer()[..<7]) == [0, 32, 0x0E, 1, 1, 1, 1])
    m.packet([0x52, 1, 0, 0, 0, 1, 0, 0, 36])
    #expect(m.packetAnswer().count == 36)
    m.packet([0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8])
    #expect(m.packetAnswer() == [0, 0, 0, 0, 0, 0, 0, 0])
    m.packet([0xFF])
    #expect(m.read(7) == 0x41)
    #expect(m.read(1) == 0x54)
    #expect(sense(m) == [5, 0x20, 0])
    #expect(sense(m) == [0, 0, 0])
  }

  @Test func discsComeAndGo() throws {
    let m = try machine(nil)
    m.packet([0])
    #expect(m.read(7) == 0x41)
    #expect(sense(m) == [2, 0x3A, 0])
    #expect(m.ide.changeDisc(inDriveNamed: "hdc", to: disc))
    #expect(!m.ide.changeDisc(inDriveNamed: "hdd", to: disc))
    m.packet([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8])
    #expect(m.packetAnswer() == [0, 6, 4, 0x10, 2, 2, 0, 0])
    m.packet([0x28, 0, 0, 0, 0, 0, 0, 0, 1])
    #expect(sense(m) == [6, 0x28, 0])
    m.packet([0])
    #expect(m.read(7) == 0x50)
    m.packet([0x1E, 0, 0, 0, 1])
    m.packet([0x1B, 0, 0, 0, 2])
    #expect(sense(m) == [5, 0x53, 2])
    #expect(!m.ide.changeDisc(inDriveNamed: "hdc", to: nil))
    m.packet([0x1E])
    m.packet([0x1B, 0, 0, 0, 2])
    #expect(m.read(7) == 0x50)
    m.packet([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8])
    #expect(m.packetAnswer() == [0, 6, 4, 0x10, 3, 1, 0, 0])
    m.packet([0x25])
    #expect(sense(m) == [2, 0x3A, 2])
    m.packet([0x1B, 0, 0, 0, 3])
    m.packet([0])
    #expect(sense(m) == [6, 0x28, 0])
    let state = m.ide.encodedState()
    #expect(!state.isEmpty)
  }

  @Test func dataForTheDriveIsTakenAndForgotten() throws {
    let m = try machine(disc)
    m.packet([0x55, 0x10, 0, 0, 0, 0, 0, 0, 20])
    #expect(m.read(2) == 0)
    #expect(m.read(7) == 0x58)
    #expect(m.writeWords([UInt8](repeating: 0, count: 40)) == 10)
    #expect(m.read(2) == 3)
    #expect(m.read(7) == 0x50)
  }
}
