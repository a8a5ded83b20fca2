import Testing

@testable import Motherboard

@Suite struct HPETTests {
  let rig: Rig
  init() throws { rig = try Rig() }

  /// 1 GHz: ten cycles a tick. Requests are told apart at the I/O APIC: pin 2 is vector 30, pin 8 vector 38.
  final class Rig {
    let rig: InterruptRig
    let hpet: HPET
    init() throws {
      rig = try InterruptRig()
      hpet = HPET(board: rig.test.board, interrupts: rig.system)
      rig.enable()
      rig.route(2, 0x30)
      rig.route(8, 0x38)
    }
    func read(_ offset: UInt64, size: Int = 4) -> UInt64 { rig.test.board.readMemory(HPET.address + offset, size: size) }
    func write(_ offset: UInt64, _ value: UInt64, size: Int = 4) {
      rig.test.board.writeMemory(HPET.address + offset, size: size, value: value)
    }
    /// Takes and ends all that is pending.
    func taken() -> [UInt8] {
      var vectors: [UInt8] = []
      while let vector = rig.system.acknowledge() {
        vectors.append(vector)
        rig.write(0xB0, 0)
      }
      return vectors
    }
  }

  /// Guests count how often they can read the counter.
  @Test func aReadOfTheCounterTakesHalfAMicrosecond() throws {
    let rig = try Rig()
    var taken: [UInt64] = []
    rig.rig.test.board.outside.accessTakes = { taken.append($0) }
    _ = rig.read(0xF0, size: 8)
    _ = rig.read(0xF4)
    _ = rig.read(0x10)
    rig.write(0x108, 5)
    #expect(taken == [500, 500])
  }

  @Test func registersAtReset() throws {
    #expect(rig.read(0, size: 8) == 0x0098_9680_8086_A201)
    #expect(rig.read(4) == 10_000_000)
    for timer: UInt64 in 0..<3 {
      #expect(rig.read(0x100 + timer * 0x20, size: 8) == 0x0000_0004_0000_0030)
      #expect(rig.read(0x108 + timer * 0x20, size: 8) == .max)
    }
    #expect(rig.read(0x160) == 0)
    rig.rig.test.advance(by: 1000)
    #expect(rig.read(0xF0) == 0)
  }

  @Test func theCounterCountsWhileItIsOn() throws {
    rig.write(0x10, 1)
    rig.rig.test.advance(by: 1005)
    #expect(rig.read(0xF0, size: 8) == 100)
    rig.write(0x10, 0)
    rig.rig.test.advance(by: 1000)
    #expect(rig.read(0xF0) == 100)
    rig.write(0xF0, 0xFFFF_FFF0)
    rig.write(0xF4, 7)
    rig.write(0x10, 1)
    rig.rig.test.advance(by: 320)
    #expect(rig.read(0xF0, size: 8) == 0x8_0000_0010)
  }

  @Test func timer0IsThePeriodicTickOfLegacyReplacement() throws {
    // As Linux sets it up: 4 ms.
    rig.write(0x10, 0)
    rig.write(0xF0, 0)
    rig.write(0x10, 3)
    rig.write(0x100, 0x17C)
    #expect(rig.read(0x100) == 0x17C)
    rig.write(0x108, 1000)
    rig.write(0x108, 400_000)
    let start = rig.rig.test.clock.now
    for tick: UInt64 in 0..<50 {
      rig.rig.test.advance(to: start + 10000 + tick * 4_000_000 - 1)
      #expect(rig.taken() == [])
      rig.rig.test.advance(to: start + 10000 + tick * 4_000_000)
      #expect(rig.taken() == [0x30])
      #expect(rig.read(0x108) == 1000 + (tick + 1) * 400_000)
    }
    rig.write(0x100, 0x130)
    rig.rig.test.advance(by: 10_000_000)
    #expect(rig.taken() == [])
    #expect(rig.rig.test.board.queue.isEmpty)
  }

  @Test func timer1TakesTheClocksRequestAndTheOldOnesAreSilent() throws {
    let (timer, clock) = (rig.rig.system.line(isa: 0), rig.rig.system.line(isa: 8))
    timer.pulse()
    clock.pulse()
    #expect(rig.taken() == [0x38, 0x30])
    rig.write(0x10, 3)
    timer.pulse()
    clock.pulse()
    #expect(rig.taken() == [])
    rig.write(0x128, 500)
    rig.write(0x12C, 0)
    rig.write(0x120, 4)
    rig.rig.test.advance(by: 5000)
    #expect(rig.taken() == [0x38])
    rig.rig.test.advance(by: 5000)
    #expect(rig.taken() == [])
    rig.write(0x10, 1)
    timer.pulse()
    #expect(rig.taken().contains(0x30))
  }

  @Test func withoutLegacyReplacementTheRouteDecides() throws {
    rig.write(0x10, 1)
    rig.write(0x148, 100, size: 8)
    rig.write(0x140, 4)
    rig.rig.test.advance(by: 1000)
    #expect(rig.taken() == [], "no route")
    rig.write(0x140, 4 | 2 << 9)
    rig.write(0x148, 200, size: 8)
    rig.rig.test.advance(by: 1000)
    #expect(rig.taken() == [0x30])
    // Another one's edge on the same pin.
    rig.write(0x108, 300, size: 8)
    rig.write(0x100, 4 | 2 << 9)
    rig.rig.test.advance(by: 1000)
    #expect(rig.taken() == [0x30])
  }

  @Test func aLevelWaitsForItsStatusBit() throws {
    rig.rig.route(2, 0x8030)
    rig.write(0x10, 1)
    rig.write(0x108, 100, size: 8)
    rig.write(0x100, 6 | 2 << 9)
    rig.rig.test.advance(by: 1000)
    #expect(rig.read(0x20) == 1)
    #expect(rig.rig.system.acknowledge() == 0x30)
    rig.write(0x20, 1)
    rig.rig.write(0xB0, 0)
    #expect(rig.taken() == [])
    #expect(rig.read(0x20) == 0)
  }

  @Test func a32BitTimerWrapsWithTheCounter() throws {
    rig.write(0xF0, 0xFFFF_FF00)
    rig.write(0x10, 3)
    rig.write(0x100, 0x104)
    rig.write(0x108, 0x100)
    rig.rig.test.advance(by: 5119)
    #expect(rig.taken() == [])
    rig.rig.test.advance(by: 1)
    #expect(rig.taken() == [0x30])
  }

  @Test func matchesTooNearOrSleptThroughAreOne() throws {
    rig.write(0x10, 3)
    rig.write(0x100, 0x4C)
    rig.write(0x108, 10, size: 8)
    rig.write(0x108, 1, size: 8)
    var count = 0
    for _ in 0..<100 {
      rig.rig.test.advance(by: 1000)
      count += rig.taken().count
    }
    #expect((90...101).contains(count))
    rig.rig.test.clock.now += 1_000_000_000
    rig.rig.test.board.dispatchDue()
    #expect(rig.taken() == [0x30])
  }

  @Test func stateGoesThereAndBack() throws {
    rig.write(0x10, 3)
    rig.write(0x100, 0x4C)
    rig.write(0x108, 5000)
    let saved = rig.hpet.state
    let bytes = rig.hpet.encodedState()
    rig.hpet.reset()
    #expect(!rig.rig.system.isLegacyReplaced)
    rig.hpet.state = saved
    #expect(rig.hpet.encodedState() == bytes)
    #expect(rig.rig.system.isLegacyReplaced)
  }
}
