import Testing

@testable import Motherboard

@Suite struct RealTimeClockTests {
  let rig: Rig
  init() throws { rig = try Rig() }

  static let second: UInt64 = 1_000_000_000

  /// The board starts at 2026-01-01 00:00:00, a Thursday.
  final class Rig {
    let test: TestBoard
    let rtc: RealTimeClock
    var edges: [UInt64] = []
    init() throws {
      test = try TestBoard()
      final class Box { weak var rig: Rig? }
      let box = Box()
      rtc = RealTimeClock(
        board: test.board, line: InterruptLine { if $0 { box.rig?.edges.append(box.rig?.test.clock.now ?? 0) } },
        configuration: .init(memory: MemoryMap(bytes: 5 << 30), processorCount: 1))
      box.rig = self
    }
    func read(_ index: UInt32) -> UInt32 {
      test.board.writePort(0x70, size: 1, value: index)
      return test.board.readPort(0x71, size: 1)
    }
    func write(_ index: UInt32, _ value: UInt32) {
      test.board.writePort(0x70, size: 1, value: index)
      test.board.writePort(0x71, size: 1, value: value)
    }
    var time: [UInt32] { [0x32, 9, 8, 7, 4, 2, 0].map(read) }
  }

  @Test func theTimeIsTheBoardsInBCD() throws {
    #expect(rig.time == [0x20, 0x26, 1, 1, 0, 0, 0])
    #expect(rig.read(6) == 5)
    rig.test.advance(by: (86400 * 40 + 13 * 3600 + 45 * 60 + 59) * Self.second)
    #expect(rig.time == [0x20, 0x26, 2, 0x10, 0x13, 0x45, 0x59])
    #expect(rig.read(6) == 3)
    #expect(rig.test.board.readPort(0x70, size: 1) == 0xFF)
    #expect(rig.test.board.readPort(0x72, size: 1) == 0xFF)
    #expect([10, 11, 13].map { rig.read($0) } == [0x26, 2, 0x80])
  }

  @Test func calendarGoesThereAndBack() {
    for day in stride(from: -800_000 as Int64, to: 3_000_000, by: 97) {
      let time = CalendarTime(seconds: day * 86400 + 86399)
      #expect(time.seconds == day * 86400 + 86399)
      #expect((1...12).contains(time.month) && (1...31).contains(time.day) && time.hour == 23)
    }
    let leap = CalendarTime(seconds: 951_782_400)
    #expect([leap.year, leap.month, leap.day] == [2000, 2, 29])
  }

  @Test func binaryAndTwelveHoursAreFormatsOfTheSameTime() throws {
    rig.test.advance(by: (23 * 3600 + 59 * 60) * Self.second)
    rig.write(11, 0)
    #expect(rig.read(4) == 0x91)
    rig.write(11, 4)
    #expect(rig.read(4) == 0x8B)
    #expect(rig.read(2) == 59)
    rig.write(11, 6)
    #expect(rig.read(4) == 23)
    rig.test.advance(by: 60 * Self.second)
    rig.write(11, 0)
    #expect(rig.read(4) == 0x12, "midnight is 12")
    rig.test.advance(by: 12 * 3600 * Self.second)
    #expect(rig.read(4) == 0x92)
  }

  @Test func updateInProgressShowsBeforeTheSecondAndNeverUnderSet() throws {
    rig.test.advance(to: Self.second - 300_000)
    #expect(rig.read(10) == 0x26)
    rig.test.advance(to: Self.second - 200_000)
    #expect(rig.read(10) == 0xA6)
    #expect(rig.read(0) == 0)
    rig.test.advance(to: Self.second)
    #expect(rig.read(10) == 0x26)
    #expect(rig.read(0) == 1)
    rig.write(11, 0x82)
    rig.test.advance(to: 2 * Self.second - 100_000)
    #expect(rig.read(10) == 0x26)
    #expect(rig.read(0) == 1)
  }

  @Test func setStopsTheTimeAndItGoesOnFromWhatWasWritten() throws {
    rig.test.advance(to: Self.second / 4)
    rig.write(11, 0x82)
    for (index, value) in [(0x32, 0x19), (9, 0x99), (8, 0x12), (7, 0x31), (6, 6), (4, 0x23), (2, 0x59), (0, 0x58)] as [(UInt32, UInt32)] {
      rig.write(index, value)
    }
    rig.test.advance(by: 10 * Self.second)
    #expect(rig.time == [0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58])
    rig.write(11, 2)
    rig.test.advance(by: 2 * Self.second)
    #expect(rig.time == [0x20, 0, 1, 1, 0, 0, 0])
    #expect(rig.read(6) == 7)
  }

