import Testing

@testable import Motherboard

@Suite struct ISABridgeTests {
  @Test func linksGoToTheRequestsThatSoftwareChose() throws {
    let test = try TestBoard()
    let wires = (0..<16).map { _ in Wire() }
    let bridge = ISABridge(board: test.board, interrupts: wires.map(\.line))
    func raised() -> [Int] { wires.indices.filter { wires[$0].level } }
    #expect(bridge.function.read(0x0E, size: 1) == 0x80)
    bridge.links[0].set(true)
    #expect(raised() == [])
    bridge.function.write(0x60, size: 4, 0x0B0B_0A0A)
    #expect(raised() == [10])
    bridge.links[1].set(true)
    bridge.links[0].set(false)
    #expect(raised() == [10])
    #expect(wires[10].changes == 1)
    bridge.links[3].set(true)
    #expect(raised() == [10, 11])
    // Off again, as Linux's links do; and never to a request that is the board's own.
    bridge.function.write(0x63, size: 1, 0x8B)
    #expect(raised() == [10])
    bridge.function.write(0x61, size: 1, 8)
    #expect(raised() == [])
    bridge.function.write(0x61, size: 1, 9)
    #expect(raised() == [9])
    let saved = bridge.state
    bridge.reset()
    #expect(raised() == [])
    bridge.state = saved
    #expect(raised() == [9])
  }

  @Test func theResetPortResetsWithBit2() throws {
    let test = try TestBoard()
    var resets = 0
    test.board.outside.reset = { resets += 1 }
    let bridge = ISABridge(board: test.board, interrupts: [])
    _ = PCIBus(board: test.board, links: bridge.links)
    test.board.writePort(0xCF9, size: 1, value: 2)
    #expect(resets == 0)
    #expect(test.board.readPort(0xCF9, size: 1) == 2)
    test.board.writePort(0xCF9, size: 1, value: 6)
    #expect(resets == 1)
    #expect(test.board.readPort(0xCF9, size: 1) == 2)
  }
}
