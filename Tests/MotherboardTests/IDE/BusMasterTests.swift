import Storage
import Testing

@testable import Motherboard

@Suite struct BusMasterTests {
  static let pattern = IDETestMachine.pattern(2048 * 512)
  var contents: [UInt8] { Self.pattern }

  func machine(_ image: any BlockDevice) throws -> IDETestMachine {
    try IDETestMachine([nil, nil, IDEDriveDescription(.disk, image: image, name: "hdc")])
  }

  @Test(arguments: [false, true]) func aReadFillsThePiecesAtItsCycle(isSlow: Bool) throws {
    let m = try machine(isSlow ? SlowImage(bytes: contents) : MemoryBlockDevice(bytes: contents))
    m.base = 0x170
    m.table(at: 0x1008, [(0x20000, 0x1000), (0x21000, 0x200), (0x30002, 0xE00)])
    m.busMasterCommand(8)
    m.command(0xC8, lba: 100, count: 16)
    #expect(m.alternateStatus == 0x58)
    #expect(m.edges.counts[1] == 0)
    m.busMasterCommand(9)
    #expect(m.alternateStatus == 0xD0)
    #expect(m.busMasterStatus == 1)
    // 20 microseconds, and a byte a nanosecond.
    m.test.advance(to: 28191)
    #expect(m.alternateStatus == 0xD0)
    #expect(m.memory(0x20000, 4) == [0, 0, 0, 0])
    m.test.advance(to: 28192)
    #expect(m.edges.counts == [0, 1])
    #expect(m.busMasterStatus == 4)
    m.busMasterCommand(8)
    #expect(m.read(7) == 0x50)
    #expect(!m.edges.levels[1])
    #expect(m.memory(0x20000, 0x1200) + m.memory(0x30002, 0xE00) == Array(contents[51200..<51200 + 8192]))
    m.clearBusMasterStatus()
    #expect(m.busMasterStatus == 0)
    m.board.writePort(m.busMaster + 10, size: 1, value: 0x60)
    #expect(m.busMasterStatus == 0x60)
    #expect(m.board.readPort(m.busMaster + 12, size: 4) == 0x1008)
  }