  @Test func aHeldDividerGoesOnWithHalfASecond() throws {
    rig.write(10, 0x76)
    rig.test.advance(by: 5 * Self.second + 123)
    #expect(rig.read(0) == 0)
    rig.write(10, 0x26)
    rig.test.advance(by: Self.second / 2 - 100_000)
    #expect(rig.read(0) == 0)
    rig.test.advance(by: 200_000)
    #expect(rig.read(0) == 1)
  }

  @Test func periodicInterruptsWaitForRegisterC() throws {
    rig.write(11, 0x42)
    rig.test.advance(by: Self.second)
    #expect(rig.edges.count == 1, "nobody took it")
    #expect(rig.read(12) == 0xD0)
    #expect(rig.read(12) == 0)
    for _ in 0..<1024 {
      rig.test.advance(to: rig.test.board.queue.nextDue ?? 0)
      #expect(rig.read(12) & 0xC0 == 0xC0)
    }
    #expect(rig.edges.count == 1025)
    #expect(rig.edges.last == 2 * Self.second)
    rig.write(11, 2)
    #expect(rig.test.board.queue.isEmpty)
  }

  @Test func flagsComeUpWithoutInterruptsToo() throws {
    _ = rig.read(12)
    rig.test.advance(by: Self.second + 1)
    #expect(rig.read(12) == 0x50 | 0)
    #expect(rig.edges.isEmpty)
    // Enabling what is flagged interrupts at once.
    rig.test.advance(by: Self.second)
    rig.write(11, 0x12)
    #expect(rig.edges.count == 1)
    rig.write(11, 2)
    rig.write(11, 0x12)
    #expect(rig.edges.count == 2)
  }

  @Test func theAlarmComesAtItsTime() throws {
    rig.write(1, 0x30)
    rig.write(3, 0x15)
    rig.write(5, 0x02)
    rig.write(11, 0x22)
    rig.test.advance(by: 86400 * Self.second)
    #expect(rig.edges == [(2 * 3600 + 15 * 60 + 30) * Self.second])
    #expect(rig.read(12) & 0xA0 == 0xA0)
    rig.test.advance(by: 86400 * Self.second)
    #expect(rig.edges.count == 2)
    _ = rig.read(12)
    // Any hour, any minute.
    rig.write(3, 0xFF)
    rig.write(5, 0xC0)
    let start = rig.test.clock.now
    rig.test.advance(by: 31 * Self.second)
    #expect(rig.edges.last == start + 30 * Self.second)
    // What no clock shows never comes.
    _ = rig.read(12)
    rig.write(1, 0x7A)
    #expect(rig.test.board.queue.isEmpty)
  }

  @Test func updateEndedInterruptsEachSecond() throws {
    rig.write(11, 0x12)
    for count: UInt64 in 1...5 {
      rig.test.advance(to: count * Self.second)
      #expect(rig.edges.last == count * Self.second)
      #expect(rig.read(12) & 0x90 == 0x90)
    }
  }

  @Test func firmwareFindsTheMachineInRAM() throws {
    #expect([0x30, 0x31, 0x34, 0x35].map { rig.read($0) } == [0, 0xFC, 0, 0xBF])
    #expect([0x5B, 0x5C, 0x5D].map { rig.read($0) } == [0, 0x80, 0])
    #expect([0x15, 0x16, 0x10, 0x3D, 0x38, 0x5F].map { rig.read($0) } == [0x80, 2, 0, 0x32, 0, 0])
    let sum = (0x10...0x2D).reduce(0) { $0 + rig.read(UInt32($1)) }
    #expect(rig.read(0x2E) << 8 | rig.read(0x2F) == sum)
    rig.write(0x8F, 9)
    #expect(rig.read(0x0F) == 9)
    #expect(!rig.rtc.isNonMaskableMasked)
    rig.test.board.writePort(0x70, size: 1, value: 0x8F)
    #expect(rig.rtc.isNonMaskableMasked)
    rig.rtc.reset()
    #expect(rig.read(0x0F) == 9)
  }

  @Test func stateGoesThereAndBack() throws {
    rig.write(0x40, 0x5A)
    let bytes = rig.rtc.encodedState()
    let saved = rig.rtc.state
    rig.write(0x40, 0)
    rig.write(11, 0x82)
    rig.rtc.state = saved
    #expect(rig.rtc.encodedState() == bytes)
    #expect(rig.read(0x40) == 0x5A)
  }
}
