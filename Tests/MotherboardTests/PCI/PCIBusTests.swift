import GuestMemory
import Testing

@testable import Motherboard

/// A wire and what it last said.
final class Wire {
  private(set) var level = false
  private(set) var changes = 0
  private(set) lazy var line = InterruptLine { [unowned self] in
    level = $0
    changes += 1
  }
}

@Suite struct PCIBusTests {
  private func assemble() throws -> (TestBoard, PCIBus, [Wire]) {
    let test = try TestBoard()
    let wires = (0..<4).map { _ in Wire() }
    return (test, PCIBus(board: test.board, links: wires.map(\.line)), wires)
  }

  private func card(_ board: Board, pin: UInt8) -> PCIFunction {
    PCIFunction(board: board, identity: (0x8086, 0x100E), classCode: 0x020000, revision: 3, bytes: [0x3D: pin])
  }

  @Test func onlyDoublewordsReachTheAddress() throws {
    let (test, bus, _) = try assemble()
    let board = test.board
    board.writePort(0xCF8, size: 4, value: .max)
    #expect(board.readPort(0xCF8, size: 4) == 0x80FF_FFFC)
    board.writePort(0xCFB, size: 1, value: 1)
    board.writePort(0xCF8, size: 1, value: 0)
    board.writePort(0xCF8, size: 2, value: 0)
    #expect(bus.state.address == 0x80FF_FFFC)
    #expect(board.readPort(0xCF8, size: 1) == 0xFF)
    #expect(board.readPort(0xCF8, size: 2) == 0xFFFF)
    // Linux's probe.
    board.writePort(0xCF8, size: 4, value: 0x8000_0000)
    #expect(board.readPort(0xCF8, size: 4) == 0x8000_0000)
  }

  @Test func configurationSpaceIsReachedInEverySizeAndNowhereElse() throws {
    let (test, bus, _) = try assemble()
    let board = test.board
    bus.attach(card(board, pin: 1), slot: 3)
    func address(_ bus: UInt32, _ slot: UInt32, _ function: UInt32, _ register: UInt32) {
      board.writePort(0xCF8, size: 4, value: 1 << 31 | bus << 16 | slot << 11 | function << 8 | register)
    }
    address(0, 3, 0, 0)
    #expect(board.readPort(0xCFC, size: 4) == 0x100E_8086)
    #expect(board.readPort(0xCFE, size: 2) == 0x100E)
    #expect(board.readPort(0xCFD, size: 1) == 0x80)
    // Not into the next doubleword.
    #expect(board.readPort(0xCFE, size: 4) == 0xFFFF_100E)
    address(0, 3, 0, 0x3C)
    board.writePort(0xCFC, size: 1, value: 0x1_0B)
    #expect(board.readPort(0xCFC, size: 4) == 0x010B)
    board.writePort(0xCFF, size: 2, value: 0)
    address(0, 3, 0, 0x0C)
    board.writePort(0xCFC, size: 4, value: .max)
    #expect(board.readPort(0xCFC, size: 4) == 0xFF)
    for (number, slot, function) in [(0, 2, 0), (0, 3, 1), (1, 3, 0)] {
      address(UInt32(number), UInt32(slot), UInt32(function), 0)
      #expect(board.readPort(0xCFC, size: 4) == .max)
      board.writePort(0xCFC, size: 4, value: 0)
    }
    board.writePort(0xCF8, size: 4, value: 3 << 11)
    #expect(board.readPort(0xCFC, size: 4) == .max)
    #expect(board.readPort(0xCFC, size: 1) == 0xFF)
  }

  @Test func pinsAreSharedLinksThatTurnWithTheSlot() throws {
    let (test, bus, wires) = try assemble()
    #expect((0..<4).map { PCIBus.link(slot: 3, pin: $0) } == [2, 3, 0, 1])
    #expect((0..<4).map { PCIBus.link(slot: $0, pin: 0) } == [3, 0, 1, 2])
    let (first, second, third) = (card(test.board, pin: 1), card(test.board, pin: 1), card(test.board, pin: 2))
    bus.attach(first, slot: 3)
    bus.attach(second, slot: 7)
    bus.attach(third, slot: 3, number: 1)
    first.interrupt.set(true)
    second.interrupt.set(true)
    third.interrupt.set(true)
    #expect(wires.map(\.level) == [false, false, true, true])
    first.interrupt.set(false)
    #expect(wires[2].level)
    second.interrupt.set(false)
    #expect(wires.map(\.level) == [false, false, false, true])
    #expect(wires[2].changes == 2)
    // Interrupt disable, and a reset, let the link go.
    third.write(4, size: 2, 0x400)
    #expect(!wires[3].level)
    third.write(4, size: 2, 0)
    #expect(wires[3].level)
    third.reset()
    #expect(!wires[3].level)
  }
}
