import GuestMemory
import Testing

@testable import Motherboard

@Suite struct FirmwareConfigurationTests {
  private func assemble() throws -> (TestBoard, FirmwareConfiguration) {
    let test = try TestBoard()
    var items = FirmwareItems(memory: MemoryMap(bytes: 5 << 30), processors: 2)
    items.setFile("zebra", [1, 2, 3])
    items.setFile("bootorder", Array("HALT\0".utf8))
    items.setFile(String(repeating: "x", count: 56), [])
    return (test, FirmwareConfiguration(board: test.board, items: items))
  }

  private func bytes(_ board: Board, _ key: UInt32, _ count: Int) -> [UInt8] {
    board.writePort(0x510, size: 2, value: key)
    return (0..<count).map { _ in UInt8(board.readPort(0x511, size: 1)) }
  }

  @Test func theSignatureAndTheAbilitiesAreThere() throws {
    let (test, _) = try assemble()
    #expect(bytes(test.board, 0, 6) == Array("QEMU".utf8) + [0, 0])
    #expect(bytes(test.board, 1, 4) == [3, 0, 0, 0])
    #expect(bytes(test.board, 5, 2) == [2, 0])
    #expect(bytes(test.board, 0x1234, 2) == [0, 0])
    #expect(test.board.readPort(0x514, size: 4) == 0x554D_4551)
    #expect(test.board.readPort(0x518, size: 4) == 0x4746_4320)
    #expect(test.board.readPort(0x51B, size: 1) == UInt32(UInt8(ascii: "G")))
  }

  @Test func theDirectoryIsSortedAndLeadsToTheFiles() throws {
    let (test, _) = try assemble()
    #expect(bytes(test.board, 0x19, 4) == [0, 0, 0, 5])
    var names: [String] = []
    for _ in 0..<5 {
      let entry = (0..<64).map { _ in UInt8(test.board.readPort(0x511, size: 1)) }
      names.append(String(decoding: entry[8...].prefix { $0 != 0 }, as: UTF8.self))
      if names.last == "zebra" { #expect(Array(entry[..<8]) == [0, 0, 0, 3, 0, 0x24, 0, 0]) }
    }
    #expect(names == ["bootorder", "etc/boot-fail-wait", "etc/e820", "etc/system-states", "zebra"])
    #expect(bytes(test.board, 0x24, 4) == [1, 2, 3, 0])
    #expect(bytes(test.board, 0x22, 21).prefix(20) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 1, 0, 0, 0])
  }

  @Test func aRowOfBytesComesAtOnce() throws {
    let (test, _) = try assemble()
    test.board.writePort(0x510, size: 2, value: 0x24)
    var row = [UInt8](repeating: 9, count: 5)
    let done = row.withUnsafeMutableBytes { test.board.readPort(0x511, size: 1, into: $0) }
    #expect(done == 5)
    #expect(row == [1, 2, 3, 0, 0])
  }

  /// Writes a request at 0x1000 and starts it; its control word afterwards.
  private func transfer(_ board: Board, _ control: UInt32, _ length: UInt32, _ address: UInt64) -> UInt32? {
    board.memory.store(control.bigEndian, at: 0x1000)
    board.memory.store(length.bigEndian, at: 0x1004)
    board.memory.store(address.bigEndian, at: 0x1008)
    board.writePort(0x518, size: 4, value: UInt32(0x1000).bigEndian)
    return board.memory.load(0x1000, as: UInt32.self)?.bigEndian
  }

  @Test func itemsAreTransferredToMemory() throws {
    let (test, device) = try assemble()
    let board = test.board
    #expect(transfer(board, 0x24_000A, 2, 0x2000) == 0)
    #expect(board.memory.copyOut(0x2000, count: 3) == [1, 2, 0])
    board.memory.store(UInt64.max, at: 0x2000)
    #expect(transfer(board, 2, 4, 0x2000) == 0)
    #expect(board.memory.copyOut(0x2000, count: 5) == [3, 0, 0, 0, 0xFF])
    #expect(transfer(board, 0x24_000C, 1, 0) == 0)
    #expect(device.state.offset == 1)
    #expect(transfer(board, 4, .max, 0) == 0)
    #expect(device.state.offset == 3)
    // Outside memory, and what cannot be written.
    #expect(transfer(board, 0x24_000A, .max, 0x2000) == 1)
    #expect(transfer(board, 0x24_000A, 4, .max - 1) == 1)
    #expect(transfer(board, 0x24_0018, 4, 0x2000) == 1)
    board.writePort(0x514, size: 4, value: .max)
    board.writePort(0x518, size: 4, value: .max)
    #expect(device.state.addressHigh == 0)
  }

  @Test func memoryHasItsHoleBelow4GiB() {
    let small = MemoryMap(bytes: 512 << 20 | 123)
    #expect(small.ram == [0..<512 << 20])
    #expect(small.pciWindow == 0x8000_0000...0xFEBF_FFFF)
    #expect(small.e820.count == 20)
    let large = MemoryMap(bytes: 5 << 30)
    #expect(large.ram == [0..<3 << 30, 4 << 30..<6 << 30])
    #expect(large.end == 6 << 30)
    #expect(large.pciWindow.lowerBound == 0xC000_0000)
    #expect(large.e820.count == 40)
  }

  @Test func theFlashEndsAt4GiBAndShowsBelow1MiB() throws {
    var bytes = [UInt8](repeating: 0, count: 256 << 10)
    bytes[0x20000] = 1
    bytes[0x3FFFF] = 2
    let image = try #require(FirmwareImage(bios: bytes))
    #expect(image.range == 0xFFFC_0000..<0x1_0000_0000)
    #expect(image.alias.address == 0xE0000)
    #expect(image.alias.bytes.first == 1 && image.alias.bytes.last == 2)
    #expect(FirmwareImage(bios: [1, 2, 3]) == nil)
    #expect(throws: FirmwareImage.Failure.cannotRead(path: "/nowhere")) { try FirmwareImage(biosAt: "/nowhere") }
  }
}
