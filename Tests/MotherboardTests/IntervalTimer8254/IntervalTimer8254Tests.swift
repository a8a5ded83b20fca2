import Testing

@testable import Motherboard

@Suite struct IntervalTimer8254Tests {
  let rig: Rig
  init() throws { rig = try Rig() }

  /// A clock with one cycle for each tick of the timer makes ticks exact.
  final class Rig {
    let test: TestBoard
    let pit: IntervalTimer8254
    var edges: [UInt64] = []
    var level = false
    init(cyclesPerSecond: UInt64 = IntervalTimer8254.frequency) throws {
      test = try TestBoard(cyclesPerSecond: cyclesPerSecond)
      final class Box { weak var rig: Rig? }
      let box = Box()
      pit = IntervalTimer8254(
        board: test.board,
        line: InterruptLine { level in
          box.rig?.level = level
          if level { box.rig?.edges.append(box.rig?.test.clock.now ?? 0) }
        })
      box.rig = self
    }
    func out(_ port: UInt16, _ value: UInt32) { test.board.writePort(port, size: 1, value: value) }
    func read(_ port: UInt16) -> UInt32 { test.board.readPort(port, size: 1) }
    /// The count of a channel with both bytes, latched.
    func count(_ channel: UInt16) -> UInt32 {
      out(0x43, UInt32(channel) << 6)
      return read(0x40 + channel) | read(0x40 + channel) << 8
    }
    func status(_ channel: UInt16) -> UInt32 {
      out(0x43, 0xE0 | 2 << UInt32(channel))
      return read(0x40 + channel)
    }
    /// A control word and the count of its channel.
    func program(_ control: UInt32, _ count: UInt32) {
      out(0x43, control)
      load(UInt16(control >> 6), count)
    }
    func gate(_ isHigh: Bool) { out(0x61, isHigh ? 1 : 0) }
    /// Channel 2's.
    var output: Bool { read(0x61) & 0x20 != 0 }
    func load(_ channel: UInt16, _ word: UInt32) {
      out(0x40 + channel, word & 0xFF)
      out(0x40 + channel, word >> 8)
    }
  }

  @Test func mode0CountsOnceFromBothBytesAndGoesOnPastZero() throws {
    rig.gate(true)
    rig.out(0x43, 0xB0)
    rig.out(0x42, 0x10)
    rig.test.advance(by: 100)
    #expect(rig.status(2) == 0x70, "output low, no count yet")
    rig.out(0x42, 0)
    rig.test.advance(by: 1)
    #expect(rig.count(2) == 16)
    rig.test.advance(by: 15)
    #expect(rig.count(2) == 1)
    #expect(!rig.output)
    rig.test.advance(by: 1)
    #expect(rig.output)
    #expect(rig.count(2) == 0)
    rig.test.advance(by: 1)
    #expect(rig.count(2) == 0xFFFF)
    #expect(rig.status(2) == 0xB0)
  }

  @Test func theGateStopsMode0AndGoesOnWhereItStopped() throws {
    rig.gate(true)
    rig.program(0xB0, 100)
    rig.test.advance(by: 11)
    rig.gate(false)
    rig.test.advance(by: 1000)
    #expect(rig.count(2) == 90)
    rig.gate(true)
    rig.test.advance(by: 10)
    #expect(rig.count(2) == 80)
    // Loaded with the gate low it waits.
    rig.gate(false)
    rig.load(2, 50)
    rig.test.advance(by: 500)
    #expect(rig.count(2) == 50)
    rig.gate(true)
    rig.test.advance(by: 50)
    #expect(rig.output)
  }

  @Test func mode1And5WaitForTheGate() throws {
    rig.program(0xB2, 10)
    rig.test.advance(by: 100)
    #expect(rig.output)
    rig.gate(true)
    rig.test.advance(by: 1)
    #expect(!rig.output)
    rig.test.advance(by: 9)
    #expect(!rig.output)
    rig.test.advance(by: 1)
    #expect(rig.output)
    // A trigger in the middle begins again.
    rig.gate(false)
    rig.gate(true)
    rig.test.advance(by: 6)
    rig.gate(false)
    rig.gate(true)
    rig.test.advance(by: 8)
    #expect(rig.count(2) == 3)

    rig.gate(false)
    rig.program(0xBA, 10)
    rig.gate(true)
    rig.test.advance(by: 11)
    #expect(!rig.output)
    rig.test.advance(by: 1)
    #expect(rig.output)
  }

  @Test func mode2DividesAndTakesANewCountAtTheEndOfThePeriod() throws {
    rig.program(0x34, 10)
    rig.test.advance(to: 35)
    #expect(rig.edges == [11, 21, 31])
    #expect(rig.count(0) == 6)
    rig.load(0, 20)
    #expect(rig.status(0) == 0xF4, "the new count waits")
    rig.test.advance(to: 90)
    #expect(rig.edges == [11, 21, 31, 41, 61, 81])
    #expect(rig.status(0) == 0xB4)
  }

