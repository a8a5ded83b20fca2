import Testing

@testable import Motherboard

@Suite struct PCIHostBridgeTests {
  @Test func theAttributeMapTellsEachSegment() throws {
    let test = try TestBoard()
    let bridge = PCIHostBridge(board: test.board)
    var log: [(Range<UInt64>, PCIHostBridge.Access)] = []
    bridge.segmentChanged = { log.append(($0, $1)) }
    #expect(bridge.function.read(0, size: 4) == 0x1237_8086)
    #expect(bridge.function.read(0x2C, size: 4) == 0x1100_1AF4)
    // SeaBIOS's opening: the BIOS area first.
    bridge.function.write(0x58, size: 4, 0x3333_3000)
    #expect(bridge.function.read(0x58, size: 4) == 0x3333_3000)
    #expect(log.count == 4 + 4)
    #expect(
      bridge.segments == Array(repeating: [.reads, .writes], count: 4) + Array(repeating: [], count: 8)
        + Array(repeating: [.reads, .writes], count: 4))
    bridge.function.write(0x5C, size: 4, 0x3333_3333)
    #expect(bridge.segments == Array(repeating: [.reads, .writes], count: 16))
    log = []
    bridge.function.write(0x58, size: 4, 0x1111_1000)
    bridge.function.write(0x5C, size: 4, 0x3311_1131)
    #expect(log.count == 4 + 4 + 5)
    // PAM3's high half is 0xd4000.
    #expect(log.contains { $0.0 == 0xD4000..<0xD8000 } == false)
    #expect(bridge.segments[5] == [.reads, .writes])
    #expect(log.allSatisfy { $0.1 == .reads })
    bridge.reset()
    #expect(bridge.segments == Array(repeating: [], count: 16))
    #expect(log.last?.0 == 0xFC000..<0x100000)
  }

  @Test func smramOpensAndLocks() throws {
    let test = try TestBoard()
    let bridge = PCIHostBridge(board: test.board)
    var open: [Bool] = []
    bridge.smramChanged = { open.append($0) }
    #expect(bridge.function.read(0x72, size: 1) == 2)
    bridge.function.write(0x72, size: 1, 0x4A)
    bridge.function.write(0x72, size: 1, 0x0A)
    bridge.function.write(0x72, size: 1, 0x5A)
    #expect(open == [true, false])
    #expect(bridge.function.read(0x72, size: 1) == 0x1A)
    bridge.function.write(0x72, size: 1, 0x4A)
    #expect(bridge.function.read(0x72, size: 1) == 0x1A)
    bridge.reset()
    bridge.function.write(0x72, size: 1, 0x4A)
    #expect(open == [true, false, true])
  }

  @Test func aSavedBridgeComesBack() throws {
    let test = try TestBoard()
    let (one, other) = (PCIHostBridge(board: test.board), PCIHostBridge(board: test.board))
    one.function.write(0x5A, size: 1, 0x21)
    other.state = one.state
    #expect(other.segments == one.segments)
    #expect(other.segments[0] == .reads)
    #expect(other.segments[1] == .writes)
    #expect(other.encodedState() == one.encodedState())
  }
}
