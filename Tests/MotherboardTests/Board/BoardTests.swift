import Devices
import GuestMemory
import Testing

@testable import Motherboard

/// A board with a clock that the test turns.
final class TestBoard {
  let board: Board
  final class Clock { var now: Cycles = 0 }
  let clock = Clock()

  /// - Parameter frames: of memory.
  init(frames: Int = 256, cyclesPerSecond: UInt64 = 1_000_000_000) throws {
    board = Board(memory: try MachineMemory(frameCount: frames), cyclesPerSecond: cyclesPerSecond, startTime: 1_767_225_600_000_000_000)
    board.outside.now = { [clock] in clock.now }
  }

  /// Moves the clock to a cycle, doing on the way what is due.
  func advance(to cycle: Cycles) {
    while let due = board.queue.nextDue, due <= cycle {
      clock.now = max(clock.now, due)
      board.dispatchDue()
    }
    clock.now = max(clock.now, cycle)
  }

  func advance(by cycles: Cycles) { advance(to: clock.now + cycles) }
}

private final class Recorder: PortHandler, MemoryHandler, EventHandler {
  var log: [String] = []
  func readPort(_ port: UInt16, size: Int) -> UInt32 {
    log.append("r\(size) \(port)")
    return 0x1234_5678
  }
  func writePort(_ port: UInt16, size: Int, value: UInt32) { log.append("w\(size) \(port) \(value)") }
  func readMemory(_ offset: UInt64, size: Int) -> UInt64 { offset }
  func writeMemory(_ offset: UInt64, size: Int, value: UInt64) { log.append("m\(size) \(offset) \(value)") }
  func event(_ payload: UInt64, at cycle: Cycles) { log.append("e \(payload) \(cycle)") }
}

@Suite struct BoardTests {
  @Test func aWideAccessIsSplitAmongTheOwnersOfItsPorts() throws {
    let test = try TestBoard()
    let (narrow, wide) = (Recorder(), Recorder())
    test.board.claimPorts(0x60...0x60, width: 1, by: narrow)
    test.board.claimPorts(0x64...0x67, width: 4, by: wide)
    #expect(test.board.readPort(0x60, size: 2) == 0xFF78)
    #expect(test.board.readPort(0x64, size: 4) == 0x1234_5678)
    test.board.writePort(0x60, size: 4, value: 0x0403_0201)
    #expect(narrow.log == ["r1 96", "w1 96 1"])
    #expect(wide.log == ["r4 100"])
    test.board.releasePorts(0x60...0x67, by: narrow)
    #expect(test.board.readPort(0x60, size: 1) == 0xFF)
    #expect(test.board.readPort(0x65, size: 1) == 0x78)
    #expect(test.board.readPort(0xFFFF, size: 4) == .max)
  }

  @Test func portsThatWereTakenComeBack() throws {
    let test = try TestBoard()
    let (fixed, moving) = (Recorder(), Recorder())
    test.board.claimPorts(0x510...0x511, width: 1, by: fixed)
    test.board.claimPorts(0x500...0x53F, width: 4, by: moving)
    _ = test.board.readPort(0x510, size: 1)
    test.board.releasePorts(0x500...0x520, by: moving)
    _ = test.board.readPort(0x511, size: 1)
    _ = test.board.readPort(0x521, size: 1)
    #expect(fixed.log == ["r1 1297"])
    #expect(moving.log == ["r1 1296", "r1 1313"])
    #expect(test.board.readPort(0x520, size: 1) == 0xFF)
    // Any number of times, with as many handlers.
    for _ in 0..<300 {
      let passing = Recorder()
      test.board.claimPorts(0x510...0x510, width: 1, by: passing)
      #expect(test.board.readPort(0x510, size: 1) == 0x78)
      #expect(passing.log.count == 1)
      test.board.releasePorts(0x510...0x510, by: passing)
    }
    _ = test.board.readPort(0x510, size: 1)
    #expect(fixed.log == ["r1 1297", "r1 1296"])
  }

  @Test func theLastClaimOfMemoryWinsUntilItGoes() throws {
    let test = try TestBoard()
    let (first, second) = (Recorder(), Recorder())
    test.board.claimMemory(0xA0000..<0xC0000, by: first)
    test.board.claimMemory(0xB0000..<0xB1000, by: second)
    #expect(test.board.readMemory(0xB0010, size: 2) == 0x10)
    test.board.releaseMemory(0xB0000..<0xB1000, by: second)
    #expect(test.board.readMemory(0xB0010, size: 4) == 0x10010)
    #expect(test.board.readMemory(0xC0000, size: 8) == .max)
    #expect(test.board.readMemory(0xC0000, size: 2) == 0xFFFF)
  }

  @Test func eventsComeAtTheirCycleAndAnEarlierOneIsTold() throws {
    let test = try TestBoard()
    let device = Recorder()
    let target = test.board.register(device)
    var moved: [Cycles] = []
    test.board.outside.deadlineMoved = { moved.append($0) }
    test.board.schedule(at: 100, target: target, payload: 1)
    test.board.schedule(at: 200, target: target, payload: 2)
    test.board.schedule(at: 50, target: target, payload: 3)
    #expect(moved == [100, 50])
    test.advance(to: 120)
    #expect(device.log == ["e 3 50", "e 1 100"])
    test.board.hostCompleted(Board.identity(of: target, payload: 7))
    #expect(device.log.last == "e 7 120")
  }

  @Test func ticksAndCyclesConvertThrough128Bits() throws {
    let test = try TestBoard()
    #expect(test.board.ticks(ofCycles: 1_000_000_000, at: 1_193_182) == 1_193_182)
    #expect(test.board.cycles(ofTicks: 1_193_182, at: 1_193_182) == 1_000_000_000)
    #expect(test.board.cycles(ofTicks: 1, at: 1_193_182) == 839)
    #expect(test.board.ticks(ofCycles: 838, at: 1_193_182) == 0)
    #expect(test.board.ticks(ofCycles: 839, at: 1_193_182) == 1)
    #expect(test.board.ticks(ofCycles: .max, at: .max) == .max)
  }
}