  @Test func mode3IsASquareWaveOddCountsTooAndTakesANewCountAfterAHalf() throws {
    rig.gate(true)
    rig.program(0xB6, 7)
    var levels = ""
    for tick: UInt64 in 1...14 {
      rig.test.advance(to: tick)
      levels += rig.output ? "1" : "0"
      #expect(rig.count(2) % 2 == 0)
    }
    #expect(levels == "11110001111000")
    rig.program(0x36, 100)
    let start = rig.test.clock.now + 1
    rig.test.advance(to: start + 10)
    rig.load(0, 40)
    rig.test.advance(to: start + 120)
    // High to 50, then low for half of 40, then whole waves of 40.
    #expect(rig.edges == [start + 70, start + 110])
  }

  @Test func mode4StrobesOnce() throws {
    rig.program(0x38, 25)
    rig.test.advance(to: 1000)
    #expect(rig.edges == [27])
  }

  @Test func mode0InterruptsOnceAndReloadingLowersTheLine() throws {
    rig.program(0x30, 100)
    rig.test.advance(to: 1000)
    #expect(rig.edges == [101])
    #expect(rig.level)
    rig.out(0x40, 5)
    #expect(!rig.level)
    rig.out(0x40, 0)
    rig.test.advance(by: 10)
    #expect(rig.edges == [101, 1006])
  }

  @Test func countsAreBinaryOrDecimalAndZeroIsTheHighest() throws {
    rig.program(0x35, 0x1000)
    rig.test.advance(by: 2)
    #expect(rig.count(0) == 0x0999)
    rig.program(0x35, 0)
    rig.test.advance(by: 2)
    #expect(rig.count(0) == 0x9999)
    rig.program(0x34, 0)
    let before = rig.edges.count
    rig.test.advance(by: 65536 * 3 + 1)
    #expect(rig.edges.count == before + 3)
  }

  @Test func bytesAreReadAsTheAccessModeSays() throws {
    rig.out(0x43, 0x14)
    rig.out(0x40, 200)
    rig.test.advance(by: 51)
    #expect(rig.read(0x40) == 150)
    #expect(rig.read(0x40) == 150)
    rig.out(0x43, 0x24)
    rig.out(0x40, 0x12)
    rig.test.advance(by: 3)
    #expect(rig.read(0x40) == 0x11)
    rig.program(0x34, 0x1234)
    rig.test.advance(by: 1)
    #expect(rig.read(0x40) == 0x34)
    #expect(rig.read(0x40) == 0x12)
    #expect(rig.read(0x43) == 0xFF)
  }

  @Test func readBackLatchesStatusAndCountOfSeveralCounters() throws {
    rig.program(0x34, 1000)
    rig.gate(true)
    rig.program(0xB6, 1000)
    rig.test.advance(by: 11)
    rig.out(0x43, 0xC0 | 2 | 8)
    rig.test.advance(by: 300)
    #expect(rig.read(0x40) == 0xB4)
    #expect(rig.read(0x40) | rig.read(0x40) << 8 == 990)
    #expect(rig.read(0x42) == 0xB6)
    // A second latch before the first is read changes nothing.
    rig.out(0x43, 0x80)
    #expect(rig.read(0x42) | rig.read(0x42) << 8 == 980)
  }

  @Test func theRefreshBitChangesEvery15Microseconds() throws {
    let rig = try Rig(cyclesPerSecond: 1_000_000_000)
    var changes = 0
    var last = rig.read(0x61) & 0x10
    for _ in 0..<1000 {
      rig.test.advance(by: 1000)
      let now = rig.read(0x61) & 0x10
      if now != last { changes += 1 }
      last = now
    }
    #expect((65...67).contains(changes))
    rig.out(0x61, 0xFE)
    #expect(rig.read(0x61) & 0xCF == 0x0E)
  }

  @Test func aPeriodThatIsNoWholeNumberOfCyclesDoesNotDrift() throws {
    let rig = try Rig(cyclesPerSecond: 1_000_000_007)
    rig.program(0x34, 1193)
    let loaded: UInt64 = 1
    for _ in 0..<2000 { rig.test.advance(to: rig.test.board.queue.nextDue ?? 0) }
    #expect(rig.edges.count == 2000)
    for (index, edge) in rig.edges.enumerated() {
      #expect(edge == rig.test.board.cycles(ofTicks: loaded + UInt64(index + 1) * 1193, at: IntervalTimer8254.frequency))
    }
  }

  @Test func edgesThatTheMachineSleptThroughAreOne() throws {
    rig.program(0x34, 10)
    rig.test.clock.now = 1_000_000
    rig.test.board.dispatchDue()
    #expect(rig.edges == [1_000_000])
    #expect(rig.test.board.queue.nextDue == 1_000_011)
  }

  @Test func stateGoesThereAndBack() throws {
    rig.program(0x34, 1000)
    rig.test.advance(by: 101)
    let saved = rig.pit.state
    let bytes = rig.pit.encodedState()
    rig.pit.reset()
    #expect(rig.pit.encodedState() != bytes)
    rig.pit.state = saved
    #expect(rig.count(0) == 900)
  }
}