  @Test func aLongerTableStaysActive() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.base = 0x170
    m.table(at: 0x1000, [(0x20000, 0)])
    m.busMasterCommand(9)
    // Started before the command is as good.
    m.command(0xC8, lba: 1, count: 1)
    m.test.advance(by: 1_000_000)
    #expect(m.busMasterStatus == 5)
    m.busMasterCommand(8)
    #expect(m.busMasterStatus == 4)
    #expect(m.memory(0x20000, 513) == Array(contents[512..<1024]) + [0])
  }

  @Test func aShorterTableLeavesTheDriveWaiting() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.base = 0x170
    m.table(at: 0x1000, [(0x20000, 512)])
    m.command(0xC8, lba: 1, count: 2)
    m.busMasterCommand(9)
    m.test.advance(by: 1_000_000)
    #expect(m.busMasterStatus == 0)
    #expect(m.edges.counts[1] == 0)
    #expect(m.alternateStatus == 0x58)
    m.control(4)
    m.control(0)
    #expect(m.alternateStatus == 0x50)
  }

  @Test(arguments: [(UInt64(0x7FFF_0000), UInt32(0x20000)), (0x1000, 0xFF00_0000), (0x1000, 0xFFE00)]) func whatIsNotRAMIsABusError(
    table: UInt64, address: UInt32
  ) throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.base = 0x170
    m.table(at: table, [(address, 0x1000)])
    for code: UInt8 in [0xC8, 0xCA] {
      m.busMasterCommand(0)
      m.command(code, lba: 1, count: 8)
      m.busMasterCommand(code == 0xC8 ? 9 : 1)
      m.test.advance(by: 1_000_000)
      #expect(m.busMasterStatus == 6)
      #expect(m.read(7) == 0x51)
      m.clearBusMasterStatus()
    }
  }

  @Test(arguments: [false, true]) func aWriteTakesItsDataAtOnce(isSlow: Bool) throws {
    let slow = SlowImage(bytes: contents)
    let fast = MemoryBlockDevice(bytes: contents)
    let m = try machine(isSlow ? slow : fast)
    m.base = 0x170
    let data = IDETestMachine.pattern(4096, seed: 5)
    m.board.memory.copyIn(data, at: 0x20001 & ~1)
    m.table(at: 0x1000, [(0x20001, 0x801), (0x20800, 0x800)])
    m.command(0xCA, lba: 9, count: 8)
    m.busMasterCommand(1)
    m.board.memory.zero(0x20000, count: 4096)
    #expect(m.alternateStatus == 0xD0)
    m.test.advance(by: 24096)
    #expect(m.read(7) == 0x50)
    #expect(m.busMasterStatus == 4)
    #expect(Array((isSlow ? slow.inner : fast).contents[9 * 512..<17 * 512]) == data)
  }

  @Test func theWrongDirectionAndABusMasterThatIsOffMoveNothing() throws {
    let m = try machine(MemoryBlockDevice(bytes: contents))
    m.base = 0x170
    m.table(at: 0x1000, [(0x20000, 512)])
    m.command(0xC8, lba: 1, count: 1)
    m.busMasterCommand(1)
    m.test.advance(by: 1_000_000)
    #expect(m.alternateStatus == 0x58)
    m.busMasterCommand(0)
    m.ide.function.write(4, size: 2, 1)
    m.busMasterCommand(9)
    #expect(m.alternateStatus == 0x58)
    m.ide.function.write(4, size: 2, 5)
    #expect(m.alternateStatus == 0xD0)
    // Stopped in the middle, begun again.
    m.busMasterCommand(8)
    #expect(m.alternateStatus == 0x58)
    m.test.advance(by: 1_000_000)
    #expect(m.edges.counts[1] == 0)
    m.busMasterCommand(9)
    m.test.advance(by: 1_000_000)
    #expect(m.edges.counts[1] == 1)
    #expect(m.memory(0x20000, 512) == Array(contents[512..<1024]))
  }

  @Test func onTheHostsClockATransferIsOverWhenTheHostIsDone() throws {
    let fast = try machine(MemoryBlockDevice(bytes: contents))
    fast.board.outside.hostIsDone = { _ in Issue.record("nothing takes time") }
    fast.base = 0x170
    fast.table(at: 0x1000, [(0x20000, 512)])
    fast.command(0xC8, lba: 1, count: 1)
    fast.busMasterCommand(9)
    #expect(fast.busMasterStatus == 4)
    #expect(fast.memory(0x20000, 512) == Array(contents[512..<1024]))

    final class Mailbox: @unchecked Sendable { var identities: [UInt64] = [] }
    let mailbox = Mailbox()
    let image = SlowImage(bytes: contents)
    image.holds = true
    let slow = try machine(image)
    slow.board.outside.hostIsDone = { mailbox.identities.append($0) }
    slow.base = 0x170
    slow.table(at: 0x1000, [(0x20000, 1024)])
    slow.command(0xC8, lba: 1, count: 2)
    slow.busMasterCommand(9)
    #expect(slow.alternateStatus == 0xD0)
    image.release()
    #expect(slow.edges.counts[1] == 0)
    for identity in mailbox.identities { slow.board.hostCompleted(identity) }
    #expect(slow.edges.counts[1] == 1)
    #expect(slow.memory(0x20000, 1024) == Array(contents[512..<1536]))
    // An answer to a request that a reset made meaningless.
    slow.command(0xE7)
    slow.control(4)
    slow.control(0)
    image.release()
    for identity in mailbox.identities { slow.board.hostCompleted(identity) }
    #expect(slow.alternateStatus == 0x50)
    #expect(slow.edges.counts[1] == 1)
  }

  @Test func flushAndTrimReachTheImage() throws {
    let image = SlowImage(bytes: contents)
    let m = try machine(image)
    m.base = 0x170
    m.command(0xE7)
    #expect(m.alternateStatus == 0xD0)
    m.test.advance(by: 70_000)
    #expect(m.read(7) == 0x50)
    #expect(image.requests == [.flush])
    m.board.memory.store(UInt64(3) << 48 | 5, at: 0x20000)
    m.board.memory.store(UInt64(1) << 48 | 2047, at: 0x20008)
    m.table(at: 0x1000, [(0x20000, 512)])
    m.busMasterCommand(0)
    m.write(2, 0)
    m.command(0x06, count: 1, features: 1)
    m.busMasterCommand(1)
    m.test.advance(by: 1_000_000)
    #expect(m.read(7) == 0x50)
    #expect(image.requests.dropFirst() == [.discard(offset: 5 * 512, count: 1536), .discard(offset: 2047 * 512, count: 512)])
    m.board.memory.store(UInt64(2) << 48 | 2047, at: 0x20008)
    m.busMasterCommand(0)
    m.write(2, 0)
    m.command(0x06, count: 1, features: 1)
    m.busMasterCommand(1)
    m.test.advance(by: 1_000_000)
    #expect(m.read(7) == 0x51)
  }

  @Test func aRestoredTransferEndsAtItsCycle() throws {
    let image = MemoryBlockDevice(bytes: contents)
    let m = try machine(image)
    m.base = 0x170
    m.table(at: 0x1000, [(0x20000, 512)])
    m.command(0xC8, lba: 1, count: 1)
    m.busMasterCommand(9)
    let state = try decodedState(of: m.ide)
    let queue = m.board.queue
    m.ide.reset()
    m.ide.state = state
    m.test.board.queue = queue
    m.test.advance(by: 1_000_000)
    #expect(m.memory(0x20000, 512) == Array(contents[512..<1024]))
    #expect(m.edges.counts[1] == 1)
  }
}
